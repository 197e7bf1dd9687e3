"""Conditions, drift entries and the status as a whole: pure functions of what is known and what was said before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from itertools import compress, starmap
from operator import is_not
from typing import Any

from sovereigncloud.api.common.base import PAUSED
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.core.outcome import Outcome, Phase
from sovereigncloud.core.plan import Step
from sovereigncloud.core.policy import DriftVerdict

MAX_DRIFT = 64
MAX_STEPS = 64
MAX_TEXT = 253
MAX_VALUE = 1024
MAX_MESSAGE = 4096
MAX_COST = 128
_TOLD = 5
_SHARED = frozenset({"Ready", "Reconciling", "Stalled", "Drifted", "Paused"})

Json = dict[str, Any]
_AS_JSON = frozenset({str, int, float, bool, type(None)})
_TEXT, _NESTED, _TEXTS = frozenset({str}), frozenset({dict, list}), frozenset({str, dict, list})


def timestamp(now: datetime) -> str:
    """As Kubernetes writes times."""
    return _second(int(now.timestamp()))


@lru_cache(maxsize=8)
def _second(second: int) -> str:
    """A sweep writes thousands of times in one."""
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def conditions(
    outcome: Outcome,
    drift: tuple[DriftVerdict, ...] | None,
    previous: Json,
    *,
    generation: int,
    paused: bool,
    now: str,
    own: Sequence[Json] | None = None,
) -> list[Json]:
    """The conditions to write.

    Ready is always there and stays True within a generation while the thing outside does its job; Reconciling and
    Stalled are there only while true, never both (kstatus reads them so); Drifted once reality was looked at.

    Args:
        outcome: what the loop came to.
        drift: None: reality could not be looked at, what was said of it stays.
        previous: the status written before.
        generation: of the spec that was looked at.
        paused: whether the annotation is set.
        now: a timestamp.
        own: further conditions of the kind, such as Verified (type, status, reason, message). None: reality could not be
            looked at, what was said in them stays.
    """
    if outcome.phase is Phase.RETRY and outcome.message:
        outcome = replace(outcome, message=f"{outcome.message}; it is tried again by itself")
    before = {c["type"]: c for c in previous.get("conditions") or []}
    was_ready = before.get("Ready", {}).get("status") == "True" and previous.get("observedGeneration") == generation
    wanted: list[Json] = [_ready(outcome, was_ready=was_ready)]
    if outcome.phase is Phase.STALLED:
        wanted.append(_condition("Stalled", "True", outcome.reason, outcome.message))
    elif outcome.phase is not Phase.DONE:
        wanted.append(_condition("Reconciling", "True", outcome.reason, outcome.message))
    wanted.extend(_drifted(drift, before, same_generation=previous.get("observedGeneration") == generation))
    if paused:
        wanted.append(
            _condition(
                "Paused",
                "True",
                Reason.PAUSED_BY_ANNOTATION,
                f"nothing outside is written; remove the annotation {PAUSED} to go on",
            )
        )
    if own is None:
        wanted += [dict(c) for kind, c in before.items() if kind not in _SHARED]
    else:
        wanted += [_condition(c["type"], c["status"], c["reason"], c["message"]) for c in own]
    for condition in wanted:
        old = before.get(condition["type"], {})
        same = old.get("status") == condition["status"]
        condition["lastTransitionTime"] = old.get("lastTransitionTime") or now if same else now
    told = previous.get("conditions")
    return told if wanted == told else wanted  # nothing but texts: what equals is the same


def _ready(outcome: Outcome, *, was_ready: bool) -> Json:
    if outcome.phase is Phase.DONE:
        return _condition("Ready", "True", outcome.reason or Reason.AS_DECLARED, outcome.message or "as declared")
    if was_ready and outcome.phase is not Phase.STALLED and outcome.available:
        # True as before; the one line that `kubectl get` has for it tells what is going on meanwhile.
        return _condition("Ready", "True", outcome.reason, outcome.message)
    return _condition("Ready", "False", outcome.reason, outcome.message)


def _drifted(
    drift: tuple[DriftVerdict, ...] | None, before: Mapping[str, Json], *, same_generation: bool
) -> list[Json]:
    if drift is None:
        if "Drifted" not in before:
            return []
        if not same_generation:
            # What was said of the spec before says nothing of this one, which was never compared with reality.
            return [
                _condition("Drifted", "Unknown", Reason.NOT_OBSERVED, "reality was not compared with this spec yet")
            ]
        return [dict(before["Drifted"])]
    counted = [v for v in drift if v.action != "Ignored"]
    if not counted:
        return [_condition("Drifted", "False", Reason.IN_SYNC, "nothing was changed from outside")]
    reason = Reason.CORRECTING if any(v.action == "Correcting" for v in counted) else Reason.REPORT_ONLY
    return [_condition("Drifted", "True", reason, differences(counted))]


def differences(verdicts: Sequence[DriftVerdict]) -> str:
    """The first few in words, and why nothing is done about those that are only reported."""
    shown = ", ".join(
        f"{v.drift.path} is {v.drift.observed or 'absent'} instead of {v.drift.desired or 'absent'}"
        for v in verdicts[:_TOLD]
    )
    more = f" and {len(verdicts) - _TOLD} more" if len(verdicts) > _TOLD else ""
    remedies = dict.fromkeys(v.remedy for v in verdicts if v.action == "Reported" and v.remedy)
    left = f"; reported only: {'; '.join(remedies)}" if remedies else ""
    return f"{shown}{more}{left}"


def _condition(kind: str, status: str, reason: str, message: str) -> Json:
    return {
        "type": kind,
        "status": status,
        "reason": str(reason or Reason.OBSERVING),
        "message": message[:MAX_MESSAGE],
    }


def drift_entries(drift: tuple[DriftVerdict, ...], previous: Json, now: str) -> list[Json]:
    """For `status.drift`: bounded, one per path since it is a map, with the time since when each field differs."""
    since = {d["path"]: d.get("since") for d in previous.get("drift") or []}
    entries: dict[str, Json] = {}
    for verdict in drift:
        path = verdict.drift.path[:MAX_TEXT]
        known = entries.get(path)
        if known is not None:
            known["observed"] = f"{known['observed']}; {verdict.drift.observed}"[:MAX_VALUE]
            continue
        if len(entries) == MAX_DRIFT:
            break
        entries[path] = {
            "path": path,
            "desired": verdict.drift.desired[:MAX_VALUE],
            "observed": verdict.drift.observed[:MAX_VALUE],
            "action": verdict.action,
            "since": since.get(path) or now,
        }
    return list(entries.values())


def drift_count(drift: tuple[DriftVerdict, ...]) -> int:
    """For the DRIFT column: fields that differ and are not ignored, also those that the list has no room for."""
    return len({v.drift.path for v in drift if v.action != "Ignored"})


def plan_status(steps: tuple[Step, ...], digest: str) -> Json | None:
    """For `status.plan`; None when there is nothing to show."""
    if not steps:
        return None
    return {"hash": digest, "steps": [_step(s) for s in steps[:MAX_STEPS]]}


def _step(step: Step) -> Json:
    shown: Json = {
        "action": str(step.action),
        "target": step.target[:MAX_TEXT],
        "disruption": str(step.disruption),
    }
    if step.fields:
        shown["fields"] = [field[:MAX_TEXT] for field in step.fields[:MAX_STEPS]]
    if step.cost:
        shown["cost"] = step.cost[:MAX_COST]
    if step.needs:
        shown["needs"] = step.needs[:MAX_TEXT]
    return shown


def plain(value: object) -> Any:
    """A value as JSON holds it: lists for tuples, texts for enumerations, and nothing where there is None. What the API
    server would store otherwise would differ from it for ever.
    """
    kind = type(value)
    if kind in _AS_JSON:  # most of it, and asking for an abstract class takes ten times as long
        return value
    if kind is dict or isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items() if v is not None}  # type: ignore[attr-defined]  # a mapping
    if isinstance(value, list | tuple):
        return [plain(v) for v in value if v is not None]
    return str(value) if isinstance(value, str) else value


def says(told: Mapping[str, Any], wanted: Mapping[str, object]) -> bool:
    """Whether what is stored says already all that `wanted` would be in JSON. Of ten thousand machines at rest nearly every
    status does, and then nothing is built to find that out. False may be too careful: then `merge_patch` tells.
    """
    known, values = list(map(told.get, wanted)), list(wanted.values())
    others = compress(zip(known, values, strict=True), map(is_not, known, values))
    return all(starmap(_says, others)) and None not in told.values()


def _says(told: Any, wanted: Any) -> bool:
    """Whether `told` is what `plain` makes of `wanted`. Texts that are equal are the same; but Python's true equals 1, and nothing is
    left out of a list.
    """
    kind = type(wanted)
    if kind is str:
        return bool(told == wanted)
    if kind in _NESTED and told == wanted and _is_of_texts(wanted):
        return True
    if kind is dict:
        return type(told) is dict and _says_each(told, wanted)
    if kind is list or kind is tuple:
        return type(told) is list and len(told) == len(wanted) and all(map(_says, told, wanted))
    if kind in _AS_JSON:
        return wanted is not None and type(told) is kind and bool(told == wanted)
    return isinstance(wanted, str) and bool(told == str(wanted))


def _is_of_texts(nested: Any) -> bool:
    """Whether there is nothing in it but texts, at any depth."""
    values = nested.values() if type(nested) is dict else nested
    kinds = set(map(type, values))
    if kinds <= _TEXT:
        return True
    return kinds <= _TEXTS and all(_is_of_texts(one) for one in values if type(one) is not str)


def _says_each(told: Json, wanted: Json) -> bool:
    there = {key: value for key, value in wanted.items() if value is not None}
    return len(there) == len(told) and all(map(_says, map(told.get, there), there.values()))


def merge_patch(old: Mapping[str, Any], new: Mapping[str, Any]) -> Json:
    """The JSON merge patch (RFC 7386) that turns old into new: null for keys that went, lists whole. `new` holds no
    null, which such a patch could not write.
    """
    patch: Json = {}
    if _same(old, new):
        return patch
    for key in old.keys() | new.keys():
        if key not in new:
            patch[key] = None
        elif key not in old:
            patch[key] = new[key]
        elif old[key] is new[key]:
            continue
        elif isinstance(old[key], dict) and isinstance(new[key], dict):
            if below := merge_patch(old[key], new[key]):
                patch[key] = below
        elif not _same(old[key], new[key]):
            patch[key] = new[key]
    return patch


def _same(old: object, new: object) -> bool:
    """Equal as JSON: Python's true equals 1."""
    return old is new or (old == new and _as_true(old, new))


def _as_true(old: Any, new: Any) -> bool:
    """Of two that Python finds equal: whether what is true or false in one is no number in the other."""
    if isinstance(old, dict):  # most of it is text, and texts that are equal are the same
        return all(_as_true(value, new[key]) for key, value in old.items() if type(value) is not str)
    if isinstance(old, list):
        return all(_as_true(*both) for both in zip(old, new, strict=True) if type(both[0]) is not str)
    return isinstance(old, bool) == isinstance(new, bool)
