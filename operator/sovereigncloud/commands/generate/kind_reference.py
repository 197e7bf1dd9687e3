"""The reference of a kind for the documentation, from its CustomResourceDefinition: what the API server accepts.

A page has a part written by hand, which teaches by an example, and below a mark this part.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sovereigncloud.api import KINDS
from sovereigncloud.api.common.base import API_VERSION
from sovereigncloud.api.schema.crd import AnyResource, custom_resource_definition
from sovereigncloud.api.schema.structural import RULES

MARK = "<!-- Below: generated from the models in operator/sovereigncloud/api by `sovereign crds --write`. Do not edit. -->\n"
_BOUNDS = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} entries",
    "maxItems": "at most {} entries",
    "maxProperties": "at most {} entries",
    "pattern": "pattern `{}`",
}

Schema = Mapping[str, Any]


def pages(directory: Path) -> dict[str, str]:
    """The files of the directory: what is written by hand in each of them, and the reference as it should be below."""
    return {name: _by_hand(directory / name, kind) + MARK + reference(kind) for name, kind in _kinds()}


def _kinds() -> Iterator[tuple[str, type[AnyResource]]]:
    for kind in KINDS:
        yield f"{kind.crd.kind.lower()}.md", kind


def _by_hand(page: Path, kind: type[AnyResource]) -> str:
    text = page.read_text(encoding="utf-8") if page.is_file() else f"# {kind.crd.kind}\n\n"
    return text.partition(MARK)[0]


def reference(kind: type[AnyResource]) -> str:
    """The reference of one kind, in Markdown."""
    crd = custom_resource_definition(kind)
    version = crd["spec"]["versions"][0]
    schema: Schema = version["schema"]["openAPIV3Schema"]
    names = crd["spec"]["names"]
    lines = [
        "",
        "## Reference",
        "",
        schema["description"],
        "",
        "| | |",
        "| --- | --- |",
        f"| apiVersion | `{API_VERSION}` |",
        f"| kind | `{names['kind']}` |",
        f"| names for kubectl | {', '.join(f'`{n}`' for n in (names['plural'], *names['shortNames']))} |",
        f"| category | {', '.join(f'`{n}`' for n in names['categories'])} |",
        f"| scope | {crd['spec']['scope']} |",
        f"| deletionPolicy unless said | `{kind.default_deletion_policy}` |",
        "",
        *_columns(version["additionalPrinterColumns"]),
        *_refusals(schema),
        *_section(schema["properties"]["spec"], "spec"),
        *_section(schema["properties"]["status"], "status"),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _columns(columns: Sequence[Schema]) -> list[str]:
    rows = [
        f"| {column['name'].upper()} | `{_cell(column['jsonPath'])}` | {'`-o wide`' if column.get('priority') else 'always'} |"
        for column in columns
    ]
    return ["### Columns of kubectl get", "", "| column | from | shown |", "| --- | --- | --- |", *rows, ""]


def _refusals(schema: Schema) -> list[str]:
    """What the rules in the schema refuse, in the words that kubectl prints."""
    rows = list(dict.fromkeys(_rules(schema, "")))
    return (
        ["### Refused at apply", "", *(f"- `{place}`: {_cell(message)}" for place, message in rows), ""] if rows else []
    )


def _rules(schema: Schema, path: str) -> Iterator[tuple[str, str]]:
    for rule in schema.get(RULES, ()):
        yield f"{path}{rule.get('fieldPath', '')}".lstrip(".") or "the object", rule["message"]
    for name, child in schema.get("properties", {}).items():
        yield from _rules(child, f"{path}.{name}")
    if "items" in schema:
        yield from _rules(schema["items"], f"{path}[]")


def _section(schema: Schema, path: str) -> list[str]:
    """A table of the fields of one object, then the sections of the objects in it."""
    required = schema.get("required", ())
    lines = [f"### {path}", ""]
    if "description" in schema:
        lines += [_cell(schema["description"]), ""]
    lines += ["| field | type | meaning |", "| --- | --- | --- |"]
    below: list[str] = []
    for name, child in schema["properties"].items():
        place = f"{path}.{name}"
        meaning = [_cell(child.get("description", ""))]
        inner = child["items"] if child.get("type") == "array" else child
        if "properties" in inner:
            place += "[]" if child.get("type") == "array" else ""
            meaning.append(f"See [{place}](#{_anchor(place)}).")
            below += _section(inner, place)
        meaning.append(_constraints(child))
        mark = " (required)" if name in required else ""
        lines.append(f"| `{name}`{mark} | {_type(child)} | {' '.join(m for m in meaning if m)} |")
    return [*lines, "", *below]


def _type(schema: Schema) -> str:
    if schema.get("x-kubernetes-int-or-string"):
        return "quantity"
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    if "additionalProperties" in schema:
        return f"map of {_type(schema['additionalProperties'])}"
    if "enum" in schema:
        return " \\| ".join(f"`{value}`" for value in schema["enum"])
    return str(schema["type"])


def _constraints(schema: Schema) -> str:
    found = [*_bounds(schema), *(f"each {bound}" for bound in _bounds(schema.get("items", {})))]
    match schema.get("x-kubernetes-list-type"):
        case "map":
            found.append(f"one entry per {', '.join(f'`{key}`' for key in schema['x-kubernetes-list-map-keys'])}")
        case "set":
            found.append("no value twice")
        case _:
            pass
    if "default" in schema:
        found.append(f"default `{schema['default']}`")
    return f"*{'; '.join(found)}.*" if found else ""


def _bounds(schema: Schema) -> Iterator[str]:
    for key, text in _BOUNDS.items():
        if key not in schema or (key == "pattern" and schema.get("x-kubernetes-int-or-string")):
            continue
        yield (
            "not empty"
            if key in {"minLength", "minItems"} and schema[key] == 1
            else text.format(_cell(str(schema[key])))
        )


def _cell(text: str) -> str:
    """Text in a table: no bar ends the cell, no bracket begins a tag, paragraphs are sentences."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def _anchor(heading: str) -> str:
    """As Python-Markdown makes the id of a heading, and GitHub does as well."""
    return "".join(c for c in heading.lower() if c.isalnum() or c in "-_ ").replace(" ", "-")
