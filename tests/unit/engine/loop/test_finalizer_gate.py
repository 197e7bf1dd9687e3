"""What an object waits for before anything of it is looked at."""

from __future__ import annotations

from typing import Any

import pytest

from sovereigncloud.api.common.base import Key
from sovereigncloud.core.outcome import Phase
from sovereigncloud.engine.cache.store import Store
from sovereigncloud.engine.loop.evaluate import gate
from sovereigncloud.kinds.contract.controller import Uses

RBX = Key("SovereignCloud", "team", "rbx")


def store(**endpoints: str | None) -> Store:
    """Clouds by name; None: it has not answered yet."""
    found = Store()
    for name, endpoint in endpoints.items():
        spec = {"existing": {"endpoint": "https://one.example.fr/RPC2", "credentialsSecretRef": {"name": "one"}}}
        status = {"endpoint": endpoint} if endpoint else {}
        meta = {"name": name, "namespace": "team", "uid": name, "resourceVersion": "1"}
        found.put({"kind": "SovereignCloud", "metadata": meta, "spec": spec, "status": status})
    return found


def machine(there: Store) -> Any:
    body = {
        "kind": "HostedInstance",
        "metadata": {"name": "web", "namespace": "team", "uid": "web", "resourceVersion": "1"},
        "spec": {"source": {"image": "ubuntu"}, "placement": {"cloudRef": {"name": "rbx"}}},
    }
    return there.get(there.put(body)[0])


ROWS = [
    ("its cloud answers", {"rbx": "https://a"}, True, True),
    ("its cloud has not answered yet, and there is no other", {"rbx": None}, True, False),
    ("its cloud is not there, and there is no other", {}, True, False),
    ("its cloud is dead, and it may be in another one that answers", {"rbx": None, "paris": "https://b"}, True, True),
    ("its cloud is declared no more, likewise", {"paris": "https://b"}, True, True),
    ("the other one has not answered either", {"rbx": None, "paris": None}, True, False),
    ("it is recorded where it is", {"rbx": None, "paris": "https://b"}, False, False),
]


@pytest.mark.parametrize(("why", "clouds", "elsewhere", "passes"), ROWS, ids=[row[0] for row in ROWS])
def test_the_cloud_that_is_named_is_waited_for_where_it_cannot_be_in_another(
    why: str, clouds: dict[str, str | None], elsewhere: bool, passes: bool
) -> None:
    there = store(**clouds)
    told = gate(machine(there), Uses(cloud=RBX, elsewhere=elsewhere), there)
    assert (told.phase is Phase.DONE) == passes, (why, told)
