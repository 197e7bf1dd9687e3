"""What the given files declare: objects of ours, checked strictly, and Secrets."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sovereigncloud.api.common.base import API_VERSION, GROUP, Key
from sovereigncloud.commands.plan.manifest_validation import MODELS, problems
from sovereigncloud.commands.plan.manifests import Document
from sovereigncloud.commands.shared.errors import CommandError

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Declared:
    """Checked contents of files.

    Attributes:
        objects: documents of our kinds by key, in the order of the files.
        secrets: (namespace, name) -> decoded values. Kept out of repr.
        ignored: what else was there, in words.
        live: they were read from the cluster, whose API server has checked them.
    """

    objects: Mapping[Key, Document]
    secrets: Mapping[tuple[str, str], Mapping[str, str]] = field(repr=False)
    ignored: tuple[str, ...]
    live: bool = False


def declared(documents: Sequence[Document], namespace: str) -> Declared:
    """Sort and check documents.

    Args:
        documents: as read.
        namespace: of objects that name none.

    Raises:
        CommandError: with every problem of every document.
    """
    objects: dict[Key, Document] = {}
    secrets: dict[tuple[str, str], Mapping[str, str]] = {}
    wrong: list[str] = []
    ignored: list[str] = []
    for document in documents:
        kind, version = document.body.get("kind"), document.body.get("apiVersion")
        if not isinstance(kind, str) or not isinstance(version, str):
            wrong.append(f"{document.source}: document {document.number} has no apiVersion and kind: it is no manifest")
        elif version.partition("/")[0] == GROUP:
            found = _wrong_kind(document, kind, version) or problems(document)
            wrong.extend(found)
            if not found:
                metadata = document.body["metadata"]
                where = (metadata.get("namespace") or namespace) if MODELS[kind].crd.namespaced else ""
                key = Key(kind, where, metadata["name"])
                if key in objects:
                    wrong.append(f"{document.source}: {key} is given twice, also at {objects[key].source}: remove one")
                objects[key] = document
        elif (version, kind) == ("v1", "Secret"):
            found, place, values = _secret(document, namespace)
            wrong.extend(found)
            secrets[place] = values
        else:
            ignored.append(f"{document.source}: {kind} of {version}")
    if wrong:
        raise CommandError(*wrong)
    if not objects:
        raise CommandError(f"no object of {GROUP} in what was given: name files that hold one of {', '.join(MODELS)}")
    return Declared(objects, secrets, tuple(ignored))


def in_cluster(bodies: Mapping[Key, Json]) -> Declared:
    """What a cluster holds, as if it were applied once more."""
    documents = {key: Document("", number, body, None) for number, (key, body) in enumerate(bodies.items(), 1)}
    return Declared(documents, {}, (), live=True)


def _wrong_kind(document: Document, kind: str, version: str) -> list[str]:
    if kind not in MODELS:
        return [f"{document.line(('kind',))}: {GROUP} has no kind {kind}: its kinds are {', '.join(MODELS)}"]
    if version != API_VERSION:
        return [f"{document.line(('apiVersion',))}: apiVersion {version} is not known: write {API_VERSION}"]
    return []


def _secret(document: Document, namespace: str) -> tuple[list[str], tuple[str, str], Mapping[str, str]]:
    """Problems, where it is, its values. No message shows a value."""
    metadata = document.body.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if not isinstance(metadata, dict) or not isinstance(name, str):
        return [f"{document.source}: {document}: metadata.name is missing"], ("", ""), {}
    wrong: list[str] = []
    values: dict[str, str] = {}
    for part in ("data", "stringData"):
        entries = document.body.get(part) or {}
        if not isinstance(entries, dict):
            wrong.append(f"{document.line((part,))}: {document}: {part} must be an object")
            continue
        for key, value in entries.items():
            try:
                values[str(key)] = base64.b64decode(value, validate=True).decode() if part == "data" else _text(value)
            except (binascii.Error, UnicodeDecodeError, TypeError, ValueError):
                remedy = "is not base64 of text: put plain text under stringData" if part == "data" else "must be text"
                wrong.append(f"{document.line((part, key))}: {document}: {part}.{key} {remedy}")
    return wrong, (metadata.get("namespace") or namespace, name), values


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value
