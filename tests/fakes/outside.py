"""A cloud in memory and the smallest kinds that live in it, for tests of the engine: one machine per HostedInstance."""

import asyncio
from collections import deque
from dataclasses import dataclass, replace

from tests.fakes.virtual_time import now

from sovereigncloud.api import BareMetalServer, HostedInstance, SecurityGroup, SovereignCloud
from sovereigncloud.api.common.base import DeletionPolicy, Key
from sovereigncloud.core.identity import Mark, find, mark_from_opennebula
from sovereigncloud.core.outcome import DONE, blocked, done, stalled, waiting
from sovereigncloud.core.plan import Action, Cause, Disruption, Drift, Plan, Step
from sovereigncloud.kinds.contract.controller import SecretUse, Uses
from sovereigncloud.ports.errors import NotFound, Retry
from sovereigncloud.ports.opennebula.views import CloudView, Front, Vm
from sovereigncloud.ports.ovh.account import AccountView, ServerSummary
from sovereigncloud.ports.ovh.iam import Identity
from sovereigncloud.providers.rate_limits import Allowance

PENDING, RUNNING, DONE_STATE = 1, 3, 6


class Outside:
    """Machines.

    Attributes:
        calls: (verb, argument) of all that was asked for.
        failing: verb -> how the next calls end: (error, done all the same, seconds until it takes effect).
        boots: seconds until a machine runs.
        deaf: writes are accepted and change nothing.
    """

    def __init__(self, boots=3.0):
        self.vms, self.ended, self.calls, self.failing, self.next_id = {}, {}, [], {}, 10
        self.boots, self.deaf, self.point, self.views = boots, False, None, 0
        self.passwords = {"secret"}

    def fail(self, verb, error, *, done=False, late=0.0, times=1):
        self.failing.setdefault(verb, deque()).extend([(error, done, late)] * times)

    def wrote(self, verb=None):
        return [c for c in self.calls if c[0] not in {"view", "front", "vm"} and verb in {None, c[0]}]

    # --- somebody behind the operator's back -------------------------------------------------------------------------

    def lose(self, *ids):
        for vm_id in ids:
            self.ended[vm_id] = replace(self.vms.pop(vm_id), state=DONE_STATE)

    def change(self, vm_id, **attributes):
        self.vms[vm_id] = replace(self.vms[vm_id], **attributes)

    def add(self, name, mark, memory=4096, owner=0):
        vm_id, self.next_id = self.next_id, self.next_id + 1
        self.vms[vm_id] = Vm(vm_id, name, owner, RUNNING, 3, "1", 1, memory, (), (), mark, "host", "", "")
        return vm_id

    def marked(self, name):
        return [vm for vm in self.vms.values() if vm.mark and vm.mark.object.endswith(f"/{name}")]

    # --- the API ---------------------------------------------------------------------------------------------------------

    def client(self, password="secret"):
        return Client(self, password)

    async def call(self, verb, argument, effect):
        await self.may_crash(f"before {verb}")
        await asyncio.sleep(0.05)
        self.calls.append((verb, argument))
        queue = self.failing.get(verb)
        error, happens, late = queue.popleft() if queue else (None, True, 0.0)
        result = None
        if happens and late:
            asyncio.get_running_loop().call_later(late, effect)
        elif happens:
            result = effect()
        if error is not None:
            raise error
        await self.may_crash(f"after {verb}")
        return result

    async def may_crash(self, where):
        if self.point is not None:
            await self.point(where)

    def create(self, name, mark, memory):
        vm_id = self.add(name, mark, memory)
        self.change(vm_id, state=PENDING)
        asyncio.get_running_loop().call_later(self.boots, self.boot, vm_id)
        return vm_id

    def boot(self, vm_id):
        if vm_id in self.vms:
            self.change(vm_id, state=RUNNING)

    def set(self, vm_id, **attributes):
        if vm_id not in self.vms:
            raise NotFound(f"VM {vm_id}")
        if not self.deaf:
            self.change(vm_id, **attributes)

    def find(self, vm_id):
        found = self.vms.get(vm_id) or self.ended.get(vm_id)
        if found is None:
            raise NotFound(f"VM {vm_id}")
        return found


