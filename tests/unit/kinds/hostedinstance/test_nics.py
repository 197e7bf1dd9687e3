"""The network cards of a machine, row by row: fixed addresses and security groups, one card at a time."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from tests.unit.kinds import machine_scene
from tests.unit.kinds.machine_scene import CONTROLLER, differences, new_instance
from tests.unit.kinds.opennebula_in_memory import (
    POWEROFF,
    SUSPENDED,
    US,
    OpenNebula,
    World,
    image,
    look,
    mark,
    network,
    resource,
    run,
    security_group,
    vm,
)

from sovereigncloud.api.common.base import Key
from sovereigncloud.core.outcome import Phase
from sovereigncloud.core.plan import Step
from sovereigncloud.kinds.hostedinstance.network.steps import AttachGroup, AttachNic, DetachGroup, DetachNic
from sovereigncloud.kinds.securitygroup.names import Place, named_groups
from sovereigncloud.ports.opennebula.networks import Lease
from sovereigncloud.ports.opennebula.views import AddressRange, CloudView, Nic

WEB = security_group()
SSH = security_group(id=21, name="ssh", mark=mark("SecurityGroup", "ssh"))
SHARED = security_group(id=30, name="monitoring", owner=0, mark=None)
NOT_OURS = security_group(id=31, name="secret", mark=mark("SecurityGroup", "secret", namespace="other"))
FORGED = security_group(id=33, name="forged", owner=7, mark=mark("SecurityGroup", "forged"))
OUR_MONITORING = security_group(id=32, name="monitoring", mark=mark("SecurityGroup", "m"))
CARD = Nic(0, 3, "lan", "10.0.0.5", "02:00", (0,))
DMZ = network(id=4, name="dmz", ranges=(AddressRange("10.0.4.1", 100, 0),))


def taken(**leases: tuple[str, int]) -> Any:
    """The network lan, some of its addresses taken: by index."""
    found = tuple(Lease(int(at[1:]), holder, number) for at, (holder, number) in leases.items())
    return network(ranges=(AddressRange("10.0.0.5", 50, 0, used=len(found), leases=found),))


def instance(*cards: dict[str, Any], **meta: Any) -> Any:
    return machine_scene.instance({"networks": list(cards)}, **meta)


def words(step: Step) -> str:
    match step:
        case AttachNic():
            return f"attach {step.name} {step.card.address} {','.join(map(str, step.card.groups))}".strip()
        case DetachNic():
            return f"detach {step.name} {step.nic} {step.disruption}"
        case AttachGroup():
            return f"+{step.group_name} {step.nic}"
        case DetachGroup():
            return f"-{step.group_name} {step.nic}"
        case _:
            return type(step).__name__


@dataclass(frozen=True)
class Row:
    why: str
    cards: tuple[dict[str, Any], ...]
    nics: tuple[Nic, ...] = (CARD,)
    net: Any = None
    drift: dict[str, tuple[str, str]] = field(default_factory=dict)
    steps: tuple[str, ...] = ()
    at: tuple[int, int] = (3, 3)
    needs: str = ""
    reason: str = ""
    says: str = ""
    others: tuple[Any, ...] = ()


LAN = {"name": "lan"}
ADDRESS = {"spec.networks[lan].address": ("10.0.0.9", "10.0.0.5")}
GROUPS = "spec.networks[lan].securityGroups"
ROWS = [
    Row("the address that it has: nothing to do", ({**LAN, "address": "10.0.0.5"},), net=taken(i0=("VM", 12))),
    Row(
        "another address: this card alone is taken off, and that cuts connections", ({**LAN, "address": "10.0.0.9"},),
        drift=ADDRESS, steps=("detach lan 0 Connection",),
    ),
    Row(
        "a machine that is off notices nothing of it", ({**LAN, "address": "10.0.0.9"},), at=POWEROFF,
        drift=ADDRESS, steps=("detach lan 0 None",),
    ),
    Row(
        "suspended: OpenNebula changes no card then", ({**LAN, "address": "10.0.0.9"},), at=SUSPENDED,
        drift=ADDRESS, steps=("detach lan 0 None",), needs="spec.power: Running",
    ),
    Row(
        "while an operation is under way nothing is done", ({**LAN, "address": "10.0.0.9"},), at=(3, 25), drift=ADDRESS,
    ),
    Row(
        "a missing card is attached with its address and its groups",
        ({**LAN, "address": "10.0.0.9", "securityGroups": ["web"]},), nics=(),
        drift={"spec.networks[lan]": ("attached", "absent")}, steps=("attach lan 10.0.0.9 20",),
    ),
    Row(
        "of two cards on the network the one that has the address is kept",
        ({**LAN, "address": "10.0.0.7"},), nics=(CARD, replace(CARD, id=1, ip="10.0.0.7")),
        drift={"spec.networks[lan]": ("absent", "card 0, 10.0.0.5")}, steps=("detach lan 0 None",),
    ),
    Row(
        "a new card is there before another one is cut off, and the third keeps what it has",
        ({**LAN, "address": "10.0.0.9"}, {"name": "dmz"}),
        drift=ADDRESS | {"spec.networks[dmz]": ("attached", "absent")},
        steps=("attach dmz", "detach lan 0 Connection"),
    ),
    # -- an address that cannot be had: the card stays
    Row(
        "another machine has it", ({**LAN, "address": "10.0.0.9"},), net=taken(i0=("VM", 12), i4=("VM", 7)), drift=ADDRESS,
        reason="AddressInUse", says="VM 7 has it; free it there, or name another address",
    ),
    Row(
        "somebody holds it", ({**LAN, "address": "10.0.0.9"},), net=taken(i4=("HOLD", -1)), drift=ADDRESS,
        reason="AddressInUse", says="on hold (onevnet release 3 10.0.0.9)",
    ),
    Row(
        "a reservation has it", ({**LAN, "address": "10.0.0.9"},), net=taken(i4=("NET", 4)), drift=ADDRESS,
        reason="AddressInUse", says='reservation 4 "dmz" has it',
    ),
    Row(
        "it lies outside every range of the network", ({**LAN, "address": "10.9.9.9"},),
        drift={"spec.networks[lan].address": ("10.9.9.9", "10.0.0.5")},
        reason="AddressOutsideRanges", says="there are: 10.0.0.5 to 10.0.0.54",
    ),
    Row(
        "a group that is not there keeps the card from being taken off",
        ({**LAN, "address": "10.0.0.9", "securityGroups": ["wbe"]},), drift=ADDRESS, reason="SecurityGroupNotFound",
    ),
    # -- security groups
    Row("a card of which spec says no groups is left alone", (LAN,), nics=(replace(CARD, groups=(0, 21)),)),
    Row("exactly what spec says: nothing to do", ({**LAN, "securityGroups": ["web"]},), nics=(replace(CARD, groups=(20,)),)),
    Row(
        "OpenNebula's own group lets everything through, so it goes, after ours is there",
        ({**LAN, "securityGroups": ["web"]},), drift={GROUPS: ("web", "default")}, steps=("+web 0", "-default 0"),
    ),
    Row(
        "unless spec lists it", ({**LAN, "securityGroups": ["default", "web"]},),
        drift={GROUPS: ("default,web", "default")}, steps=("+web 0",),
    ),
    Row(
        "one group for another: the card is never detached", ({**LAN, "securityGroups": ["ssh"]},),
        nics=(replace(CARD, groups=(20,)),), drift={GROUPS: ("ssh", "web")}, steps=("+ssh 0", "-web 0"),
    ),
    Row(
        "a card at a time: the one that is right is not touched",
        ({**LAN, "securityGroups": ["web"]}, {"name": "dmz", "securityGroups": ["web"]}),
        nics=(replace(CARD, groups=(20,)), Nic(1, 4, "dmz", "10.0.4.9", "02:02", (0, 20))),
        drift={"spec.networks[dmz].securityGroups": ("web", "default,web")}, steps=("-default 1",),
    ),
    Row(
        "suspended: only when it runs again", ({**LAN, "securityGroups": ["web"]},), at=SUSPENDED,
        drift={GROUPS: ("web", "default")}, steps=("+web 0", "-default 0"), needs="spec.power: Running",
    ),
    Row(
        "one that the cloud shares", ({**LAN, "securityGroups": ["monitoring"]},), nics=(replace(CARD, groups=(30,)),),
    ),
    Row(
        "another namespace's is not this one's to use", ({**LAN, "securityGroups": ["secret"]},),
        drift={GROUPS: ("secret", "default")}, reason="SecurityGroupNotFound",
        says='no security group called "secret"; there are: default, monitoring',
    ),
    Row(
        "a mark that another tenant wrote into a group of its own", ({**LAN, "securityGroups": ["forged"]},),
        drift={GROUPS: ("forged", "default")}, reason="SecurityGroupNotFound",
    ),
    Row(
        "a SecurityGroup of that name is on its way: wait", ({**LAN, "securityGroups": ["db"]},),
        drift={GROUPS: ("db", "default")}, reason="WaitingForDependency", says="SecurityGroup team/db has not been looked at",
        others=(resource("SecurityGroup", "db", {"rules": [{"direction": "Inbound", "protocol": "TCP"}]}),),
    ),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.why)
async def test_the_cards_of_a_machine(row: Row) -> None:
    front = OpenNebula(
        row.net or network(), DMZ, image(), WEB, SSH, SHARED, NOT_OURS, FORGED, vm(at=row.at, nics=row.nics)
    )
    plan = await look(CONTROLLER, instance(*row.cards), World(row.others, rbx=front))
    assert differences(plan) == row.drift
    assert tuple(words(step) for step in plan.steps) == row.steps
    assert {step.needs for step in plan.steps} <= {row.needs}
    assert row.says in plan.outcome.message
    if row.reason:
        assert plan.outcome.reason == row.reason
    else:
        assert not row.says


async def test_the_namespaces_own_group_comes_before_the_one_that_is_shared() -> None:
    front = OpenNebula(network(), image(), SHARED, OUR_MONITORING, vm(nics=()))
    plan = await look(CONTROLLER, instance({**LAN, "securityGroups": ["monitoring"]}), World(rbx=front))
    assert [words(step) for step in plan.steps] == ["attach lan  32"]


async def test_a_changed_address_ends_with_the_card_back_and_the_others_untouched() -> None:
    dmz_card = Nic(1, 4, "dmz", "10.0.4.9", "02:02", (0,))
    front = OpenNebula(network(), DMZ, image(), WEB, vm(nics=(CARD, dmz_card)))
    world = World(rbx=front)
    wanted = instance({**LAN, "address": "10.0.0.9", "securityGroups": ["web"]}, {"name": "dmz"})
    for _ in range(8):
        wanted, plan, outcome = await run(CONTROLLER, wanted, world)
        front.tick()
    assert (plan.steps, outcome.phase) == ((), Phase.DONE)
    assert [entry[0] for entry in front.journal] == ["detach_nic", "attach_nic", "detach_group"]
    assert dmz_card in front.vms[12].nics
    assert [(n.ip, n.groups) for n in front.vms[12].nics if n.network == "lan"] == [("10.0.0.9", (20,))]
    assert wanted.status.model_dump(by_alias=True, exclude_none=True)["networks"][0] == {
        "name": "lan", "address": "10.0.0.9", "mac": "02:01", "securityGroups": ["web"],
    }  # fmt: skip


@pytest.mark.parametrize("lost", ["detach_nic", "attach_nic", "attach_group", "detach_group"])
async def test_a_lost_answer_to_any_write_converges_to_the_same(lost: str) -> None:
    """Each is queued outside all the same; the next look finds what became of it."""
    front = OpenNebula(network(), DMZ, image(), WEB, SSH, vm(nics=(CARD, Nic(1, 4, "dmz", "10.0.4.9", "02:02", (0,)))))
    front.lost.add(lost)
    world = World(rbx=front)
    wanted = instance({**LAN, "address": "10.0.0.9"}, {"name": "dmz", "securityGroups": ["web", "ssh"]})
    for _ in range(14):
        wanted, plan, outcome = await run(CONTROLLER, wanted, world)
        front.tick()
    assert (plan.steps, plan.drift, outcome.phase, front.lost) == ((), (), Phase.DONE, set())
    assert sorted((n.network, n.ip, n.groups) for n in front.vms[12].nics) == [
        ("dmz", "10.0.4.9", (20, 21)), ("lan", "10.0.0.9", (0,)),
    ]  # fmt: skip
    written = len(front.journal)
    await run(CONTROLLER, wanted, world)
    assert len(front.journal) == written == 5, "each once"


async def test_a_new_machine_has_address_and_groups_from_the_start() -> None:
    front = OpenNebula(network(), image(), WEB)
    new = new_instance({"networks": [{**LAN, "address": "10.0.0.9", "securityGroups": ["web"]}]})
    await run(CONTROLLER, new, World(rbx=front))
    verb, template = front.journal[0]
    assert (verb, template["NIC"]) == (
        "create_vm", [{"NETWORK_ID": "3", "IP": "10.0.0.9", "SECURITY_GROUPS": "20"}],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("card", "things", "reason"),
    [
        ({**LAN, "address": "10.0.0.9"}, (taken(i4=("VM", 7)),), "AddressInUse"),
        ({**LAN, "address": "10.0.1.9"}, (network(),), "AddressOutsideRanges"),
        ({**LAN, "securityGroups": ["nowhere"]}, (network(),), "SecurityGroupNotFound"),
    ],
)
async def test_a_machine_is_not_made_before_its_card_can_be_had(
    card: dict[str, Any], things: tuple[Any, ...], reason: str
) -> None:
    new = new_instance({"networks": [card]})
    plan = await look(CONTROLLER, new, World(rbx=OpenNebula(*things, image())))
    assert (plan.steps, plan.outcome.reason) == ((), reason)


@pytest.mark.parametrize(
    ("ip", "groups", "exposed", "why"),
    [
        ("57.131.167.180", (0,), True, "a public address behind the group that lets everything through"),
        ("57.131.167.180", (), True, "a public address behind nothing"),
        (
            "57.131.167.180",
            (0, 20),
            True,
            "what a group allows is added up: beside one that lets everything in another is void",
        ),
        ("57.131.167.180", (20,), False, "filtered"),
        ("10.0.0.5", (0,), False, "nobody reaches it from outside"),
        ("", (0,), False, "no address"),
    ],
)
async def test_a_public_card_that_nothing_filters_is_said(
    ip: str, groups: tuple[int, ...], why: str, *, exposed: bool
) -> None:
    wanted = instance(LAN)
    machine = vm(nics=(Nic(0, 3, "lan", ip, "02:00", groups),))
    observed = await CONTROLLER.observe(wanted, World(rbx=OpenNebula(network(), image(), WEB, machine)))
    said = CONTROLLER.status(wanted, observed)["conditions"]
    assert bool(said) == exposed, why
    if exposed:
        assert said[0]["reason"] == "PublicWithoutSecurityGroup"  # type: ignore[index]
        assert ip in said[0]["message"]  # type: ignore[index]


@pytest.mark.parametrize(
    ("owner", "marked", "namespace", "found", "why"),
    [
        (7, None, "team", True, "at home the platform may use whatever is there"),
        (7, None, "guest", False, "an unmarked group of some user is that tenant's, not shared"),
        (0, None, "guest", True, "oneadmin's is shared"),
        (US, None, "guest", True, "so is the administrator's"),
        (US, "team", "guest", True, "one that the cloud's own namespace declares is shared"),
        (7, "team", "guest", False, "unless a tenant wrote that mark"),
        (9, "guest", "guest", True, "the namespace's own, made by its user"),
        (7, "guest", "guest", False, "another user's with the namespace's mark"),
        (US, "other", "guest", False, "another namespace's"),
    ],
)
def test_which_groups_a_namespace_may_use(
    owner: int, marked: str | None, namespace: str, why: str, *, found: bool
) -> None:
    its = mark("SecurityGroup", "g", namespace=marked) if marked else None
    group = security_group(name="g", owner=owner, mark=its)
    view = CloudView(0.0, {}, {}, {}, {}, {}, owner=US, security_groups={20: group})
    me = mark("HostedInstance", "web", namespace=namespace)
    place = Place(Key("SovereignCloud", "team", "rbx"), view, me, owners=frozenset({9}))
    assert (named_groups(["g"], place) == (group,)) is found, why
