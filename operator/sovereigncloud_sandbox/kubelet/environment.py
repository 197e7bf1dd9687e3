"""The environment and the command of a container, as Kubernetes builds them from its spec."""

import base64
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sovereigncloud_sandbox.kubelet.images import POD_IP, Image

Json = dict[str, Any]
Sources = Mapping[tuple[str, str], Json | None]
"""Secrets and ConfigMaps by kind and name; None for one that is not there."""

_REFERENCE = re.compile(r"\$(?:\$|\(([^)]*)\))")
_KEYED = re.compile(r"metadata\.(labels|annotations)\['([^']*)'\]")
_DIVISORS = {
    "": 1.0,
    "1": 1.0,
    "1m": 0.001,
    "1k": 1e3,
    "1M": 1e6,
    "1G": 1e9,
    "1Ki": 2.0**10,
    "1Mi": 2.0**20,
    "1Gi": 2.0**30,
}
_SUFFIXES = {"n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}
_SUFFIXES |= {f"{letter}i": 2.0 ** (10 * power) for power, letter in enumerate("KMGTPE", start=1)}


class ConfigError(Exception):
    """A container cannot be created from what it names; the message is what a kubelet says."""


def expand(text: str, values: Mapping[str, str]) -> str:
    """`$(NAME)` by its value, unknown names left as they are, `$$` as one `$` (third_party/forked/golang/expansion)."""

    def one(found: re.Match[str]) -> str:
        name = found[1]
        return "$" if name is None else values.get(name, found[0])

    return _REFERENCE.sub(one, text)


def argv(container: Json, image: Image, environment: Mapping[str, str]) -> list[str]:
    """`command` replaces the ENTRYPOINT and with it the CMD, `args` the CMD."""
    command: Sequence[str] = container.get("command") or image.entrypoint
    arguments: Sequence[str] = container.get("args") or (() if container.get("command") else image.command)
    return [expand(part, environment) for part in (*command, *arguments)]


def sources_of(container: Json) -> Iterator[tuple[str, str]]:
    """Kind and name of each Secret and ConfigMap that the environment is made from."""
    for entry in container.get("envFrom") or ():
        for kind, key in (("Secret", "secretRef"), ("ConfigMap", "configMapRef")):
            if key in entry:
                yield kind, entry[key]["name"]
    for entry in container.get("env") or ():
        value = entry.get("valueFrom") or {}
        for kind, key in (("Secret", "secretKeyRef"), ("ConfigMap", "configMapKeyRef")):
            if key in value:
                yield kind, value[key]["name"]


def environment_of(
    container: Json, pod: Json, image: Image, sources: Sources, given: Mapping[str, str]
) -> dict[str, str]:
    """The whole environment: the image's, then what a kubelet gives, `envFrom`, `env`. Raises ConfigError."""
    ip = (pod.get("status") or {}).get("podIP", "")
    result = {name: value.replace(f"$({POD_IP})", ip) for name, value in image.env.items()} | dict(given)
    for entry in container.get("envFrom") or ():
        for name, value in _all_of(entry, sources).items():
            result[f"{entry.get('prefix', '')}{name}"] = value
    for entry in container.get("env") or ():
        if source := entry.get("valueFrom"):
            text = _value_from(source, container, pod, sources)
        else:
            text = expand(entry.get("value", ""), result)
        if text is not None:
            result[entry["name"]] = text
    return result


def field_of(pod: Json, path: str) -> str:
    """What `fieldRef` names. Raises ConfigError."""
    if keyed := _KEYED.fullmatch(path):
        return str((pod["metadata"].get(keyed[1]) or {}).get(keyed[2], ""))
    status, spec, metadata = pod.get("status") or {}, pod["spec"], pod["metadata"]
    values = {
        "metadata.name": metadata["name"],
        "metadata.namespace": metadata["namespace"],
        "metadata.uid": metadata["uid"],
        "metadata.labels": _lines(metadata.get("labels") or {}),
        "metadata.annotations": _lines(metadata.get("annotations") or {}),
        "spec.nodeName": spec.get("nodeName", ""),
        "spec.serviceAccountName": spec.get("serviceAccountName", ""),
        "status.hostIP": status.get("hostIP", ""),
        "status.hostIPs": status.get("hostIP", ""),
        "status.podIP": status.get("podIP", ""),
        "status.podIPs": status.get("podIP", ""),
    }
    if path not in values:
        raise ConfigError(f"unsupported fieldPath: {path}")
    return str(values[path])


def resource_of(container: Json, reference: Json) -> str:
    """What `resourceFieldRef` names, rounded up to the divisor. Raises ConfigError."""
    part, _, resource = reference["resource"].partition(".")
    resources = container.get("resources") or {}
    value = (resources.get(part) or {}).get(resource) or (resources.get("limits") or {}).get(resource) or "0"
    divisor = str(reference.get("divisor", "1"))
    if divisor not in _DIVISORS and divisor != "0":
        raise ConfigError(f"unsupported divisor {divisor}")
    return str(math.ceil(round(quantity(str(value)) / _DIVISORS.get(divisor, 1.0), 6)))


def quantity(text: str) -> float:
    """A resource quantity as a number, such as 0.1 of "100m"."""
    number, suffix = re.fullmatch(r"([0-9.eE+-]+?)([a-zA-Z]*)", text.strip()).groups()  # type: ignore[union-attr]
    return float(number) * _SUFFIXES.get(suffix, 1.0)


def data_of(kind: str, found: Json) -> dict[str, bytes]:
    """What a Secret or ConfigMap holds."""
    if kind == "Secret":
        return {key: base64.b64decode(value) for key, value in (found.get("data") or {}).items()}
    texts = {key: value.encode() for key, value in (found.get("data") or {}).items()}
    return texts | {key: base64.b64decode(value) for key, value in (found.get("binaryData") or {}).items()}


def _all_of(entry: Json, sources: Sources) -> dict[str, str]:
    kind, reference = ("Secret", entry["secretRef"]) if "secretRef" in entry else ("ConfigMap", entry["configMapRef"])
    found = sources.get((kind, reference["name"]))
    if found is None:
        if reference.get("optional"):
            return {}
        raise ConfigError(f'{kind.lower()} "{reference["name"]}" not found')
    return {key: value.decode(errors="replace") for key, value in data_of(kind, found).items()}


def _value_from(source: Json, container: Json, pod: Json, sources: Sources) -> str | None:
    if "fieldRef" in source:
        return field_of(pod, source["fieldRef"]["fieldPath"])
    if "resourceFieldRef" in source:
        return resource_of(container, source["resourceFieldRef"])
    kind, key = ("Secret", "secretKeyRef") if "secretKeyRef" in source else ("ConfigMap", "configMapKeyRef")
    if key not in source:
        raise ConfigError(f"unsupported valueFrom: {', '.join(source)}")
    reference = source[key]
    found = sources.get((kind, reference["name"]))
    if found is None:
        if reference.get("optional"):
            return None
        raise ConfigError(f'{kind.lower()} "{reference["name"]}" not found')
    value = data_of(kind, found).get(reference["key"])
    if value is None and not reference.get("optional"):
        raise ConfigError(
            f"couldn't find key {reference['key']} in {kind} {pod['metadata']['namespace']}/{reference['name']}"
        )
    return None if value is None else value.decode(errors="replace")


def _lines(values: Mapping[str, str]) -> str:
    return "\n".join(f'{key}="{value}"' for key, value in sorted(values.items()))
