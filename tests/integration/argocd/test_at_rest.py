"""Ten minutes at rest, with a sweep every three seconds: Argo CD has nothing to do, because of nothing that we did."""

import json
import time

import pytest
from tests.integration.argocd.at_rest import REPORT, REST

AT_LEAST = REST / 3 / 2
"""Sweeps: one each three seconds, with the machine busy."""


@pytest.mark.timeout(REST + 640)
def test_ten_minutes_at_rest_cause_no_sync_and_no_refresh(argocd_programs, resting):
    deadline = time.monotonic() + REST + 600
    while not (resting / REPORT).exists():
        assert time.monotonic() < deadline, (resting / "log").read_text()
        time.sleep(0.5)
    report = json.loads((resting / REPORT).read_text())
    assert "failure" not in report, report["failure"]
    before, after = report["before"], report["after"]
    assert report["seconds"] >= REST
    assert after["sweeps"] - before["sweeps"] > AT_LEAST, "the operator looked, again and again"
    assert before["app"]["sync"] == "Synced"
    assert before["app"]["health"] == "Healthy"
    for told in ("counted", "asked", "version", "reconciled at", "app"):
        assert after[told] == before[told], told
