"""The tree for people."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sovereigncloud.commands.shared.condition_summary import Health
from sovereigncloud.commands.shared.formatting import counted
from sovereigncloud.commands.shared.kind_names import short_names
from sovereigncloud.commands.shared.terminal import age, table, text
from sovereigncloud.commands.tree.ownership_tree import Node, Relation

STYLE = {
    Health.READY: "green",
    Health.PROGRESSING: "yellow",
    Health.STALLED: "bold red",
    Health.UNKNOWN: "dim",
    Health.MISSING: "red",
}
_KIND = "dim"
_MESSAGE = 72
"""Characters of a message that a line of the tree has room for; the whole one is in describe."""


def shown(nodes: Sequence[Node], now: datetime, *, namespaces: bool) -> RenderableType:
    """One line each. `namespaces`: names with their namespace."""
    made = table("NAME", "READY", "REASON", "DRIFT", "AGE", "")
    made.columns[0].no_wrap = True
    for column in made.columns[1:5]:
        column.no_wrap = True
    for root in nodes:
        _rows(made, root, "", "", now, namespaces=namespaces)
    return Group(made, _summary(nodes))


def _rows(made: Table, node: Node, before: str, below: str, now: datetime, *, namespaces: bool) -> None:
    made.add_row(*_cells(node, before, now, namespaces=namespaces))
    last = len(node.children) - 1
    for number, child in enumerate(node.children):
        branch, rest = ("└─ ", "   ") if number == last else ("├─ ", "│  ")
        _rows(made, child, below + branch, below + rest, now, namespaces=namespaces)


def _cells(node: Node, before: str, now: datetime, *, namespaces: bool) -> list[Text]:
    state, style = node.state, STYLE[node.state.health]
    spaced = namespaces and not before and node.key.namespace
    name = f"{node.key.namespace}/{node.key.name}" if spaced else node.key.name
    label = text(before, "dim") + text(f"{short_names().get(node.key.kind, node.key.kind.lower())}/", _KIND)
    label += text(name, "bold cyan" if not before else "cyan" if node.relation is not Relation.USES else "")
    marks = [word for word, on in (("paused", state.paused), ("deleting", state.deleting)) if on]
    detail = text(" ".join(f"[{mark}]" for mark in marks), "bold magenta")
    if state.health in {Health.READY, Health.PROGRESSING} and state.detail:
        detail += text((" " if marks else "") + state.detail, "dim")
    if state.health is not Health.READY and state.message:
        cut = state.message if len(state.message) <= _MESSAGE else state.message[: _MESSAGE - 1] + "…"
        detail += text((" " if detail.plain else "") + cut, style if state.health is not Health.UNKNOWN else "dim")
    return [
        label,
        text(state.ready or "-", style if state.ready else "dim"),
        text(state.reason or "-", style),
        text(state.drift, "bold yellow") if state.drift else text("-", "dim"),
        text(age(state.since, now), "dim"),
        detail,
    ]


def _summary(nodes: Sequence[Node]) -> Text:
    """How many are how, so that a long tree can be read from its end."""
    every = {node.key: node for root in nodes for node in root.walk() if node.key.kind != "Secret"}
    numbers = {health: sum(n.state.health is health for n in every.values()) for health in Health}
    line = text(counted(len(every), "object"), "bold")
    for health, number in numbers.items():
        if number:
            line += text("  ") + text(f"{number} {health.lower()}", STYLE[health])
    drifted = sum(1 for n in every.values() if n.state.drift)
    if drifted:
        line += text("  ") + text(f"{drifted} drifted", "bold yellow")
    return line
