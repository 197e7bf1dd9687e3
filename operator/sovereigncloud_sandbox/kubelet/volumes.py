"""The files of a pod's volumes."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sovereigncloud_sandbox.kubelet.environment import ConfigError, Sources, data_of, field_of, resource_of

Json = dict[str, Any]
_DEFAULT_MODE = 0o644
_SUPPORTED = {"emptyDir", "secret", "configMap", "downwardAPI", "projected"}


@dataclass(frozen=True, slots=True)
class File:
    """One file of a volume."""

    content: bytes = field(repr=False)
    mode: int = _DEFAULT_MODE


@dataclass(frozen=True, slots=True)
class TokenWanted:
    """A token of the pod's ServiceAccount, for an audience and a time in seconds."""

    path: str
    audience: str
    seconds: int


def kind_of(volume: Json) -> str:
    """The volume's kind. Raises ConfigError for one that this kubelet does not have."""
    kind = next((key for key in volume if key != "name"), "emptyDir")
    if kind not in _SUPPORTED:
        raise ConfigError(f'MountVolume.SetUp failed for volume "{volume["name"]}": the sandbox has no {kind} volumes')
    return kind


def sources_of(volume: Json) -> Iterator[tuple[str, str]]:
    """Kind and name of each Secret and ConfigMap that the volume is made from."""
    for source in _parts(volume):
        if "secret" in source:
            yield "Secret", source["secret"].get("secretName") or source["secret"]["name"]
        elif "configMap" in source:
            yield "ConfigMap", source["configMap"]["name"]


def tokens_of(volume: Json) -> Iterator[TokenWanted]:
    """Tokens that are to be in the volume."""
    for source in _parts(volume):
        if wanted := source.get("serviceAccountToken"):
            yield TokenWanted(wanted["path"], wanted.get("audience", ""), int(wanted.get("expirationSeconds", 3600)))


def files_of(volume: Json, pod: Json, sources: Sources) -> dict[str, File]:
    """Files by path within the volume, tokens aside. Raises ConfigError with what is missing."""
    files: dict[str, File] = {}
    for source in _parts(volume):
        if "secret" in source:
            name = source["secret"].get("secretName") or source["secret"]["name"]
            files |= _keys("Secret", name, source["secret"], sources)
        elif "configMap" in source:
            files |= _keys("ConfigMap", source["configMap"]["name"], source["configMap"], sources)
        elif "downwardAPI" in source:
            files |= _downward(source["downwardAPI"], pod)
    default = _default_mode(volume)
    return {path: File(file.content, file.mode or default) for path, file in files.items()}


def write_files(directory: Path, files: Mapping[str, File], owner: int, group: int | None) -> None:
    """Bring the directory to these files, each replaced at once; what is no more named goes.

    With a group (fsGroup) the files are readable for it, as kubelet's SetVolumeOwnership makes them.
    """
    for path, file in files.items():
        target = directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f"..{target.name}.new")
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as opened:
            opened.write(file.content)
        partial.chmod(file.mode | (0o440 if group is not None else 0))
        own(partial, owner, group)
        partial.replace(target)
    for found in [path for path in directory.rglob("*") if not path.is_dir()]:
        if str(found.relative_to(directory)) not in files:
            found.unlink()


def own(path: Path, owner: int, group: int | None) -> None:
    """Give a file away, which only root can; everyone else's containers run as the user that owns it already."""
    if os.geteuid() == 0:
        os.chown(path, owner, 0 if group is None else group)


def _parts(volume: Json) -> list[Json]:
    if "projected" in volume:
        return list(volume["projected"].get("sources") or ())
    return [{key: value} for key, value in volume.items() if key in {"secret", "configMap", "downwardAPI"}]


def _default_mode(volume: Json) -> int:
    return next(
        (int(value["defaultMode"]) for value in volume.values() if isinstance(value, dict) and "defaultMode" in value),
        _DEFAULT_MODE,
    )


def _keys(kind: str, name: str, source: Json, sources: Sources) -> dict[str, File]:
    found = sources.get((kind, name))
    if found is None:
        if source.get("optional"):
            return {}
        raise ConfigError(f'{kind.lower()} "{name}" not found')
    data = data_of(kind, found)
    items = source.get("items")
    if not items:
        return {key: File(value, 0) for key, value in data.items()}
    missing = [item["key"] for item in items if item["key"] not in data]
    if missing and not source.get("optional"):
        raise ConfigError(f"references non-existent {kind.lower()} key: {missing[0]}")
    return {i["path"]: File(data[i["key"]], int(i.get("mode") or 0)) for i in items if i["key"] in data}


def _downward(source: Json, pod: Json) -> dict[str, File]:
    files: dict[str, File] = {}
    containers = {container["name"]: container for container in pod["spec"]["containers"]}
    for item in source.get("items") or ():
        if reference := item.get("resourceFieldRef"):
            text = resource_of(containers[reference["containerName"]], reference)
        else:
            text = field_of(pod, item["fieldRef"]["fieldPath"])
        files[item["path"]] = File(text.encode(), int(item.get("mode") or 0))
    return files
