"""Ten machines, a person who changes their mind, a colleague at the other console, an API that is ill, and an operator that
dies: in any order, from a seed. At the end all is as declared, once.

`PYTHONHASHSEED=0 PYTHONPATH=operator:. python -m tests.faults.random_walk 7 8` goes the walk of seed 7 and says what
happened in it, where it does not end well. The hash seed orders sets, and so belongs to the seed.
"""

import logging
import random
import sys
from collections import Counter

from tests.faults.api_server import manifest
from tests.faults.drift_rows import Console
from tests.faults.instances import CLOUD, IMAGE, NETWORK, ONE, instance
from tests.faults.scene import Scene
from tests.faults.simulated_time import run

from sovereigncloud.api.common.base import PAUSED
from sovereigncloud_sandbox.faults import parse_rule
from sovereigncloud_sandbox.opennebula import mischief
from sovereigncloud_sandbox.opennebula.lifecycle import State
from sovereigncloud_sandbox.stage import condition, is_ready

STEPS = 60
MOST_REQUESTS = 8000
"""So many a walk of about an hour may cost at most; usual are 600 to 1,100."""
NAMES = [f"web-{number}" for number in range(10)]
DMZ = manifest(
    "VirtualNetwork",
    "dmz",
    {"cloudRef": {"name": "paris"}, "vlanID": 311, "addressRanges": [{"ip": "10.32.0.10", "size": 50}]},
)
NETWORKS = [["lan"], ["lan", "dmz"], ["dmz"]]
DISKS = [[], [], ["data"], ["data", "logs"]]
AT_REST = 150.0
"""Two sweeps."""
ILLNESSES = [
    {"kind": "lost-request", "probability": 0.2, "count": 30},
    {"kind": "lost-response", "probability": 0.2, "count": 30},
    {"kind": "late-effect", "path": "allocate|action|update|attach|detach|resize", "seconds": 25, "probability": 0.3, "count": 6},
    {"kind": "reply", "status": 500, "count": 8},
    {"kind": "reply", "status": 429, "headers": {"Retry-After": "2"}, "count": 8},
]  # fmt: skip


