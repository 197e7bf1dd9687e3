"""A network that was there before, named by its id: which one it is, what is written on it, and how it is let go."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.kinds import adoption_scene
from tests.unit.kinds.adoption_scene import THEIRS, Row, adopt_and_let_go
from tests.unit.kinds.opennebula_in_memory import OpenNebula, World, look, mark, network, resource

from sovereigncloud.core.outcome import Phase
from sovereigncloud.kinds.virtualnetwork.controller import VirtualNetworkController
from sovereigncloud.kinds.virtualnetwork.steps import MarkNetwork, RecordNetwork, ReleaseNetwork, UpdateNetwork

CONTROLLER = VirtualNetworkController()
SPEC = {
    "cloudRef": {"name": "rbx"},
    "adopt": {"id": "3"},
    "vlanID": 100,
    "addressRanges": [{"ip": "10.0.0.5", "size": 50}],
}
KNOWN = {"external": {"network": "3", "adopted": "yes", "owner": str(THEIRS)}}
MINE = mark("VirtualNetwork", "net")
ATTRIBUTES = {"VN_MAD": "802.1Q", "VLAN_ID": "100", "PHYDEV": "bond7", "DNS": "9.9.9.9"}
NOTED = ATTRIBUTES | adoption_scene.NOTED


def net(spec: dict[str, Any] | None = None, status: dict[str, Any] | None = None, **meta: Any) -> Any:
    return resource("VirtualNetwork", "net", SPEC | (spec or {}), status or {}, **meta)


def found(**fields: Any) -> Any:
    return network(**({"name": "Alt & krumm", "owner": THEIRS, "attributes": ATTRIBUTES} | fields))


ROWS = [
    Row("nobody's: it is marked, its name, device and name servers are left as they are", (found(),), (MarkNetwork,)),
    Row("what spec says and is not so comes after the mark", (found(),), (MarkNetwork, UpdateNetwork), spec={"mtu": 9000}),
    Row("there is none of that number: none is made", (found(id=9),), reason="NothingToAdopt"),
    Row("another object's", (found(mark=mark("VirtualNetwork", "lan")),), reason="CannotAdopt"),
    Row(
        "another installation's", (found(mark=mark("VirtualNetwork", "net", installation="b")),),
        reason="OwnedByAnotherInstallation",
    ),
    Row("the answer to its marking was lost", (found(mark=MINE, attributes=NOTED),), (RecordNetwork,)),
    Row("after the cluster was rebuilt", (found(mark=mark("VirtualNetwork", "net", uid="u-0"), attributes=NOTED),), (MarkNetwork,)),
    Row("adopted, and as declared", (found(mark=MINE, attributes=NOTED),), status=KNOWN),
    Row("its owner gave it away", (found(mark=MINE, attributes=NOTED, owner=8),), reason="OwnerChanged", status=KNOWN),
    Row(
        "spec.adopt was taken out afterwards: its owner is still accepted",
        (found(mark=MINE, attributes=NOTED, name="net"),), status=KNOWN, spec={"adopt": None},
    ),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.why)
async def test_which_network_it_is(row: Row) -> None:
    plan = await look(CONTROLLER, net(row.spec, row.status), World(rbx=OpenNebula(*row.found)))
    assert tuple(type(step) for step in plan.steps) == row.steps
    assert (plan.outcome.phase is Phase.STALLED, plan.outcome.reason) == (bool(row.reason), row.reason), plan.outcome
    assert row.says in plan.outcome.message


async def test_adopted_and_let_go_it_is_as_it_was() -> None:
    front = OpenNebula(found())
    world, before = World(rbx=front), front.networks[3]
    life = await adopt_and_let_go(CONTROLLER, net, world)
    assert life.recorded == KNOWN["external"]
    assert (life.at_rest.steps, life.at_rest.drift, life.said.phase) == ((), (), Phase.DONE)
    assert [type(step) for step in life.going] == [ReleaseNetwork]
    assert front.networks[3] == before
    assert [verb for verb, *_ in front.journal] == ["update_network", "unmark"]
    assert (life.gone.steps, life.gone.outcome.phase) == ((), Phase.DONE)
