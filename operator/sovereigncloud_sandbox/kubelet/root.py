"""The root file system of a container and the user in it: a shell script that `unshare` runs, made from a plan.

The root is a tmpfs with the machine's own directories in it, each under an overlay: what the container changes is gone
with it, and the machine is never written to. Volumes and the image's files are bound over it at their own paths, and
mount points are made in the overlay. Then `pivot_root`, and `setpriv` drops what the container must not have.
"""

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Any

from sovereigncloud_sandbox.kubelet.environment import ConfigError
from sovereigncloud_sandbox.kubelet.images import Image, executable_path

Json = dict[str, Any]
_OWN_MOUNTS = {"proc", "sys", "dev"}
_LAYERS = "overlay"  # what the kernel needs beside an upper layer
_EMPTY = "tmp"  # what lies there on this machine is no part of an image
_ADMIN_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Isolation(StrEnum):
    """What this machine lets the kubelet do."""

    ROOT = "namespaces, as root"
    USER = "namespaces, in a user namespace"
    NONE = "none: the machine grants no namespaces, so paths of volumes in env and args are rewritten"


@dataclass(frozen=True, slots=True)
class Mount:
    """A file or directory of this machine at a path in the container."""

    source: Path
    target: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a container runs as, and what it may."""

    user: int
    group: int
    groups: tuple[int, ...] = ()
    keeps_capabilities: bool = True
    gains_privileges: bool = True
    read_only_root: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything the script is made from. `reachable`: paths of this machine that the user must get to."""

    scratch: Path
    mounts: Sequence[Mount]
    identity: Identity
    hostname: str
    working_dir: str
    reachable: Sequence[str] = ()


def user_of(pod: Json, container: Json, image: Image) -> int:
    """`runAsUser` of the container, else of the pod, else the image's USER."""
    contexts = (container.get("securityContext") or {}, pod["spec"].get("securityContext") or {})
    return int(next((one["runAsUser"] for one in contexts if "runAsUser" in one), image.user))


def identity_of(pod: Json, container: Json, image: Image) -> Identity:
    """The container's securityContext over the pod's over the image. Raises ConfigError."""
    shared = pod["spec"].get("securityContext") or {}
    context = {**shared, **(container.get("securityContext") or {})}
    user = user_of(pod, container, image)
    if context.get("runAsNonRoot") and user == 0:
        raise ConfigError("container has runAsNonRoot and image will run as root")
    own_group = image.group if "runAsUser" not in context else 0
    groups = [*(shared.get("supplementalGroups") or ()), *([shared["fsGroup"]] if "fsGroup" in shared else [])]
    return Identity(
        user=user,
        group=int(context.get("runAsGroup", own_group)),
        groups=tuple(int(group) for group in groups),
        keeps_capabilities="ALL" not in ((context.get("capabilities") or {}).get("drop") or ()),
        gains_privileges=context.get("allowPrivilegeEscalation", True) is not False,
        read_only_root=bool(context.get("readOnlyRootFilesystem")),
    )


