"""A description for people: the tree first, then what there is to do, then the details."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.text import Text
from rich.tree import Tree

from sovereigncloud.api.common.base import Condition, Key, Status
from sovereigncloud.commands.shared.description import Connected, Description, is_ready, main_condition
from sovereigncloud.commands.shared.terminal import age, table, text
from sovereigncloud.engine.cache.store import AnyResource

_SHOWN = 20
"""So many of what refers to an object are named, those that are not ready first."""
_LAST_EVENTS = 15
_GOOD, _BAD, _GOING = "green", "red", "yellow"


def show(found: Description, out: Console) -> None:
    """Print it."""
    out.print(_tree(found))
    _section(out, "Now", _facts(found))
    _section(out, "Where it is", _locations(found))
    _section(out, "Waits for", _waits(found))
    _section(out, "Do next", [text(line) for line in found.advice])
    _section(out, "Conditions", _conditions(found))
    _section(out, "Drift", _drift(found))
    _section(out, "Plan", _plan(found))
    _section(out, "Last steps", _events(found))


def _section(out: Console, title: str, lines: Sequence[RenderableType]) -> None:
    if lines:
        out.print()
        out.print(text(title, "bold"))
        for line in lines:
            out.print(Padding(line, (0, 0, 0, 2), expand=False))


# --- the tree --------------------------------------------------------------------------------------------------------


def _tree(found: Description) -> Tree:
    here = Tree(_label(found.resource.key, found.resource, found))
    top = here
    if found.owner is not None:
        top = Tree(_label(found.owner.key, found.owner.resource, found) + text("  composed it", "dim"))
        top.children.append(here)
    if found.uses or found.secrets:
        branch = here.add(text("uses", "dim"))
        for connected in found.uses:
            branch.add(_label(connected.key, connected.resource, found))
        for name, there in found.secrets.items():
            state, style = {True: ("there", _GOOD), False: ("missing", _BAD), None: ("may not be read", "dim")}[there]
            branch.add(text(f"Secret {name}  ") + text(state, style))
    _group(here, "composed", found.composed, found)
    _group(here, "used by", found.users, found)
    return top


def _group(tree: Tree, title: str, members: Sequence[Connected], found: Description) -> None:
    if not members:
        return
    ready = sum(c.ready for c in members)
    branch = tree.add(text(f"{title} ({ready}/{len(members)} ready)", "dim"))
    for connected in members[:_SHOWN]:
        branch.add(_label(connected.key, connected.resource, found))
    if len(members) > _SHOWN:
        branch.add(text(f"and {len(members) - _SHOWN} more", "dim"))


def _label(key: Key, resource: AnyResource | None, found: Description) -> Text:
    where = key.name if key.namespace == found.resource.metadata.namespace else f"{key.namespace}/{key.name}"
    label = text(f"{key.kind} ", "") + text(where, "bold cyan") + text("  ")
    if resource is None:
        return label + text("does not exist, or may not be read", _BAD)
    condition = main_condition(resource)
    if resource.deleting:
        label += text("deleting ", _GOING)
    if condition is None or (resource.status.observed_generation or -1) < 0:
        label += text("not looked at yet", _GOING)
    else:
        word = "Ready" if condition.type == "Ready" and is_ready(resource) else condition.reason
        label += text(word, _style(condition, resource)) + text(
            f" {age(condition.last_transition_time, found.now)}", "dim"
        )
    if resource.status.drift_count:
        label += text(f"  drift {resource.status.drift_count}", _GOING)
    return label


def _style(condition: Condition, resource: AnyResource) -> str:
    if condition.type == "Stalled":
        return _BAD
    return _GOOD if condition.type == "Ready" and is_ready(resource) else _GOING


# --- facts -----------------------------------------------------------------------------------------------------------


def _facts(found: Description) -> list[RenderableType]:
    resource = found.resource
    metadata, status = resource.metadata, resource.status
    management = str(found.policy.management)
    if (resource.spec.management or "Manage") != found.policy.management:
        management += "  (as what it is in says; its own is " + str(resource.spec.management or "Manage") + ")"
    rows = [
        ("age", age(metadata.creation_timestamp, found.now)),
        ("generation", f"{metadata.generation}, looked at: {_observed(status)}"),
        ("name outside", resource.outside_name),
        ("management", management),
        ("when deleted", f"{resource.deletion_policy} what exists outside"),
    ]
    if metadata.deletion_timestamp:
        rows.append(("being deleted", f"for {age(metadata.deletion_timestamp, found.now)}"))
    if resource.paused:
        rows.append(("paused", "nothing outside is written"))
    own = type(status).model_fields
    rows += [
        (info.alias or name, _shown(value))
        for name, info in own.items()
        if name not in {*Status.model_fields, "locations"} and (value := getattr(status, name)) is not None
    ]
    rows += [(f"outside: {name}", value) for name, value in resource.external.items()]
    facts = table("", "")
    facts.show_header = False
    for name, value in rows:
        facts.add_row(text(name, "dim"), text(value))
    return [facts]


def _observed(status: Status) -> str:
    observed = status.observed_generation
    return "not yet" if observed is None or observed < 0 else str(observed)


def _shown(value: Any) -> str:
    if isinstance(value, BaseModel):
        parts = ((info.alias or name, getattr(value, name)) for name, info in type(value).model_fields.items())
        return ", ".join(f"{name} {_shown(part)}" for name, part in parts if part is not None)
    if isinstance(value, list):
        return "\n".join(_shown(v) for v in value) or "none"
    return str(value)


def _locations(found: Description) -> list[RenderableType]:
    locations = getattr(found.resource.status, "locations", None)
    if not locations:
        return []
    shown = table("PART", "COUNTRY", "DATACENTER", "GRADE", "FOR", "SOURCE")
    for one in locations:
        shown.add_row(
            text(one.name), text(one.country or "unknown", "" if one.country else _GOING), text(one.datacenter or "-"),
            text(one.grade or "None"), text(age(one.since, found.now)), text(one.source or "-"),
        )  # fmt: skip
    return [shown]


def _waits(found: Description) -> list[RenderableType]:
    return [text(f"{'  ' * depth}{'<- ' if depth else ''}{line}") for depth, line in found.waits_for]


def _conditions(found: Description) -> list[RenderableType]:
    conditions = found.resource.status.conditions or []
    if not conditions:
        return []
    shown = table("TYPE", "STATUS", "FOR", "REASON", "MESSAGE")
    for c in conditions:
        good = (c.status == "True") == (c.type == "Ready")
        shown.add_row(
            text(c.type), text(c.status, _GOOD if good else _GOING), text(age(c.last_transition_time, found.now)),
            text(c.reason), text(c.message),
        )  # fmt: skip
    return [shown]


def _drift(found: Description) -> list[RenderableType]:
    if not found.resource.status.drift:
        return []
    shown = table("FIELD", "DECLARED", "FOUND", "ACTION", "FOR")
    for d in found.resource.status.drift:
        shown.add_row(
            text(d.path), text(d.desired or "absent"), text(d.observed or "absent"), text(d.action),
            text(age(d.since, found.now)),
        )  # fmt: skip
    return [shown]


def _plan(found: Description) -> list[RenderableType]:
    plan = found.resource.status.plan
    if plan is None:
        return []
    shown = table("ACTION", "TARGET", "FIELDS", "DISRUPTION", "COST", "NEEDS")
    for step in plan.steps:
        shown.add_row(
            text(step.action), text(step.target), text("\n".join(step.fields or ()) or "-"), text(step.disruption),
            text(step.cost or "-"), text(step.needs or "-"),
        )  # fmt: skip
    return [text(f"hash {plan.hash}", "dim"), shown]


def _events(found: Description) -> list[RenderableType]:
    if found.events is None:
        return [text("events may not be read", "dim")]
    if not found.events:
        return []
    shown = table("AGO", "TYPE", "REASON", "MESSAGE")
    for event in found.events[-_LAST_EVENTS:]:
        when = event.get("lastTimestamp") or event.get("eventTime") or event.get("firstTimestamp")
        count = event.get("count") or 1
        message = f"{event.get('message', '')}{f'  (x{count})' if count > 1 else ''}"
        kind = event.get("type", "")
        shown.add_row(
            text(age(when, found.now)), text(kind, _GOING if kind == "Warning" else ""), text(event.get("reason", "")),
            text(message),
        )  # fmt: skip
    return [shown]
