"""Runs in the Job: what ansible-runner's events say of each test case, as JSON of less than 4096 bytes; keeps the report.

Standard library only. `CHECKS` names the test cases that are switched on.

    python3 summary.py EVENTS FOUND REPORT
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROLES = {
    "validation": "CoreServices",
    "oneflow_validation": "OneFlow",
    "network_validation": "Networks",
    "storage-benchmark": "StorageBenchmark",
    "network-benchmark": "NetworkBenchmark",
    "test_vm": "TestVM",
}
FACTS = {"verification_result": "CoreServices", "network_verification_results": "Networks"}
REPORT = "cloud_verification_report.html"
KEPT = (REPORT, "cloud_verification_report.pdf")
BAD = re.compile(r"unreachable|inactive|failed|error|\bfault\b|no hosts registered", re.IGNORECASE)
LOSS = re.compile(r'packet_loss_percent"?\'?\s*:\s*"?([0-9.]+)')
TOLD = 300

Json = dict[str, Any]


def summarise(events: Iterable[Json], checks: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Passed or Failed for each test case that is switched on."""
    ran: set[str] = set()
    failed: dict[str, str] = {}
    found: dict[str, Json] = {}
    stopped = ""
    for event in events:
        data = event.get("event_data") or {}
        role, kind = str(data.get("role") or ""), str(event.get("event") or "")
        check = ROLES.get(role, "")
        if kind == "runner_on_ok":
            ran.add(check)
            facts = (data.get("res") or {}).get("ansible_facts") or {}
            found |= {FACTS[name]: value for name, value in facts.items() if name in FACTS and isinstance(value, dict)}
        elif kind == "runner_on_unreachable" or (kind == "runner_on_failed" and not data.get("ignore_errors")):
            told = f"{data.get('task') or 'a task'} on {data.get('host') or 'a host'}"
            failed.setdefault(check, told)
            if check != "OneFlow":  # which the suite goes on after
                stopped = stopped or told
    return {check: _result(check, ran, failed, found.get(check, {}), stopped) for check in checks}


def _result(check: str, ran: set[str], failed: dict[str, str], found: Json, stopped: str) -> tuple[str, str]:
    if check in failed:
        return "Failed", f"failed in: {failed[check]}"[:TOLD]
    if check not in ran:
        return "Failed", f"not reached: the suite stopped in: {stopped or 'its start'}"[:TOLD]
    wrong = [told for name, value in found.items() for told in _wrong(str(name), value)]
    return ("Failed", "; ".join(wrong)[:TOLD]) if wrong else ("Passed", "")


def _wrong(name: str, value: object) -> list[str]:
    """What the suite's own report would mark as failed, without failing for it."""
    if isinstance(value, dict):
        return [told for part, inner in value.items() for told in _wrong(f"{name}: {part}", inner)]
    text = value if isinstance(value, str) else json.dumps(value)
    if any(float(percent) > 0 for percent in LOSS.findall(text)):
        return [f"{name}: packets are lost"]
    return [f"{name}: {' '.join(text.split())[:60]}"] if BAD.search(text) else []


def events_in(directory: Path) -> Iterable[Json]:
    """In the order in which they happened: N-uuid.json."""
    numbered = [(int(path.name.partition("-")[0]), path) for path in directory.glob("[0-9]*-*.json")]
    for _, path in sorted(numbered):
        try:
            yield json.loads(path.read_text())
        except ValueError:  # cut off when the run ended
            continue


def main(events: str, found: str, kept: str) -> None:
    results = summarise(events_in(Path(events)), os.environ.get("CHECKS", "").split())
    told: Json = {"checks": results}
    report = Path(found) / REPORT
    Path(kept).mkdir(parents=True, exist_ok=True)
    if report.exists():
        for name in KEPT:
            if (Path(found) / name).exists():
                shutil.copyfile(Path(found) / name, Path(kept) / name)
        told["digest"] = f"sha256:{hashlib.sha256(report.read_bytes()).hexdigest()}"
        told["path"] = "/".join(Path(kept).parts[-3:])
    (Path(kept) / "checks.json").write_text(json.dumps(told, indent=1))
    print(json.dumps(told, separators=(",", ":")))  # noqa: T201 - the termination message


if __name__ == "__main__":
    main(*sys.argv[1:4])
