"""Whatever people change in spec and behind the operator's back, and whichever answers are lost: never two machines,
never a stranger's touched, and in the end reality is as declared and a second look does nothing.
"""

from __future__ import annotations

import os
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import Phase as Stage
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.unit.kinds.opennebula_in_memory import (
    HOLD,
    PENDING,
    POWEROFF,
    RUNNING,
    STOPPED,
    SUSPENDED,
    UNDEPLOYED,
    US,
    OpenNebula,
    World,
    image,
    mark,
    network,
    resource,
    run,
    vm,
)

from sovereigncloud.api.common.base import RECONCILE_REQUESTED_AT
from sovereigncloud.core.outcome import Phase
from sovereigncloud.core.plan import Action
from sovereigncloud.core.quantity import mebibytes
from sovereigncloud.kinds.hostedinstance.controller import HostedInstanceController
from sovereigncloud.kinds.virtualnetwork.controller import VirtualNetworkController
from sovereigncloud.ports.errors import Quota
from sovereigncloud.ports.opennebula.views import AddressRange, Vm

OBJECT = "HostedInstance/team/web"
LOSABLE = ["create_vm", "act", "resize", "attach_nic", "detach_nic", "update_vm", "rename_vm", "resize_disk"]
QUIET_AFTER = 60
# The same examples each time: a suite that everybody runs is no place to meet a new one. SOVEREIGN_EXAMPLES=5000 looks
# for new ones.
MORE = int(os.environ.get("SOVEREIGN_EXAMPLES", "0"))
BASE = settings(
    deadline=None,
    derandomize=not MORE,
    database=None,
    phases=[Stage.generate, Stage.shrink],
    suppress_health_check=[HealthCheck.too_slow],
)
STRANGERS = (
    vm(id=1, mark=None),
    vm(id=2, owner=9),
    vm(id=3, mark=mark("HostedInstance", "elsewhere", installation="other")),
    vm(id=4, mark=mark("HostedInstance", "web", namespace="elsewhere")),
)


def at_once(answer: Coroutine[Any, Any, Any]) -> Any:
    """Nothing here ever waits, so no event loop is needed."""
    try:
        answer.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it waited for something")


