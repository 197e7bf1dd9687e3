"""Makes the files of a release: `make dist`.

The same commit gives the same bytes, in whatever folder, at whatever time, under whatever umask: everything is made from a
copy of the files that Git knows, with plain modes, and every time in it is the commit's (SOURCE_DATE_EPOCH,
https://reproducible-builds.org/specs/source-date-epoch).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from sovereigncloud_sandbox.toolchain import Toolchain

REPOSITORY = Path(__file__).resolve().parents[1]
BASE = Path("manifests") / "base"
EPOCH = "SOURCE_DATE_EPOCH"
_NOT_SOURCES = {".git", ".venv", "dist", "build", "site", "__pycache__"}


class DistError(Exception):
    """A release cannot be made; the message says why."""


def main() -> None:
    """Make them into a directory, which is emptied before."""
    arguments = argparse.ArgumentParser(description="Make the files of a release.")
    arguments.add_argument("--output", type=Path, default=Path("dist"), help="Where to; emptied before.")
    output: Path = arguments.parse_args().output.resolve()
    try:
        made = make(REPOSITORY, output, epoch(REPOSITORY))
    except DistError as error:
        sys.exit(f"error: {error}")
    for path in made:
        print(f"{path.stat().st_size:>10}  {path.name}")


def make(repository: Path, output: Path, seconds: int) -> list[Path]:
    """All files of a release, with their checksums; every time in them is `seconds` after 1970."""
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="sovereign-dist-") as folder:
        tree = Path(folder) / "tree"
        copy(repository, tree)
        age(tree, seconds)
        python_packages(tree, output, seconds)
        charts(tree, output)
        (output / "install.yaml").write_bytes(install_manifest(tree))
        (output / "sbom.cdx.json").write_text(bill_of_materials(tree, seconds), encoding="utf-8")
    made = sorted(path for path in output.iterdir() if path.name != ".gitignore")
    (output / ".gitignore").unlink(missing_ok=True)  # hatchling's
    sums = "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in made)
    (output / "SHA256SUMS").write_text(sums, encoding="utf-8")
    return [*made, output / "SHA256SUMS"]


def epoch(repository: Path) -> int:
    """SOURCE_DATE_EPOCH, else the time of the commit."""
    given = os.environ.get(EPOCH, "")
    if given.isdecimal():
        return int(given)
    if given:
        raise DistError(f"{EPOCH} must be seconds since 1970, not {given!r}")
    if not (repository / ".git").exists():
        raise DistError(f"there is no Git repository to take the time from: set {EPOCH}")
    return int(run("git", "log", "-1", "--format=%ct", cwd=repository))


def copy(repository: Path, tree: Path) -> None:
    """The files that Git knows, as they are now; without Git all that is not made here."""
    for name in sorted(sources(repository)):
        target = tree / name
        target.parent.mkdir(parents=True, exist_ok=True)
        executable = os.access(repository / name, os.X_OK)
        shutil.copyfile(repository / name, target)
        target.chmod(0o755 if executable else 0o644)


def sources(repository: Path) -> Iterator[Path]:
    if (repository / ".git").exists():
        names = run("git", "ls-files", "-z", cwd=repository).split("\0")
        yield from (Path(name) for name in names if name and (repository / name).is_file())
        return
    for path in repository.rglob("*"):
        name = path.relative_to(repository)
        if (
            path.is_file()
            and not _NOT_SOURCES & set(name.parts)
            and not name.parts[0].startswith(".") | (path.suffix == ".pyc")
        ):
            yield name


def python_packages(tree: Path, output: Path, seconds: int) -> None:
    """Wheel and sdist. hatchling normalises modes and order by itself."""
    for target in ("sdist", "wheel"):
        run(
            sys.executable,
            "-m",
            "hatchling",
            "build",
            "-t",
            target,
            "-d",
            str(output),
            cwd=tree,
            **{EPOCH: str(seconds)},
        )


def charts(tree: Path, output: Path) -> None:
    """Every chart, as Helm packages it: it takes the times of the files. What a chart depends on lies in it."""
    helm = str(Toolchain().resolve("helm"))
    with tempfile.TemporaryDirectory(prefix="sovereign-helm-") as folder:
        home = {f"HELM_{name}_HOME": str(Path(folder) / name) for name in ("CACHE", "CONFIG", "DATA")}
        for chart in sorted(path.parent for path in (tree / "charts").glob("*/Chart.yaml")):
            run(helm, "package", str(chart), "--destination", str(output), cwd=tree, **home)


def stamp(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def age(folder: Path, seconds: int) -> None:
    """As if every file in it was written then."""
    for path in folder.rglob("*"):
        os.utime(path, (seconds, seconds))


def install_manifest(tree: Path) -> bytes:
    """What `kubectl apply --server-side -k manifests/base` applies, as one file.

    The rendered chart in it is held by a test against the chart itself (tests/integration/chart/test_manifests.py).
    """
    listed = yaml.safe_load((tree / BASE / "kustomization.yaml").read_text(encoding="utf-8"))["resources"]
    parts: list[bytes] = []
    for resource in listed:
        path = (tree / BASE / resource).resolve()
        files = sorted(path.glob("sovereigncloud.io_*.yaml")) if path.is_dir() else [path]
        parts += [file.read_bytes().removeprefix(b"---\n").rstrip() for file in files]
    return b"# kubectl apply --server-side -f install.yaml\n" + b"\n---\n".join(parts) + b"\n"


def bill_of_materials(tree: Path, seconds: int) -> str:
    """What the image runs, from the lock with its hashes. Its serial number follows from what is in it."""
    lock, project = tree / "requirements.runtime.lock", tree / "pyproject.toml"
    tool = str(Path(sys.executable).parent / "cyclonedx-py")
    arguments = ("requirements", str(lock), "--pyproject", str(project), "--output-reproducible", "--of", "JSON")
    bill: dict[str, Any] = json.loads(run(tool, *arguments, cwd=tree))
    metadata = bill["metadata"]
    metadata["component"]["version"] = version(tree)
    metadata["timestamp"] = stamp(seconds)
    content = json.dumps(bill, sort_keys=True)
    bill["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, content)}"
    return json.dumps(bill, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def version(tree: Path) -> str:
    """The one place where it stands."""
    return run(sys.executable, "-m", "hatchling", "version", cwd=tree).strip()


def run(program: str, *arguments: str, cwd: Path, **environment: str) -> str:
    """Its output. What it says about a failure is told."""
    command: Sequence[str] = (shutil.which(program) or program, *arguments)
    finished = subprocess.run(
        command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    if finished.returncode:
        raise DistError(f"{Path(program).name} {' '.join(arguments[:3])} failed:\n{finished.stderr.strip()[-2000:]}")
    return finished.stdout


if __name__ == "__main__":
    main()
