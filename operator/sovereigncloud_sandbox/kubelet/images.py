"""Substitutes for container images: files and a command of this machine."""

import compileall
import os
import shutil
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import sovereigncloud_sandbox

OPERATOR = "ghcr.io/sovereigncloud-io/sovereign-cloud-operator"
SANDBOX = f"{OPERATOR}-sandbox"
INSTALLER = "ghcr.io/sovereigncloud-io/sovereign-cloud-installer"
"""No substitute: `installer_player` plays its Jobs."""
_PACKAGES = ("sovereigncloud", "sovereigncloud_sandbox")
POD_IP = "POD_IP"
_USER = 65532  # as in the Dockerfile
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Image:
    """An image: ENTRYPOINT, CMD, ENV, USER and WORKDIR as in a Dockerfile.

    `files` are paths in the container and what they are on this machine; everything else a container sees is the
    machine's own, without the chance to change it. `$(POD_IP)` in `env` is the address of the pod: there is no network
    of its own, so what an image would listen on at 0.0.0.0 it has to be told.
    """

    entrypoint: Sequence[str]
    command: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    user: int = 0
    group: int = 0
    working_dir: str = "/"


def repository(reference: str) -> str:
    """An image's name without tag and digest. A colon before the last slash belongs to the registry's port."""
    name = reference.partition("@")[0]
    head, slash, last = name.rpartition("/")
    return f"{head}{slash}{last.partition(':')[0]}"


def python_image(
    directory: Path, packages: Sequence[str] = _PACKAGES, *, env: Mapping[str, str] | None = None
) -> Image:
    """This Python with what is installed in it, these packages of the source here, and `sovereign` on the PATH.

    `directory` takes the scripts.
    """
    scripts = directory / "bin"
    scripts.mkdir(parents=True, exist_ok=True)
    for name in ("sovereign", "kubectl-sovereign"):
        script = scripts / name
        script.write_text('#!/bin/sh\nexec python -P -m sovereigncloud.cli "$@"\n')
        script.chmod(0o755)
    source = Path(sovereigncloud_sandbox.__file__).resolve().parents[1]
    # As an image's build does: a container cannot keep what it compiled, and would do it at each start.
    for package in packages:
        compileall.compile_dir(source / package, quiet=2)
    files = {"/image/bin": str(scripts)} | {f"/image/source/{one}": str(source / one) for one in packages}
    installed = sysconfig.get_path("purelib")
    if sys.prefix != sys.base_prefix:
        files["/image/venv"] = sys.prefix
        python = "/image/venv/bin"
        installed = installed.replace(sys.prefix, "/image/venv", 1)
    else:
        python = str(Path(shutil.which("python3") or sys.executable).parent)
    # An installation in place would add all packages of the source.
    in_place = directory / "empty.pth"
    in_place.touch()
    for path in Path(sysconfig.get_path("purelib")).glob("_editable_impl_sovereign_cloud_operator.pth"):
        files[f"{installed}/{path.name}"] = str(in_place)
    return Image(
        entrypoint=("sovereign",),
        command=("run",),
        env={
            "PATH": f"/image/bin:{python}:{_SYSTEM_PATH}",
            # By way of a package: where paths are rewritten (`unisolated`), only what is mounted is known.
            "PYTHONPATH": f"/image/source/{packages[0]}/..",
            "HOME": "/tmp",
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            **(env or {}),
        },
        files=files,
        user=_USER,
        group=_USER,
        working_dir="/tmp",
    )


def operator_images(directory: Path) -> Mapping[str, Image]:
    """The operator's image and the sandbox's, as the Dockerfile makes them, from the sources that run here."""
    env = {"SOVEREIGN_HTTP_HOST": f"$({POD_IP})"}
    return {
        OPERATOR: python_image(directory, ["sovereigncloud"], env=env),
        SANDBOX: python_image(directory, _PACKAGES, env=env),
    }


def executable_path(name: str) -> str:
    """A program of the machine by absolute path. Raises FileNotFoundError."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:{_SYSTEM_PATH}")
    if not found:
        raise FileNotFoundError(f"{name} is not on this machine")
    return found
