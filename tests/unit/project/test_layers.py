"""The gates of the architecture hold, and can fail."""

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]


def _copy(tmp_path: Path) -> Path:
    """The packages' sources and the contracts, as `make check` reads them."""
    for path in [*(REPOSITORY / "operator").rglob("*.py"), REPOSITORY / "pyproject.toml"]:
        copied = tmp_path / path.relative_to(REPOSITORY)
        copied.parent.mkdir(parents=True, exist_ok=True)
        copied.write_bytes(path.read_bytes())
    return tmp_path


def _lint(where: Path) -> subprocess.CompletedProcess[str]:
    program = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    return subprocess.run(
        [sys.executable, "-c", program, "--no-cache"],
        cwd=where,
        env={"PYTHONPATH": str(where / "operator"), "COLUMNS": "400", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


PLANTED = [
    (
        "two modules of one package import each other",
        "kinds/fencing/outage_tolerance.py",
        "from sovereigncloud.kinds.fencing import confirmation",
        "kinds/fencing/confirmation.py",
        "from sovereigncloud.kinds.fencing import outage_tolerance",
        "no circle of imports",
    ),
    (
        "an import for type checking only counts as well",
        "core/outcome.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from sovereigncloud.core import plan",
        "core/plan.py",
        "from sovereigncloud.core import outcome",
        "no circle of imports",
    ),
    (
        "a lower kind imports a higher one",
        "kinds/machineimage/versions.py",
        "from sovereigncloud.kinds.exitplan import plan",
        "",
        "",
        "the order of the packages in kinds",
    ),
    (
        "the product imports the sandbox",
        "engine/settings.py",
        "import sovereigncloud_sandbox.faults",
        "",
        "",
        "the sandbox and the operator",
    ),
]


def test_the_contracts_are_kept_and_none_ignores_an_import(tmp_path):
    linted = _lint(_copy(tmp_path))
    assert linted.returncode == 0, linted.stdout
    assert "ignore_imports" not in (REPOSITORY / "pyproject.toml").read_text()


@pytest.mark.parametrize(
    ("first", "line", "second", "other", "contract"), [row[1:] for row in PLANTED], ids=[row[0] for row in PLANTED]
)
def test_what_is_planted_in_a_copy_is_found(tmp_path, first, line, second, other, contract):
    where = _copy(tmp_path)
    for name, added in ((first, line), (second, other)):
        if name:
            path = where / "operator" / "sovereigncloud" / name
            path.write_text(f"{path.read_text()}\n{added}\n")
    linted = _lint(where)
    assert linted.returncode != 0
    assert any(contract in text and text.endswith("BROKEN") for text in linted.stdout.splitlines()), linted.stdout
