"""The command line as a whole: its commands, its start, its errors."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from sovereigncloud import __version__, cli
from sovereigncloud.cli import app
from sovereigncloud.commands import doors, version

HEAVY = {"kopf", "kubernetes", "aiohttp", "pyone", "ovh", "pydantic", "yaml", "rich"}


def test_the_commands_are_those_of_the_manual():
    helped = CliRunner().invoke(app, ["--help"])
    assert helped.exit_code == 0
    for command in ("run", "plan", "describe", "crds", "sandbox", "version"):
        assert f" {command} " in helped.stdout


def test_version():
    assert CliRunner().invoke(app, ["version"]).stdout == f"sovereign {__version__}\n"


def test_version_imports_nothing_that_takes_time():
    code = (
        "import sys; from sovereigncloud.cli import app; app(['version'], standalone_mode=False); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "sovereigncloud" in loaded
    assert not loaded & HEAVY


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["plann"], "No such command 'plann'"),
        (["version", "--loud"], "No such option"),
        (["sandbox", "upp"], "No such command 'upp'"),
        (["describe"], "Missing argument"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_exit_code_1(arguments, words):
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert words in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_wrong_setting_is_named(monkeypatch):
    monkeypatch.setenv("SOVEREIGN_WORKERS", "many")
    result = CliRunner().invoke(app, ["run"])
    assert result.exit_code == 1
    assert result.stderr.startswith("error: SOVEREIGN_WORKERS: ")
    assert result.stderr.count("\n") == 1
    with pytest.raises(Exception, match="SOVEREIGN_WORKERS"):
        doors.settings_or_error()


def test_an_unexpected_error_tells_its_type_only_and_debug_its_traceback(monkeypatch):
    def broken():
        raise ZeroDivisionError("hunter2")

    monkeypatch.setattr(version, "version", broken)
    quiet = CliRunner().invoke(app, ["version"])
    assert (quiet.exit_code, "hunter2" in quiet.output) == (1, False)
    assert "unexpected ZeroDivisionError" in quiet.stderr
    loud = CliRunner().invoke(app, ["--debug", "version"])
    assert isinstance(loud.exception, ZeroDivisionError)


@pytest.mark.parametrize(
    ("program", "name"), [("/usr/bin/kubectl-sovereign", "kubectl sovereign"), ("sovereign", "sovereign")]
)
def test_it_knows_by_which_name_it_was_called(monkeypatch, capsys, program, name):
    monkeypatch.setattr(sys, "argv", [program, "nonsense"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    assert f"(see {name} --help)" in capsys.readouterr().err
