"""Manifests from files: documents with the lines they stand on."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sovereigncloud.commands.shared.errors import CommandError

STDIN = "-"
_SUFFIXES = (".yaml", ".yml", ".json")

Json = dict[str, Any]
Location = tuple[str | int, ...]


class _Loader(yaml.SafeLoader):
    """As Kubernetes reads YAML: a timestamp is text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a file, or one item of a List in it.

    Attributes:
        file: the path as it was given; "-" is standard input.
        number: which document of the file it is, from 1.
        body: what it says.
        node: where each part of it stands; None: it comes from no file.
    """

    file: str
    number: int
    body: Json
    node: yaml.Node | None

    @property
    def source(self) -> str:
        """file:line of its first line; empty where it comes from no file."""
        return self.line(()) if self.node else ""

    def line(self, location: Location) -> str:
        """file:line of a field, or of what is nearest around it."""
        return f"{_shown(self.file)}:{self.position(location)[0] + 1}"

    def position(self, location: Location) -> tuple[int, int]:
        """Line and column, from 0."""
        node = self.node
        if node is None:
            return 0, 0
        for part in location:
            found = _child(node, part)
            if found is None:
                break
            node = found
        return node.start_mark.line, node.start_mark.column

    def __str__(self) -> str:
        metadata = self.body.get("metadata")
        name = metadata.get("name") if isinstance(metadata, dict) else None
        return f"document {self.number} ({self.body.get('kind', '?')} {name or '?'})"


def _child(node: yaml.Node, part: str | int) -> yaml.Node | None:
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int):
        return node.value[part] if part < len(node.value) else None
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == part), None)
    return None


def read(paths: Sequence[str], *, recursive: bool = False) -> list[Document]:
    """All documents of files, directories (their .yaml, .yml and .json files) and standard input.

    Raises:
        CommandError: a path that cannot be read, or text that is no YAML.
    """
    found: list[Document] = []
    for path in paths:
        for file in _files(path, recursive=recursive):
            found.extend(_documents(file, _text(file)))
    return found


def _files(path: str, *, recursive: bool) -> list[str]:
    place = Path(path)
    if path == STDIN or not place.is_dir():
        return [path]
    inside = place.rglob("*") if recursive else place.iterdir()
    files = sorted(str(p) for p in inside if p.suffix in _SUFFIXES and p.is_file())
    if not files:
        raise CommandError(f"{path}: no {', '.join(_SUFFIXES)} file in this directory (--recursive looks deeper)")
    return files


def _text(file: str) -> str:
    try:
        return sys.stdin.read() if file == STDIN else Path(file).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise CommandError(f"{file}: there is no such file") from None
    except OSError as error:
        raise CommandError(f"{file}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CommandError(f"{file}: is not UTF-8 text") from None


def _documents(file: str, text: str) -> Iterator[Document]:
    loader = _Loader(text)
    number = 0
    try:
        while loader.check_node() and (node := loader.get_node()) is not None:
            number += 1
            _check_nodes(node, set(), set())
            body = loader.construct_document(node)
            if body is None:
                continue
            if not isinstance(body, dict):
                raise CommandError(f"{_shown(file)}:{node.start_mark.line + 1}: document {number} is not an object")
            yield from _items(Document(file, number, body, node))
    except yaml.MarkedYAMLError as error:
        # Only the problem and its place: the snippet that yaml would add could be a line of a Secret.
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise CommandError(f"{_shown(file)}:{line}: not valid YAML: {error.problem or 'syntax'}") from None
    except yaml.YAMLError:
        raise CommandError(f"{_shown(file)}: not valid YAML: it holds characters that YAML does not allow") from None
    finally:
        loader.dispose()


def _items(document: Document) -> Iterator[Document]:
    """The items of a List, as `kubectl get -o yaml` writes it."""
    items = document.body.get("items")
    if not str(document.body.get("kind", "")).endswith("List") or not isinstance(items, list):
        yield document
        return
    nodes = _child(document.node, "items") if document.node else None
    for index, item in enumerate(items):
        node = _child(nodes, index) if nodes is not None else None
        if isinstance(item, dict):
            yield Document(document.file, document.number, item, node or document.node)


def _check_nodes(node: yaml.Node, checked: set[int], around: set[int]) -> None:
    """Refuse what the API server would: a key given twice (YAML's last one would win silently), and an alias to what it
    stands in.
    """
    if id(node) in around:
        raise yaml.MarkedYAMLError(problem="an alias refers to what it stands in", problem_mark=node.start_mark)
    if id(node) in checked or not isinstance(node, yaml.CollectionNode):
        return
    checked.add(id(node))
    inside = {*around, id(node)}
    if isinstance(node, yaml.MappingNode):
        keys: set[str] = set()
        for key, _ in node.value:
            if key.value in keys and key.tag != "tag:yaml.org,2002:merge":
                raise yaml.MarkedYAMLError(problem=f"the key {key.value} is given twice", problem_mark=key.start_mark)
            keys.add(key.value)
    for child in node.value:
        _check_nodes(child[1] if isinstance(child, tuple) else child, checked, inside)


def _shown(file: str) -> str:
    return "standard input" if file == STDIN else file