class Client:
    """The part of the OpenNebula port that the tiny kinds use."""

    allowance = Allowance(left=29.0, size=30.0, paused=0.0, refused=False)

    def __init__(self, outside, password):
        self._outside, self._password = outside, password

    async def front(self):
        return await self._outside.call("front", "", lambda: Front("7.0", 0, "OpenNebula", 0))

    async def view(self, began):
        self._outside.views += 1
        return await self._outside.call(
            "view", "", lambda: CloudView(began, dict(self._outside.vms), {}, {}, {}, {}, {}, 0)
        )

    async def vm(self, vm_id):
        return await self._outside.call("vm", vm_id, lambda: self._outside.find(vm_id))

    async def create_vm(self, template):
        def effect():
            mark = mark_from_opennebula(template)
            return self._outside.create(template["NAME"], mark, int(template["MEMORY"]))

        return await self._outside.call("create", template["NAME"], effect)

    async def resize(self, vm_id, *, memory, **_):
        await self._outside.call("resize", vm_id, lambda: self._outside.set(vm_id, memory=memory))

    async def rename_vm(self, vm_id, name):
        await self._outside.call("rename", vm_id, lambda: self._outside.set(vm_id, name=name))

    async def update_vm(self, vm_id, attributes):
        await self._outside.call("mark", vm_id, lambda: self._outside.set(vm_id, mark=mark_from_opennebula(attributes)))

    async def act(self, vm_id, action):
        def effect():
            if vm_id in self._outside.vms:
                self._outside.lose(vm_id)

        await self._outside.call("terminate", vm_id, effect)


@dataclass(frozen=True, slots=True, kw_only=True)
class Do(Step):
    verb: str
    vm: int = -1


@dataclass(frozen=True, slots=True)
class Seen:
    mark: Mark
    problem: object = None
    vm: Vm | None = None
    predecessor: bool = False
    missing: int | None = None
    terminated: bool = False
    several: tuple[int, ...] = ()


def mebibytes(text):
    return int(text.removesuffix("Gi")) * 1024