class Walk:
    """One walk. `said`: what happened in it, for whom it failed."""

    def __init__(self, scene, seed):
        self.scene, self.random = scene, random.Random(seed)
        self.declared = {}
        self.said = []
        self.second_looks = []
        self.doubles = []
        self.cloud = scene.add_cloud("paris", "127.0.0.50", hosts=("10.0.0.1", "10.0.0.2", "10.0.0.3"))
        self.theirs = ()

    async def go(self):
        await self.scene.run(5)
        made = [self._somebody_elses(name) for name in ("web-0", "theirs")]
        await self.scene.run(60)
        self.theirs = tuple((oid, self._is_as_it_was(oid)) for oid in made)
        self.scene.api.apply(ONE, CLOUD, IMAGE, NETWORK, DMZ)
        for name in NAMES[:5]:
            self._declare(name)
        self.scene.writes.choose = self._fate
        for _ in range(STEPS):
            await self._step()
            await self.scene.run(self.random.choice((0.02, 0.2, 1, 3, 10, 40, 90)), every=0.5)
            self._look_for_doubles()
        self.scene.writes.choose = lambda *_: None
        self.cloud.faults.clear()
        mischief.set_down(self.cloud, down=False)
        for kind in ("SovereignCloud", "HostedInstance"):
            for found in self.scene.api.all(kind):
                self.scene.api.annotate(kind, found["metadata"]["name"], **{PAUSED: None})
        if not await self.scene.run(3600, self._over, every=5.0):
            return False
        await self.scene.run(AT_REST)  # what is told, and noted, of the last thing that was done
        written, outside = len(self.scene.writes.log), len(self.scene.wire.done)
        await self.scene.run(AT_REST)
        self.second_looks = [*self.scene.writes.log[written:], *self.scene.wire.done[outside:]]
        return True

    def _somebody_elses(self, name):
        """A machine that a person made."""
        at = Console(self.cloud)
        return at("vm.allocate", f'NAME="{name}" CPU=0.1 MEMORY=64 NOTE="keep off"', False)

    def _is_as_it_was(self, oid):
        self.cloud.advance()
        vm = self.cloud.vms[oid]
        return (vm.name, vm.template.get("MEMORY"), dict(vm.user_template)) if vm.state is State.ACTIVE else vm.state

    def _fate(self, _number, label, fates):
        if self.random.random() > 0.05:
            return None
        fate = self.random.choice(fates)
        self.said.append(f"{label[:60]}: {fate}")
        return fate

    async def _step(self):
        actions = (
            [self._declare] * 4
            + [self._change] * 5
            + [self._remove] * 2
            + [self._pause, self._unpause, self._unpause, self._ask]
            + [self._meddle] * 4
            + [self._fall_ill, self._fall_ill, self._recover, self._recover]
            + [self._crash]
        )
        action = self.random.choice(actions)
        result = action()
        if result is not None:
            await result

    # --- a person ----------------------------------------------------------------------------------------------------

    def _declare(self, name=None):
        name = name or self.random.choice(NAMES)
        if name not in self.declared:
            self.declared[name] = self._spec()
            self._apply(name)

    def _spec(self):
        return {
            "vcpu": self.random.choice((1, 2)),
            "memory": self.random.choice(("512Mi", "1Gi")),
            "power": self.random.choice(("Running", "Running", "Stopped")),
            "networks": [{"name": name} for name in self.random.choice(NETWORKS)],
            "disks": [{"name": name, "size": "64Mi", "deletionPolicy": "Delete"} for name in self.random.choice(DISKS)],
            "updatePolicy": {"powerCycle": "Allow", "replace": "Allow"},
        }

    def _apply(self, name):
        self.said.append(f"apply {name} {self.declared[name]}")
        self.scene.api.apply(instance(name, **self.declared[name]))

    def _change(self):
        if self.declared:
            name = self.random.choice(sorted(self.declared))
            field = self.random.choice(("vcpu", "memory", "power", "networks", "disks"))
            self.declared[name] = {**self.declared[name], field: self._spec()[field]}
            self._apply(name)

    def _remove(self):
        if self.declared:
            name = self.random.choice(sorted(self.declared))
            del self.declared[name]
            self.said.append(f"delete {name}")
            self.scene.api.remove("HostedInstance", name)

    def _annotate(self, **annotations):
        found = [one["metadata"]["name"] for one in self.scene.api.all("HostedInstance")]
        if found:
            name = self.random.choice(found)
            self.said.append(f"annotate {name} {annotations}")
            self.scene.api.annotate("HostedInstance", name, **annotations)

    def _pause(self):
        self._annotate(**{PAUSED: "true"})

    def _unpause(self):
        self._annotate(**{PAUSED: None})

    def _ask(self):
        self._annotate(**{"sovereigncloud.io/reconcile-requested-at": str(self.random.random())})

    # --- everybody else ------------------------------------------------------------------------------------------------

    def _meddle(self):
        self.cloud.advance()
        theirs = dict(self.theirs)
        running = [vm for vm in self.cloud.vms.values() if vm.state is State.ACTIVE and vm.lcm.name == "RUNNING"]
        machines = [vm for vm in running if vm.oid not in theirs]
        what = self.random.choice(
            (
                "power_off",
                "terminate",
                "detach_nic",
                "resize",
                "rename",
                "vnet",
                "host",
                "labels",
                "detach_disk",
                "note",
            )
        )
        self.said.append(f"somebody: {what}")
        match what:
            case "vnet" if self.cloud.vnets:
                mischief.edit_vnet(self.cloud, min(self.cloud.vnets), {"GATEWAY": "10.31.0.9"})
            case "host":
                mischief.enable_host(self.cloud, 0) if self.random.random() < 0.5 else mischief.disable_host(
                    self.cloud, 0
                )
            case _ if machines:
                self._meddle_with(self.random.choice(machines), what)

    def _meddle_with(self, vm, what):
        """Somebody does something to a machine of ours."""
        cloud, oid = self.cloud, vm.oid
        acts = {
            "power_off": lambda: mischief.power_off(cloud, oid),
            "terminate": lambda: mischief.terminate(cloud, oid),
            "labels": lambda: mischief.edit_user_template(cloud, oid, {"SOVEREIGNCLOUD_LABELS": "app=other"}),
            "note": lambda: mischief.edit_user_template(cloud, oid, {"OWNER": "somebody"}),
            "resize": lambda: mischief.resize(cloud, oid, memory=2048),
            "rename": lambda: mischief.rename(cloud, "VM", oid, f"renamed-{oid}"),
        }
        if what in acts:
            acts[what]()
        elif what == "detach_nic" and vm.nics:
            mischief.detach_nic(cloud, oid, int(vm.nics[0]["NIC_ID"]))
        elif what == "detach_disk" and len(vm.disks) > 1:
            Console(cloud)("vm.detach", oid, int(vm.disks[-1]["DISK_ID"]))

    def _fall_ill(self):
        if self.random.random() < 0.2:
            self.said.append("down")
            mischief.set_down(self.cloud)
        else:
            rule = self.random.choice(ILLNESSES)
            self.said.append(f"ill: {rule}")
            self.cloud.faults.add(parse_rule(rule))

    def _recover(self):
        self.said.append("well again")
        mischief.set_down(self.cloud, down=False)
        self.cloud.faults.clear()

    def _crash(self):
        self.said.append("restart")
        return self.scene.restart()

    # --- what must be true -----------------------------------------------------------------------------------------------

    def _alive(self):
        self.cloud.advance()
        return [vm for vm in self.cloud.vms.values() if vm.state is not State.DONE and vm.lcm.name != "EPILOG"]

    def _look_for_doubles(self):
        theirs = dict(self.theirs)
        marks = Counter(vm.user_template.get("SOVEREIGNCLOUD_UID") for vm in self._alive() if vm.oid not in theirs)
        self.doubles += [f"{count} machines of {uid}" for uid, count in marks.items() if count > 1]

    def _over(self):
        """A person, or Argo CD, applies again what went although it is declared."""
        for name in self.declared:
            if not self.scene.api.get("HostedInstance", name):
                self._apply(name)
                return False
        found = {one["metadata"]["name"]: one for one in self.scene.api.all("HostedInstance")}
        return found.keys() == self.declared.keys() and self.scene.settled() and self.wrongs() == []

    def wrongs(self):
        """Where reality differs from what is declared."""
        found = [f"at rest: {write}" for write in self.second_looks[:5]]
        found += [
            f"VM {oid}, which is somebody else's: {self._is_as_it_was(oid)}"
            for oid, was in self.theirs
            if self._is_as_it_was(oid) != was
        ]
        machines = {}
        for vm in self._alive():
            if vm.oid in dict(self.theirs):
                continue
            machines.setdefault(vm.user_template.get("SOVEREIGNCLOUD_OBJECT").rpartition("/")[2], []).append(vm)
        found += [
            f"left: {name} {[vm.oid for vm in some]}" for name, some in machines.items() if name not in self.declared
        ]
        for name, spec in self.declared.items():
            some = machines.get(name, [])
            if len(some) != 1:
                found.append(f"{name}: {len(some)} machines")
                continue
            (vm,) = some
            wanted = (
                {"Running": "ACTIVE", "Stopped": "POWEROFF"}[spec["power"]],
                str(spec["vcpu"]),
                {"512Mi": 512, "1Gi": 1024}[spec["memory"]],
                sorted(network["name"] for network in spec["networks"]),
                1 + len(spec["disks"]),
            )
            cards = sorted(nic["NETWORK"] for nic in vm.nics)
            there = (vm.state.name, vm.template.get("VCPU"), vm.memory, cards, len(vm.disks))
            if there != wanted:
                found.append(f"{name}: {there} instead of {wanted}")
        return found


async def walk(seed):
    """What is wrong at the end of a walk, in words, and what happened in it."""
    async with Scene(brake_objects=50, brake_fraction=1.0) as scene:
        walked = Walk(scene, seed)
        over = await walked.go()
        wrongs = [*walked.doubles, *walked.wrongs()]
        if not over:
            wrongs += [
                f"{kind} {one['metadata']['name']}: {condition(one, 'Ready')}"
                for kind in ("SovereignCloud", "MachineImage", "VirtualNetwork", "HostedInstance")
                for one in scene.api.all(kind)
                if not is_ready(one)
            ] or ["not over"]
        if scene.wire.asked > MOST_REQUESTS:
            wrongs.append(f"a hot loop: {scene.wire.asked} requests")
        return wrongs, walked.said


def main(first, last):
    """Go the walks of these seeds; the exit code says whether all ended well."""
    failed = False
    for seed in range(first, last):
        wrongs, said = run(walk(seed))
        if wrongs:
            failed = True
            print(f"seed {seed}: {'; '.join(wrongs)}", *said, sep="\n  ")
    return int(failed)


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
