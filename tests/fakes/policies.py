"""The engine with policies: machines that are judged by where somebody says they are, and bindings in memory."""

from tests.fakes import objects
from tests.fakes.engine_bench import Bench
from tests.fakes.outside import MachineController

from sovereigncloud.api.common.base import Key
from sovereigncloud.kinds.contract.controller import OWN_CONDITIONS
from sovereigncloud.kinds.providerprofile.controller import ProviderProfileController
from sovereigncloud.kinds.sovereigntypolicy.admission import ADMISSION_POLICIES
from sovereigncloud.kinds.sovereigntypolicy.controller import SovereigntyPolicyController
from sovereigncloud.sovereignty.evaluation import compliance, evaluate
from sovereigncloud.sovereignty.facts import Facts, Grade, Part, Place


def policy(name="fr", *, countries=("FR",), **spec):
    wanted = {"residency": {"allowedCountries": list(countries), "covers": ["compute"]}, **spec}
    return objects.body("SovereigntyPolicy", name, wanted, namespace="")


def named(name, kind="SovereigntyPolicy"):
    return Key(kind, "", name)


class Admission:
    """The API server's ValidatingAdmissionPolicies and bindings."""

    def __init__(self):
        self.policies, self.bindings, self.writes, self.reads = set(ADMISSION_POLICIES), {}, [], 0

    async def installed(self, name):
        self.reads += 1
        return name in self.policies

    async def binding(self, name):
        self.reads += 1
        return self.bindings.get(name)

    async def put_binding(self, binding):
        self.writes.append(("put", binding["metadata"]["name"]))
        self.bindings[binding["metadata"]["name"]] = dict(binding)

    async def delete_binding(self, name):
        self.writes.append(("delete", name))
        self.bindings.pop(name, None)


class JudgedMachines(MachineController):
    """Machines that are in a country."""

    def __init__(self):
        super().__init__()
        self.countries = {}

    async def observe(self, resource, world):
        seen = await super().observe(resource, world)
        rules = world.policies(resource.metadata.namespace, self.uses(resource).cloud)
        place = Place("host one-1", self.countries.get(resource.metadata.name, "FR"), grade=Grade.OBSERVED)
        where = {"namespace": resource.metadata.namespace, "name": resource.metadata.name}
        facts = Facts({Part.COMPUTE: (place,)})
        self.told = compliance([r for one in rules for r in evaluate(one, facts, **where)])
        return seen

    def status(self, resource, seen):
        return {**super().status(resource, seen), OWN_CONDITIONS: [self.told] if self.told else []}


class PolicyBench(Bench):
    """With controllers of policies and profiles."""

    def __init__(self, **settings):
        super().__init__(**settings)
        self.machines = JudgedMachines()
        self.api.admission = self.admission = Admission()

    def make(self):
        engine = super().make()
        others = {"SovereigntyPolicy": SovereigntyPolicyController(), "ProviderProfile": ProviderProfileController()}
        engine._controllers.update(others)
        return engine

    def label(self, namespace, **labels):
        self.engine.namespaces.told("MODIFIED", {"metadata": {"name": namespace, "labels": labels}})

    def compliant(self, name):
        return self.api.condition(objects.key(name), "Compliant")["status"]
