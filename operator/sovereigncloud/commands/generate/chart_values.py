"""The chart's values as its users read them: the comments of values.yaml, as a table in the README and in the schema.

The comments are helm-docs' own form: `# -- text`, continued on the lines below it, above the key. A mapping with such a
comment is documented as a whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from sovereigncloud.commands.shared.errors import CommandError

BEGIN, END = "<!-- values: made from values.yaml by `sovereign crds --write` -->\n", "<!-- end of the values -->\n"
_MARK = "# -- "
Json = dict[str, Any]


class UndocumentedError(CommandError):
    """A value, or a place for its documentation, is missing; the message names it."""


@dataclass(frozen=True, slots=True)
class Value:
    """One documented value."""

    path: tuple[str, ...]
    default: object
    meaning: str

    @property
    def name(self) -> str:
        return ".".join(self.path)


def documented(text: str) -> list[Value]:
    """Every value of a values.yaml, in its order. Raises UndocumentedError for one without a comment."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    lines = text.splitlines()
    return list(_values(root, (), yaml.safe_load(text), lines)) if isinstance(root, yaml.MappingNode) else []


def _values(node: yaml.MappingNode, path: tuple[str, ...], value: Any, lines: Sequence[str]) -> Iterator[Value]:
    for key, below in node.value:
        here, inner = (*path, str(key.value)), value[key.value]
        meaning = _comment_above(lines, key.start_mark.line)
        if meaning:
            yield Value(here, inner, meaning)
        elif isinstance(below, yaml.MappingNode) and below.value:
            yield from _values(below, here, inner, lines)
        else:
            raise UndocumentedError(f"{'.'.join(here)}: no comment `{_MARK}...` above it in values.yaml")


def _comment_above(lines: Sequence[str], line: int) -> str:
    found: list[str] = []
    while line > 0 and (text := lines[line - 1].strip()).startswith("#"):
        found.insert(0, text.removeprefix(_MARK).removeprefix("#").strip())
        if text.startswith(_MARK):
            return " ".join(found)
        line -= 1
    return ""


def readme(text: str, values: Sequence[Value]) -> str:
    """The README with the table of values between its marks. Raises UndocumentedError without them."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise UndocumentedError("README.md of the chart: no marks between which the values are listed")
    rows = [f"| `{one.name}` | `{_cell(json.dumps(one.default))}` | {_cell(one.meaning)} |" for one in values]
    table = "\n".join(["| value | default | meaning |", "| --- | --- | --- |", *rows])
    return f"{before}{begin}\n{table}\n\n{end}{after}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def schema(text: str, values: Sequence[Value]) -> str:
    """The schema with each value's meaning as its description. Raises UndocumentedError for a value that it lacks."""
    root: Json = json.loads(text)
    for value in values:
        node = root
        for part in value.path:
            if part not in node.get("properties", {}):
                raise UndocumentedError(f"{value.name}: not in values.schema.json")
            node = node["properties"][part]
        # First, since a reader wants it before the rules.
        rules = {key: rule for key, rule in node.items() if key != "description"}
        node.clear()
        node.update({"description": value.meaning, **rules})
    return json.dumps(root, indent=2, ensure_ascii=False) + "\n"