class MachineController:
    """A HostedInstance: memory and name, nothing else.

    Attributes:
        bug: raised while observing, plan'd or performing, as the name of the verb says.
    """

    resource = HostedInstance

    def __init__(self):
        self.bugs = {}
        self.looks = 0

    def uses(self, resource):
        reference = resource.spec.placement.cloud_ref if resource.spec.placement else None
        cloud = Key("SovereignCloud", resource.metadata.namespace, reference.name) if reference else None
        init = resource.spec.cloud_init
        # as the real kind does: to end a machine its user data is not needed
        secrets = (SecretUse(init.user_data_secret_ref.name),) if init and not resource.deleting else ()
        return Uses(cloud=cloud, secrets=secrets)

    async def observe(self, resource, world):
        self.looks += 1
        if "observe" in self.bugs:
            raise self.bugs["observe"]
        mark, cloud = world.mark(resource), self.uses(resource).cloud
        if world.get(cloud) is None:
            return Seen(mark, problem=blocked(f"{cloud} does not exist"))
        client = await world.open_nebula(cloud)
        view = await world.view(cloud)
        recorded = resource.external.get("vm")
        if recorded and int(recorded) in view.vms:
            return self._check(mark, view.vms[int(recorded)])
        found = find(((vm.mark, vm) for vm in view.vms.values() if vm.owner == 0), mark)
        if len(found.candidates) > 1:
            return Seen(mark, several=tuple(vm.id for vm in found.candidates))
        if found.candidates:
            return self._check(mark, found.candidates[0])
        if not recorded:
            return Seen(mark)
        if not (world.admitted or resource.deleting):
            return Seen(mark, missing=int(recorded))
        ended = await client.vm(int(recorded))
        return Seen(mark, missing=int(recorded), terminated=ended.state == DONE_STATE)

    def _check(self, mark, vm):
        return Seen(mark, vm=vm, predecessor=vm.mark.uid != mark.uid)

    def plan(self, resource, seen, now):
        if seen.problem:
            return Plan(outcome=seen.problem)
        cause = Cause.OBSERVED if resource.settled else Cause.DECLARED
        if seen.several:
            ids = ", ".join(map(str, seen.several))
            return Plan(outcome=stalled("MultipleMatches", f"VMs {ids} carry the mark"))
        if resource.deleting:
            return self._deletion(resource, seen)
        if seen.missing is not None and not seen.terminated:
            outcome = waiting("ConfirmingAbsence", f"VM {seen.missing} is missing", available=True)
            return Plan(absent=True, outcome=outcome)
        if seen.missing is not None:
            drift = (Drift("spec", "a machine", f"VM {seen.missing} was terminated"),)
            policy = resource.spec.update_policy
            if policy is None or policy.replace != "Allow":
                return Plan(drift, (), stalled("ExternallyDeleted", f"VM {seen.missing} was terminated"))
            return Plan(drift, (self._create(resource, Cause.OBSERVED),), waiting("Creating", "is to be made"))
        if seen.vm is None:
            return Plan((), (self._create(resource, Cause.DECLARED),), waiting("Creating", "is to be made"))
        return self._keeping(resource, seen, cause)

    def _create(self, resource, cause):
        return Do(action=Action.CREATE, target=f'VM "{resource.outside_name}"', cause=cause, verb="create")

    def _keeping(self, resource, seen, cause):
        vm, drift, steps = seen.vm, [], []
        if seen.predecessor:
            steps.append(Do(action=Action.MARK, target=f"VM {vm.id}", verb="mark", vm=vm.id))
        if vm.name != resource.outside_name:
            drift.append(Drift("spec.name", resource.outside_name, vm.name))
            steps.append(self._update("rename", vm, "spec.name", cause))
        if resource.spec.memory and vm.memory != mebibytes(resource.spec.memory):
            drift.append(Drift("spec.memory", resource.spec.memory, f"{vm.memory}Mi"))
            steps.append(self._update("resize", vm, "spec.memory", cause))
        outcome = DONE if vm.state == RUNNING else waiting("Booting", f"VM {vm.id} boots")
        if resource.external.get("vm") != str(vm.id):
            outcome = outcome.with_facts(vm=str(vm.id))
        return Plan(tuple(drift), tuple(steps), outcome)

    def _update(self, verb, vm, path, cause):
        disruption = Disruption.RESTART if verb == "resize" else Disruption.NONE
        return Do(
            action=Action.UPDATE, target=f"VM {vm.id}: {verb}", fields=(path,), cause=cause, disruption=disruption,
            verb=verb, vm=vm.id,
        )  # fmt: skip

    def _deletion(self, resource, seen):
        if seen.vm is None or resource.deletion_policy is DeletionPolicy.RETAIN:
            return Plan()
        step = Do(action=Action.DELETE, target=f"VM {seen.vm.id}", verb="terminate", vm=seen.vm.id)
        return Plan((), (step,), waiting("Terminating", f"VM {seen.vm.id} is to be terminated"))

    async def perform(self, step, resource, world):
        if "perform" in self.bugs:
            raise self.bugs["perform"]
        client = await world.open_nebula(self.uses(resource).cloud)
        match step.verb:
            case "create":
                mark = world.mark(resource).for_opennebula()
                memory = mebibytes(resource.spec.memory or "1Gi")
                made = await client.create_vm({"NAME": resource.outside_name, "MEMORY": str(memory), **mark})
                outcome = done("Created", f"VM {made} created", vm=str(made))
                return replace(
                    outcome, phase=waiting("", "").phase, reason="Creating", message=f"VM {made} is being made"
                )
            case "mark":
                await client.update_vm(step.vm, world.mark(resource).for_opennebula())
                return done("TakenOver", f"VM {step.vm} taken over", vm=str(step.vm))
            case "rename":
                await client.rename_vm(step.vm, resource.outside_name)
                return done("Renamed", f"VM {step.vm}")
            case "resize":
                await client.resize(step.vm, memory=mebibytes(resource.spec.memory))
                return done("Resized", f"VM {step.vm}")
            case "terminate":
                await client.act(step.vm, "terminate-hard")
                return done("Terminated", f"VM {step.vm}")
            case _:
                raise TypeError(step.verb)

    def status(self, resource, seen):
        if seen.problem or seen.missing is not None:
            return {"id": resource.status.id, "state": resource.status.state}
        vm = seen.vm
        return {"id": str(vm.id) if vm else None, "state": {1: "Pending", 3: "Running"}[vm.state] if vm else None}