def script(plan: Plan, how: Isolation, top: Mapping[str, str | None]) -> str:
    """The script; what to execute at last are its arguments.

    `top` are the entries of the machine's `/`: where a link leads to, None for a directory.
    """
    scratch, root = plan.scratch, plan.scratch / "tree"
    lines = ["set -e", "umask 022", f"container_path=$PATH PATH={_ADMIN_PATH}"]
    lines.append(_line("mount", "-t", "tmpfs", "-o", "mode=755", "container", scratch))
    lines.append(_line("mkdir", root, scratch / "upper", scratch / _LAYERS))
    lines.append(_line("mount", "-t", "tmpfs", "-o", "mode=755", "container", root))
    overlays = [name for name, link in sorted(top.items()) if link is None and name not in {*_OWN_MOUNTS, _EMPTY}]
    lines += [_line("ln", "-s", link, root / name) for name, link in sorted(top.items()) if link is not None]
    lines.append(_line("mkdir", *(root / name for name in (*overlays, *sorted(_OWN_MOUNTS), _EMPTY))))
    lines.append(_line("chmod", "1777", root / _EMPTY))
    lines.append(_line("mkdir", *(scratch / part / name for part in ("upper", _LAYERS) for name in overlays)))
    options = "userxattr," if how is Isolation.USER else ""
    for name in overlays:
        layers = f"{options}lowerdir=/{name},upperdir={scratch}/upper/{name},workdir={scratch / _LAYERS / name}"
        overlay = _line("mount", "-t", "overlay", "-o", layers, "overlay", root / name)
        # A directory with mounts in it cannot be a layer in a user namespace: what they cover would come to light.
        lines.append(f"{overlay} 2>/dev/null || {_line('mount', '--rbind', f'/{name}', root / name)}")
    # Only a /proc that nothing is mounted over may be mounted anew in a user namespace.
    own_proc = _line("mount", "-t", "proc", "proc", root / "proc")
    lines.append(f"{own_proc} 2>/dev/null || {_line('mount', '--rbind', '/proc', root / 'proc')}")
    lines += [_line("mount", "--rbind", f"/{name}", root / name) for name in ("sys", "dev")]
    lines += [f"{_line('chmod', 'o+x', f'{root}{path}')} 2>/dev/null || true" for path in _closed(plan.reachable)]
    for mount in sorted(plan.mounts, key=lambda one: len(PurePosixPath(one.target).parts)):
        lines += _bind(mount, root)
    if plan.identity.read_only_root:
        covered = {mount.target.strip("/") for mount in plan.mounts}
        open_ones = [name for name in ("", *overlays) if name not in covered]
        lines += [_line("mount", "-o", "remount,bind,ro", root / name) for name in open_ones]
    lines.append(f"{_line('hostname', plan.hostname)} 2>/dev/null || true")
    lines += [_line("cd", root), "pivot_root . .", "umount -l .", _line("cd", plan.working_dir)]
    as_container = _line(*become(plan.identity, how), executable_path("env"), "-u", "PWD", "-u", "OLDPWD")
    lines += ["PATH=$container_path", f'exec {as_container} "$@"']
    return "\n".join(lines) + "\n"


def entries_of_root() -> dict[str, str | None]:
    """Directories and links of the machine's `/`."""
    with os.scandir("/") as entries:
        return {
            entry.name: str(Path(entry.path).readlink()) if entry.is_symlink() else None
            for entry in entries
            if entry.is_symlink() or entry.is_dir(follow_symlinks=False)
        }


def become(identity: Identity, how: Isolation) -> list[str]:
    """The command that turns what set up the root into the user of the container."""
    options = ["--pdeathsig=KILL"]  # lost with a change of user otherwise (prctl(2)), and with it the end of all
    if not identity.gains_privileges:
        options.append("--no-new-privs")
    if not identity.keeps_capabilities:
        options += ["--bounding-set=-all", "--inh-caps=-all"]
    setpriv = executable_path("setpriv")
    if how is Isolation.USER:
        inner = ["--user", f"--map-user={identity.user}", f"--map-group={identity.group}"]
        return [executable_path("unshare"), *inner, setpriv, *options]
    groups = ",".join(str(group) for group in identity.groups)
    chosen = [f"--groups={groups}"] if groups else ["--clear-groups"]
    return [setpriv, f"--reuid={identity.user}", f"--regid={identity.group}", *chosen, *options]


def enter(how: Isolation) -> list[str]:
    """The command before the script: namespaces that end with what runs in them."""
    user = ["--user", "--map-root-user"] if how is Isolation.USER else []
    spaces = ["--mount", "--pid", "--uts", "--fork", "--kill-child=KILL"]
    return [executable_path("unshare"), *user, *spaces, executable_path("sh")]


def _bind(mount: Mount, root: Path) -> list[str]:
    # The container's tree has the machine's links, which lead out of it as long as it is no root: resolved before.
    target = f"{root}{os.path.realpath(mount.target)}"
    if mount.source.is_dir():
        lines = [_line("mkdir", "-p", target)]
    else:
        lines = [_line("mkdir", "-p", Path(target).parent), f"[ -e {shlex.quote(target)} ] || {_line('touch', target)}"]
    lines.append(_line("mount", "--bind", mount.source, target))
    if mount.read_only:
        lines.append(_line("mount", "-o", "remount,bind,ro", target))
    return lines


def _closed(paths: Sequence[str]) -> list[str]:
    """Directories above the paths that not everybody may pass; opened in the overlay only."""
    above = {str(parent) for path in paths for parent in Path(path).parents}
    return sorted(path for path in above if path != "/" and not Path(path).stat().st_mode & 0o001)


def _line(*words: object) -> str:
    return shlex.join(str(word) for word in words)
