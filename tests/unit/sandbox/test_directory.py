from pathlib import Path

import pytest

from sovereigncloud_sandbox.lifecycle import Sandbox


@pytest.mark.parametrize(
    ("environ", "expected", "why"),
    [
        ({"SOVEREIGN_SANDBOX_DIR": "/var/box", "XDG_STATE_HOME": "/var/x"}, "/var/box", "named for this very thing"),
        ({"XDG_STATE_HOME": "/var/x", "HOME": "/home/a"}, "/var/x/sovereign-cloud/sandbox", "the user's choice"),
        ({"HOME": "/home/a"}, "/home/a/.local/state/sovereign-cloud/sandbox", "the default of the XDG specification"),
        (
            {"XDG_STATE_HOME": "x", "HOME": "/home/a"},
            "/home/a/.local/state/sovereign-cloud/sandbox",
            "relative: ignored",
        ),
    ],
)
def test_the_sandbox_lives_where_the_environment_says(environ, expected, why):
    assert Sandbox.of_user(environ).directory == Path(expected), why


def test_looking_at_a_sandbox_that_never_was_makes_nothing(tmp_path):
    sandbox = Sandbox(tmp_path / "none", {})
    assert sandbox.status() is None
    assert not sandbox.down()
    assert not sandbox.directory.exists()


def test_the_environment_is_not_shown():
    assert "s3cret" not in repr(Sandbox.of_user({"SOVEREIGN_SANDBOX_DIR": "/x", "OVH_SECRET": "s3cret"}))