class CloudController:
    """A SovereignCloud: it answers or it does not."""

    resource = SovereignCloud

    def uses(self, resource):
        existing = resource.spec.existing
        return Uses(secrets=(SecretUse(existing.credentials_secret_ref.name),) if existing else ())

    async def observe(self, resource, world):
        if resource.deleting:
            return None
        client = await world.open_nebula(resource.key)
        view = await world.view(resource.key)
        return await client.front(), view

    def plan(self, resource, observed, now):
        return Plan()

    async def perform(self, step, resource, world):
        raise TypeError(step)

    def status(self, resource, observed):
        if observed is None:
            return {}
        return {"endpoint": resource.spec.existing.endpoint, "version": observed[0].version}


class Permissions:
    """What the account's credential may do: everything but what is refused.

    Attributes:
        refusals: by URN, the actions.
        asked: the URNs of each question.
        rules: of a consumer key.
    """

    def __init__(self):
        self.refusals, self.asked, self.rules, self.error = {}, [], None, None

    async def identity(self):
        await asyncio.sleep(0.05)
        if self.error:
            raise self.error
        return Identity("xx1111-ovh", "urn:v1:eu:identity:account:xx1111-ovh", self.rules)

    async def refused(self, urns, actions):
        self.asked.append(tuple(urns))
        await asyncio.sleep(0.05)
        return {urn: frozenset(self.refusals.get(urn, ())) & frozenset(actions) for urn in urns}


class Account:
    """An OVHcloud account: servers by name, and how often it was read."""

    def __init__(self):
        self.servers, self.views, self.asked, self.error, self.vracks = set(), 0, [], None, []
        self.rights = Permissions()

    async def view(self, began, vracks):
        self.views += 1
        self.vracks.append(set(vracks))
        await asyncio.sleep(0.05)
        if self.error:
            raise self.error
        return AccountView(
            began, {name: ServerSummary(name, name, name, {}) for name in self.servers}, dict.fromkeys(vracks)
        )

    async def server(self, name):
        self.asked.append(name)
        await asyncio.sleep(0.05)
        if name not in self.servers:
            raise NotFound(f"no server {name}")


class ServerController:
    """A BareMetalServer that is there or not."""

    resource = BareMetalServer

    def uses(self, resource):
        owners = tuple(
            Key("SovereignCloud", resource.metadata.namespace, r.name) for r in resource.metadata.owner_references
        )
        return Uses(objects=owners, secrets=(SecretUse(resource.spec.ovh.credentials_secret_ref.name),))

    async def observe(self, resource, world):
        ovh = resource.spec.ovh
        view = await world.account(ovh.endpoint, resource.metadata.namespace, "ovh", ovh.vrack or "")
        if ovh.vrack and ovh.vrack not in view.vracks:
            return "no vRack"
        if ovh.service_name in view.servers:
            return "there"
        if resource.settled and not world.admitted:
            return "missing"
        client = await world.ovh(ovh.endpoint, resource.metadata.namespace, "ovh")
        try:
            await client.server(ovh.service_name)
        except NotFound:
            return "gone"
        return "there"

    def plan(self, resource, observed, now):
        match observed:
            case "there":
                return Plan()
            case "missing":
                return Plan(absent=True, outcome=waiting("ConfirmingAbsence", "it is missing", available=True))
            case _:
                return Plan(outcome=stalled("ExternallyDeleted" if observed == "gone" else "VrackNotFound", observed))

    def status(self, resource, observed):
        return {}


class GroupController:
    """A SecurityGroup that is nowhere: it refers to nothing, and is looked at only when it is told to be."""

    resource = SecurityGroup

    def __init__(self):
        self.looks = 0

    def uses(self, resource):
        return Uses()

    async def observe(self, resource, world):
        self.looks += 1

    def plan(self, resource, observed, now):
        return Plan()

    def status(self, resource, observed):
        return {}


LOST_ANSWER = Retry("timed out", where="OpenNebula one.vm.allocate")


def at(seconds, do):
    """Do something in so many virtual seconds."""
    asyncio.get_running_loop().call_at(now() + seconds, do)