class Instance(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.front = OpenNebula(network(), network(id=4, name="dmz"), image(), *STRANGERS)
        self.world = World(rbx=self.front)
        self.spec: dict[str, Any] = {
            "source": {"image": "ubuntu"},
            "vcpu": 2,
            "memory": "4Gi",
            "networks": [{"name": "lan"}],
            "disks": [{"name": "root", "size": "20Gi"}],
        }
        self.generation, self.clusters, self.asked = 1, 1, 0
        self.status: dict[str, Any] = {}

    # -- a person changes spec

    def change(self, **fields: Any) -> None:
        self.spec = {**self.spec, **fields}
        self.generation += 1

    @rule(power=st.sampled_from([None, "Running", "Stopped", "Suspended"]))
    def declare_power(self, power: str | None) -> None:
        self.change(power=power)

    @rule(memory=st.sampled_from(["2Gi", "4Gi", "8Gi"]), vcpu=st.integers(1, 3))
    def declare_size(self, memory: str, vcpu: int) -> None:
        self.change(memory=memory, vcpu=vcpu)

    @rule(names=st.lists(st.sampled_from(["lan", "dmz"]), unique=True))
    def declare_networks(self, names: list[str]) -> None:
        self.change(networks=[{"name": name} for name in names])

    @rule(more=st.integers(1, 4))
    def declare_a_larger_disk(self, more: int) -> None:
        self.change(disks=[{"name": "root", "size": f"{mebibytes(self.spec['disks'][0]['size']) // 1024 + more}Gi"}])

    @rule(consent=st.sampled_from(["Allow", "Deny"]), field=st.sampled_from(["powerCycle", "replace"]))
    def consent(self, consent: str, field: str) -> None:
        self.change(updatePolicy={**self.spec.get("updatePolicy", {}), field: consent})

    @rule(name=st.sampled_from([None, "www"]))
    def declare_name(self, name: str | None) -> None:
        self.change(name=name)

    # -- a person changes reality

    def mine(self) -> list[Vm]:
        alive = (v for v in self.front.vms.values() if v.state != 6 and v.owner == US and v.mark is not None)
        return [v for v in alive if v.mark.object == OBJECT and v.mark.installation == "inst-1"]

    def behind_the_back(self, **fields: Any) -> None:
        for machine in self.mine():
            if (machine.state, machine.lcm_state) in {RUNNING, POWEROFF, SUSPENDED, STOPPED, UNDEPLOYED}:
                self.front.vms[machine.id] = replace(machine, **fields)

    @rule(at=st.sampled_from([RUNNING, POWEROFF, SUSPENDED, STOPPED, UNDEPLOYED, PENDING, HOLD]))
    def somebody_changes_its_state(self, at: tuple[int, int]) -> None:
        self.behind_the_back(state=at[0], lcm_state=at[1])

    @rule(memory=st.sampled_from([1024, 4096, 8192]))
    def somebody_resizes_it(self, memory: int) -> None:
        self.behind_the_back(memory=memory, cpu="1.00")

    @rule()
    def somebody_renames_it(self) -> None:
        self.behind_the_back(name="renamed")

    @rule()
    def somebody_detaches_its_cards(self) -> None:
        self.behind_the_back(nics=())

    @rule()
    def somebody_attaches_a_card(self) -> None:
        for machine in self.mine():
            number = 1 + max((nic.id for nic in machine.nics), default=-1)
            self.behind_the_back(nics=(*machine.nics, self.front._nic(number, {"NETWORK_ID": "4"})))

    @rule()
    def somebody_terminates_it(self) -> None:
        self.behind_the_back(state=6, lcm_state=0)

    # -- the course of things

    @rule(verb=st.sampled_from(LOSABLE))
    def the_next_answer_is_lost(self, verb: str) -> None:
        self.front.lost.add(verb)

    @rule(full=st.booleans())
    def the_host_is_full(self, full: bool) -> None:
        self.front.refuse_resize = Quota("Not enough memory") if full else None

    @rule(hidden=st.booleans())
    def the_pool_answers_empty(self, hidden: bool) -> None:
        self.front.hidden = hidden

    @rule()
    def the_cluster_is_rebuilt(self) -> None:
        self.clusters += 1
        self.status = {}

    @rule(times=st.integers(1, 6))
    def time_goes_by(self, times: int) -> None:
        for _ in range(times):
            self.front.tick()

    @rule(times=st.integers(1, 4))
    def the_operator_looks(self, times: int) -> None:
        for _ in range(times):
            self.look()

    def look(self) -> Any:
        annotations = {RECONCILE_REQUESTED_AT: str(self.asked)} if self.asked else {}
        wanted = resource(
            "HostedInstance",
            "web",
            self.spec,
            self.status,
            uid=f"uid-{self.clusters}",
            generation=self.generation,
            annotations=annotations,
        )
        if self.front.hidden:
            # The brakes hold whatever an empty pool asks for: a view without any machine admits nobody.
            plan = at_once(HostedInstanceController().observe(wanted, self.world))
            return HostedInstanceController().plan(wanted, plan, self.world.now)
        settled, plan, outcome = at_once(run(HostedInstanceController(), wanted, self.world))
        self.status = settled.status.model_dump(by_alias=True, exclude_none=True)
        self.outcome = outcome
        return plan

    # -- what must hold

    @invariant()
    def never_two_machines(self) -> None:
        assert len(self.mine()) <= 1

    @invariant()
    def never_a_strangers_touched(self) -> None:
        assert tuple(self.front.vms[stranger.id] for stranger in STRANGERS) == STRANGERS

    @invariant()
    def nothing_is_terminated(self) -> None:
        assert not any(entry[-1] == "terminate-hard" for entry in self.front.journal)

    def teardown(self) -> None:
        """People keep their hands off, answers arrive, consent is given: then all is as declared, and stays so."""
        if not hasattr(self, "front"):
            return
        self.front.lost.clear()
        self.front.refuse_resize, self.front.hidden = None, False
        self.asked += 1
        self.change(updatePolicy={"powerCycle": "Allow", "replace": "Allow"})
        if self.mine() and (self.mine()[0].state, self.mine()[0].lcm_state) == HOLD and self.spec.get("power") is None:
            self.change(power="Running")  # held by a person, and nothing is said: a person must say
        self._free_from_rest()
        plan = None
        quiet = 0
        for _ in range(QUIET_AFTER):
            plan = self.look()
            self.front.tick()
            quiet = quiet + 1 if self.outcome.phase is Phase.DONE and not plan.steps else 0
            if quiet == 2:
                break
        assert plan is not None
        assert (plan.steps, plan.drift, plan.absent) == ((), (), False)
        assert self.outcome.phase is Phase.DONE, self.outcome
        self._is_as_declared()
        written = len(self.front.journal)
        assert self.look().steps == ()
        assert len(self.front.journal) == written
        self._goes()

    def _free_from_rest(self) -> None:
        """Cards and sizes of a machine that rests off its host are changed only once it is to run: it says so."""
        for machine in self.mine():
            if (machine.state, machine.lcm_state) in {SUSPENDED, STOPPED, UNDEPLOYED, (3, 6)}:
                self.change(power="Running")

    def _is_as_declared(self) -> None:
        (machine,) = self.mine()
        at = (machine.state, machine.lcm_state)
        match self.spec.get("power"):
            case "Running":
                assert at == RUNNING
            case "Suspended":
                assert at == SUSPENDED
            case "Stopped":
                assert at in {POWEROFF, STOPPED, UNDEPLOYED, HOLD}
            case _:
                assert at in {RUNNING, POWEROFF, SUSPENDED}
        assert (machine.memory, machine.vcpu) == (mebibytes(self.spec["memory"]), self.spec["vcpu"])
        assert machine.name == (self.spec.get("name") or "web")
        assert {nic.network for nic in machine.nics} == {net["name"] for net in self.spec["networks"]}
        assert len(machine.nics) == len(self.spec["networks"])
        assert machine.disks[0].size == mebibytes(self.spec["disks"][0]["size"])
        assert machine.mark == mark("HostedInstance", "web", uid=f"uid-{self.clusters}")
        assert machine.notes.get("SOVEREIGNCLOUD_RESUME", "NO") == "NO"

    def _goes(self) -> None:
        before = {v.id for v in self.mine()}
        going = resource("HostedInstance", "web", self.spec, self.status, uid=f"uid-{self.clusters}", deleting=True)
        released = False
        for _ in range(10):
            observed = at_once(HostedInstanceController().observe(going, self.world))
            plan = HostedInstanceController().plan(going, observed, self.world.now)
            released = not plan.steps and plan.outcome.phase is Phase.DONE
            for step in plan.steps:
                assert step.action is Action.DELETE
                at_once(HostedInstanceController().perform(step, going, self.world))
            self.front.tick()
        assert released
        assert self.mine() == []
        terminated = [entry[1] for entry in self.front.journal if entry[-1] == "terminate-hard"]
        assert terminated == list(before), "once"
        self.never_a_strangers_touched()


Instance.TestCase.settings = settings(BASE, max_examples=MORE or 100, stateful_step_count=25)
TestInstance = Instance.TestCase


class Net(RuleBasedStateMachine):
    """The same for a network: its attributes and ranges, with a machine on it that must keep its address."""

    @initialize()
    def begin(self) -> None:
        stranger = network(id=1, name="net", owner=9, attributes={"VLAN_ID": "100"})
        self.front = OpenNebula(stranger, *STRANGERS)
        self.strangers = dict(self.front.networks)
        self.world = World(rbx=self.front)
        self.spec: dict[str, Any] = {"cloudRef": {"name": "rbx"}, "vlanID": 100, "addressRanges": []}
        self.status: dict[str, Any] = {}
        self.generation = self.clusters = 1

    def change(self, **fields: Any) -> None:
        self.spec = {**self.spec, **fields}
        self.generation += 1

    @rule(starts=st.lists(st.integers(0, 5), unique=True, max_size=4), size=st.integers(1, 20))
    def declare_ranges(self, starts: list[int], size: int) -> None:
        self.change(addressRanges=[{"ip": f"10.0.3.{start * 20 + 1}", "size": size} for start in starts])

    @rule(mtu=st.sampled_from([None, 1500, 9000]), dns=st.sampled_from([None, ["9.9.9.9"], ["1.1.1.1", "8.8.8.8"]]))
    def declare_attributes(self, mtu: int | None, dns: list[str] | None) -> None:
        self.change(mtu=mtu, dns=dns)

    def mine(self) -> list[Any]:
        return [n for n in self.front.networks.values() if n.owner == US and n.mark is not None]

    @rule(key=st.sampled_from(["VLAN_ID", "VN_MAD", "PHYDEV", "MTU", "DNS", "BRIDGE"]))
    def somebody_edits_it(self, key: str) -> None:
        for net in self.mine():
            self.front.networks[net.id] = replace(net, attributes={**net.attributes, key: "edited"})

    @rule(start=st.integers(0, 5), size=st.integers(1, 60))
    def somebody_adds_a_range(self, start: int, size: int) -> None:
        for net in self.mine():
            added = AddressRange(f"10.0.3.{start * 20 + 1}", size, 1 + max((r.id for r in net.ranges), default=-1))
            if all(r.ip != added.ip for r in net.ranges):
                self.front.networks[net.id] = replace(net, ranges=(*net.ranges, added))

    @rule(host=st.integers(1, 120))
    def a_machine_gets_an_address(self, host: int) -> None:
        for net in self.mine():
            nic = replace(vm().nics[0], network_id=net.id, network=net.name, ip=f"10.0.3.{host}")
            self.front.vms[50] = vm(id=50, name="tenant", owner=9, mark=None, nics=(nic,))

    @rule()
    def the_machine_goes(self) -> None:
        self.front.vms.pop(50, None)

    @rule()
    def somebody_deletes_it(self) -> None:
        if 50 not in self.front.vms:
            self.front.networks = dict(self.strangers)

    @rule(verb=st.sampled_from(["create_network", "update_network", "add_range", "resize_range", "remove_range"]))
    def the_next_answer_is_lost(self, verb: str) -> None:
        self.front.lost.add(verb)

    @rule()
    def the_cluster_is_rebuilt(self) -> None:
        self.clusters += 1
        self.status = {}

    @rule(times=st.integers(1, 3))
    def the_operator_looks(self, times: int) -> None:
        for _ in range(times):
            self.look()
            self.front.tick()

    def look(self) -> Any:
        uid = f"uid-{self.clusters}"
        wanted = resource("VirtualNetwork", "net", self.spec, self.status, uid=uid, generation=self.generation)
        settled, plan, self.outcome = at_once(run(VirtualNetworkController(), wanted, self.world))
        self.status = settled.status.model_dump(by_alias=True, exclude_none=True)
        return plan

    @invariant()
    def never_two_networks(self) -> None:
        assert len(self.mine()) <= 1

    @invariant()
    def never_a_strangers_touched(self) -> None:
        assert {key: self.front.networks[key] for key in self.strangers} == self.strangers

    @invariant()
    def never_made_two_ranges_overlap(self) -> None:
        assert not self.front.overlapped

    def teardown(self) -> None:
        if not hasattr(self, "front"):
            return
        self.front.lost.clear()
        self.front.vms.pop(50, None)
        plan = None
        for _ in range(20):
            plan = self.look()
            self.front.tick()
        assert plan is not None
        assert (plan.steps, plan.drift, plan.absent, self.outcome.phase) == ((), (), False, Phase.DONE)
        (net,) = self.mine()
        assert {(r.ip, r.size) for r in net.ranges} == {(r["ip"], r["size"]) for r in self.spec["addressRanges"]}
        assert (net.attributes["VLAN_ID"], net.attributes["VN_MAD"]) == ("100", "802.1Q")
        assert net.mark == mark("VirtualNetwork", "net", uid=f"uid-{self.clusters}")
        written = len(self.front.journal)
        assert self.look().steps == ()
        assert len(self.front.journal) == written


Net.TestCase.settings = settings(BASE, max_examples=MORE or 60, stateful_step_count=20)
TestNet = Net.TestCase
