"""Find the programs of the control plane, and build those that the machine does not have.

In this order: KUBEBUILDER_ASSETS (a person says: take these), our cache, PATH where the version will do, and at last a
build from the pinned Go modules under `tools/` into the cache. The cache is
`${XDG_CACHE_HOME:-~/.cache}/sovereign-cloud/tools/<first 16 digits of sha256(go.sum)>/`, so that a new pin is a new
folder and an old checkout still finds its own.
"""

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sovereigncloud_sandbox.go_build import Builder, BuildError, source_beside
from sovereigncloud_sandbox.programs import PROGRAMS, Program

__all__ = ["BuildError", "Toolchain"]

MODULES = Path(__file__).with_name("tools")
_ASK_TIMEOUT = 20.0  # seconds; a vendor's wrapper of kubectl may look for updates first
_FIRST_VERSION = re.compile(r"(\d+)\.(\d+)")  # "Kubernetes v1.36.3", "etcd Version: 3.7.3", "v4.3", JSON of kubectl


@dataclass(frozen=True, slots=True)
class Toolchain:
    """Finds or builds programs. `environ` is read for KUBEBUILDER_ASSETS, XDG_CACHE_HOME, HOME and PATH."""

    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    programs: Mapping[str, Program] = field(default_factory=lambda: PROGRAMS)
    modules: Path = MODULES

    @property
    def cache(self) -> Path:
        """The folder of all builds. A relative XDG_CACHE_HOME is ignored, as its specification says."""
        base = Path(self.environ.get("XDG_CACHE_HOME", ""))
        if not base.is_absolute():
            base = Path(self.environ.get("HOME") or Path.home()) / ".cache"
        return base / "sovereign-cloud" / "tools"

    def cached(self, name: str) -> Path:
        """Where the build of a program is, or will be."""
        go_sum = self.modules / self.programs[name].group / "go.sum"
        return self.cache / hashlib.sha256(go_sum.read_bytes()).hexdigest()[:16] / name

    def find(self, name: str) -> Path | None:
        """The program if it is there without a build."""
        if self.programs[name].pinned:
            return self.cached(name) if _is_executable(self.cached(name)) else None
        assets = self.environ.get("KUBEBUILDER_ASSETS")
        for path in (*([Path(assets) / name] if assets else []), self.cached(name)):
            if _is_executable(path) and self._has_source(name, path):
                return path.absolute()
        return self._on_path(name)

    def source(self, name: str) -> Path:
        """The folders of its module that a program carries, see `Program.carries`; built if need be."""
        return source_beside(self.resolve(name))

    def resolve(self, name: str) -> Path:
        """The program, built if need be: minutes, once, with a progress line on stderr.

        Raises `BuildError` with what to do when it can neither be found nor built.
        """
        return self.find(name) or self._build(name)

    def resolve_all(self, *on_demand: str) -> dict[str, Path]:
        """Every program of the control plane and those asked for; for whoever wants all waiting done beforehand."""
        wanted = (name for name, one in self.programs.items() if name in on_demand or not one.on_demand)
        return {name: self.resolve(name) for name in wanted}

    def _build(self, name: str) -> Path:
        program = self.programs[name]
        builder = Builder(self.environ, self.cache, self.modules / program.group)
        return builder.build(program, self.cached(name))

    def _on_path(self, name: str) -> Path | None:
        found = shutil.which(name, path=self.environ.get("PATH", ""))
        if not found:
            return None
        path = Path(found).absolute()
        if not self._has_source(name, path):
            return None
        version = _version(path, self.programs[name].ask)
        return path if version and version >= self.programs[name].oldest else None

    def _has_source(self, name: str, path: Path) -> bool:
        return all((source_beside(path) / folder).is_dir() for folder in self.programs[name].carries)


def _is_executable(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


def _version(path: Path, ask: Sequence[str]) -> tuple[int, int] | None:
    """Major and minor as the program tells them; None for one that does not answer, so that it is not used."""
    try:
        answer = subprocess.run([path, *ask], capture_output=True, text=True, timeout=_ASK_TIMEOUT, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = _FIRST_VERSION.search(answer.stdout)
    return (int(match[1]), int(match[2])) if match and answer.returncode == 0 else None
