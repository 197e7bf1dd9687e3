"""Terms, indexes and lag of zones: metrics, since they move by themselves."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

from sovereigncloud.engine.gauges import Account, Now, gauges
from sovereigncloud.engine.telemetry.metric_catalogue import Api
from sovereigncloud.ports.opennebula.zones import (
    Answer,
    Federation,
    FederationView,
    InStep,
    Mode,
    Raft,
    RaftState,
    ZoneServer,
)


def told(federation: FederationView | None) -> dict[str, list[Any]]:
    watch: Any = SimpleNamespace(swept_at=0.0, failures=0, view=SimpleNamespace(federation=federation))
    account = Account(Api.OPENNEBULA, "platform/rbx", watch, None)
    now = Now(True, Counter(), 0, 0.0, (account,), (), Counter())  # type: ignore[arg-type]
    families = gauges(lambda: now)()
    return {family.name: list(samples) for family, samples in families.items() if "_zone_" in family.name}


def test_each_server_that_answers_says_how_far_it_is() -> None:
    raft = Raft(RaftState.LEADER, term=4, commit=34, log_index=36, fed_index=20)
    answers = (Answer(ZoneServer(0, "s0", "http://a"), raft), Answer(ZoneServer(1, "s1", "http://b"), why="refused"))
    step = InStep(master=True, behind=True, index=20, lag=15)
    assert told(FederationView(Federation(Mode.SLAVE, 100), answers=answers, in_step=step)) == {
        "sovereign_zone_raft_term": [(("platform/rbx", "0"), 4)],
        "sovereign_zone_raft_log_index": [(("platform/rbx", "0"), 36)],
        "sovereign_zone_raft_commit_index": [(("platform/rbx", "0"), 34)],
        "sovereign_zone_federation_log_index": [(("platform/rbx", "0"), 20)],
        "sovereign_zone_lag_records": [(("platform/rbx",), 15)],
    }


def test_where_nobody_knows_nothing_is_told() -> None:
    for federation in (None, FederationView(in_step=InStep(master=False, why="refused"))):
        assert not any(told(federation).values())
