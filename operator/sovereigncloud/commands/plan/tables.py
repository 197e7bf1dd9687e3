"""A plan for people."""

from __future__ import annotations

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from sovereigncloud.commands.plan.report import ObjectPlan, PlannedStep, Presence, Report, Verdict
from sovereigncloud.commands.shared.terminal import table, text
from sovereigncloud.core.outcome import Phase
from sovereigncloud.core.plan import Action, Disruption, Drift

_ACTION = {
    Action.CREATE: "green", Action.ATTACH: "green", Action.INSTALL: "green", Action.MARK: "cyan",
    Action.UPDATE: "yellow", Action.MOVE: "yellow", Action.REPLACE: "red", Action.DELETE: "red", Action.DETACH: "red", Action.REINSTALL: "red",
}  # fmt: skip
_DISRUPTION = {
    Disruption.NONE: "dim",
    Disruption.CONNECTION: "yellow",
    Disruption.RESTART: "yellow",
    Disruption.REBUILD: "red",
    Disruption.DATA_LOSS: "bold red",
}
_VERDICT = {Verdict.NOTHING: "green", Verdict.CHANGES: "yellow", Verdict.ERROR: "red"}


def show(report: Report, out: Console) -> None:
    """Print it."""
    against = (
        f"Plan against the cluster at {report.cluster}"
        if report.cluster
        else "Plan straight at the APIs, without a cluster"
    )
    out.print(text(f"{against}. Nothing was changed, anywhere.", "bold"))
    for plan in report.objects:
        out.print()
        out.print(_object(plan))
    out.print()
    for note in report.notes:
        out.print(text(f"Note: {note}.", "yellow"))
    if report.unchecked:
        out.print(_unchecked(report))
    counts = report.counts()
    out.print(
        text(
            f"{counts[Verdict.CHANGES]} to change, {counts[Verdict.NOTHING]} with nothing to do,"
            f" {counts[Verdict.ERROR]} with errors.",
            f"bold {_VERDICT[report.verdict]}",
        )
    )


def _object(plan: ObjectPlan) -> RenderableType:
    parts: list[RenderableType] = [_heading(plan)]
    if plan.changed and plan.presence is Presence.CHANGED:
        parts.append(_in(text(f"the file changes {', '.join(plan.changed)}", "dim")))
    if plan.outcome.phase is not Phase.DONE or plan.outcome.message:
        style = "red" if plan.failed else "yellow" if plan.outcome.phase else "green"
        parts.append(_in(text(": ".join(filter(None, (plan.outcome.reason, plan.outcome.message))), style)))
    elif not plan.steps:
        parts.append(_in(text("nothing to do", "green")))
    if plan.steps:
        parts.append(_in(_steps(plan)))
    if plan.drift:
        parts.append(_in(_drift(plan)))
    return Group(*parts)


def _heading(plan: ObjectPlan) -> Text:
    line = text(plan.key.kind + " ", "bold") + text("/".join(filter(None, plan.key[1:])), "bold cyan")
    origin = f"composed by {plan.composed_by}" if plan.composed_by else plan.source
    presence = "" if plan.presence is Presence.UNKNOWN else plan.presence.lower()
    return line + text(f"  ({', '.join(filter(None, (presence, origin)))})", "dim")


def _steps(plan: ObjectPlan) -> Table:
    shown = table("ACTION", "TARGET", "FIELDS", "WHY", "DISRUPTION", "NEEDS")
    costs = any(s.step.cost for s in plan.steps)
    if costs:
        shown.add_column("COST", overflow="fold")
    by_path = {d.path: d for d in plan.differences}
    for planned in plan.steps:
        step = planned.step
        row = [
            text(step.action, _ACTION[step.action]),
            text(step.target + ("  (in Kubernetes)" if step.inside else "")),
            text("\n".join(_field(path, by_path.get(path)) for path in step.fields) or "-"),
            text(step.cause, "dim"),
            text(step.disruption, _DISRUPTION[step.disruption]),
            _needs(planned),
        ]
        shown.add_row(*row, *([text(step.cost or "-")] if costs else []))
    return shown


def _field(path: str, difference: Drift | None) -> str:
    if difference is None:
        return path
    return f"{path}: {difference.observed or 'absent'} -> {difference.desired or 'absent'}"


def _needs(planned: PlannedStep) -> Text:
    if planned.now:
        return text("-", "dim")
    return text(planned.held or "waits", "magenta")


def _drift(plan: ObjectPlan) -> Table:
    shown = table("DRIFT", "DECLARED", "FOUND", "ACTION")
    for verdict in plan.drift:
        drift = verdict.drift
        shown.add_row(
            text(drift.path), text(drift.desired or "absent"), text(drift.observed or "absent"), text(verdict.action)
        )
    return shown


def _unchecked(report: Report) -> Text:
    kinds: dict[str, int] = {}
    for rule in report.unchecked:
        kinds[rule.kind] = kinds.get(rule.kind, 0) + 1
    counted = ", ".join(f"{number} of {kind}" for kind, number in kinds.items())
    return text(
        f"Not checked here: the rules that only the API server runs ({counted}): what excludes what, what never changes,"
        " sizes and ranges. Ask it: kubectl apply --dry-run=server -f FILE (-o json lists the rules).",
        "dim",
    )


def _in(inner: RenderableType) -> Padding:
    return Padding(inner, (0, 0, 0, 2), expand=False)
