import inspect
import json
import os
import sys
import time
from collections import defaultdict
from pathlib import Path

import pytest

import sovereigncloud
from sovereigncloud.api import KINDS, SovereigntyPolicy
from sovereigncloud.api.common.base import API_VERSION, FINALIZER, GROUP
from sovereigncloud.kinds.sovereigntypolicy.admission import INSTANCES, bindings_of, is_as_wanted
from sovereigncloud.ports.errors import Auth, MissingSecret, NotFound
from sovereigncloud.providers.kubernetes.api import INSTALLATION_CONFIG_MAP, KubernetesApi
from sovereigncloud.providers.kubernetes.connection import Connection
from sovereigncloud.providers.kubernetes.rbac import RBAC
from sovereigncloud_sandbox.child import Child

CHART = Path(__file__).parents[3] / "charts" / "sovereign-cloud-operator"
SOURCE = Path(sovereigncloud.__file__).parent.parent
OWN, OTHER = "sovereign-system", "tenants"
ACCOUNT = "operator-sovereign-cloud-operator"
SUBJECT = f"system:serviceaccount:{OWN}:{ACCOUNT}"
GRANTED = [rule for rule in RBAC if not rule.narrowed]
"""To a release for the whole cluster; test_lifecycle_namespaced.py has the other one."""


@pytest.fixture(scope="module")
def plane(own_control_plane):
    for namespace in (OWN, OTHER):
        own_control_plane.kubectl("create", "namespace", namespace)
    own_control_plane.helm("install", "operator", str(CHART), f"--namespace={OWN}")
    crds = [f"crd/{kind.crd.plural}.{GROUP}" for kind in KINDS]
    own_control_plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", *crds)
    return own_control_plane


@pytest.fixture
def as_operator(plane):
    return plane.kubeconfig_for_service_account(OWN, ACCOUNT)


def may(plane, *question, namespace=OTHER):
    answer = plane.kubectl("auth", "can-i", *question, f"--as={SUBJECT}", f"--namespace={namespace}", check=False)
    return answer.stdout.strip().splitlines()[-1:] == ["yes"]


def rights(plane, namespace, subject):
    """(group, resource, name or *, verb) as the API server's authorizer counts them."""
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    }
    answer = plane.kubectl(
        "create", "--filename=-", "--output=json", "--validate=false", f"--as={subject}",
        "--as-group=system:serviceaccounts", "--as-group=system:authenticated", input=json.dumps(review),
    )  # fmt: skip
    status = json.loads(answer.stdout)["status"]
    assert status["incomplete"] is False
    return {
        (group, resource, name, verb)
        for rule in status["resourceRules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames") or ["*"]
        for verb in rule["verbs"]
    }


def table(*, own):
    return {
        (rule.group, rule.resource, name, verb)
        for rule in GRANTED
        if own or not rule.own_namespace
        for name in rule.names or ("*",)
        for verb in rule.verbs
    }


@pytest.mark.parametrize(("namespace", "own"), [(OWN, True), (OTHER, False)])
def test_the_account_has_exactly_the_rights_of_the_table(plane, namespace, own):
    everybody = rights(plane, namespace, f"system:serviceaccount:{namespace}:somebody")
    assert rights(plane, namespace, SUBJECT) - everybody == table(own=own)


@pytest.mark.parametrize("rule", GRANTED, ids=lambda rule: f"{'-'.join(rule.verbs)} {rule.resource}")
def test_can_i_says_yes_to_the_table(plane, rule):
    resource, _, subresource = rule.resource.partition("/")
    asked = f"{resource}.{rule.group}" if rule.group else resource
    if rule.names:
        asked += f"/{rule.names[0]}"
    options = [f"--subresource={subresource}"] if subresource else []
    for verb in rule.verbs:
        assert may(plane, verb, asked, *options, namespace=OWN), verb


NEVER = [
    ("it is told Secrets' names, it does not look around", "list", "secrets", OWN),
    ("nor in a tenant's namespace", "watch", "secrets", OTHER),
    ("a person's Secret is never overwritten", "update", "secrets", OTHER),
    ("spec is never written by replacing", "update", f"hostedinstances.{GROUP}", OTHER),
    ("instances are the tenants'", "create", f"hostedinstances.{GROUP}", OTHER),
    ("and are not deleted by it", "delete", f"hostedinstances.{GROUP}", OTHER),
    ("clouds are not made by it", "create", f"sovereignclouds.{GROUP}", OTHER),
    ("nor deleted", "delete", f"sovereignclouds.{GROUP}", OTHER),
    ("the language is not its to change", "patch", "customresourcedefinitions", OTHER),
    ("nor to remove", "delete", "customresourcedefinitions", OTHER),
    ("Leases of others are none of its business", "get", "leases.coordination.k8s.io", OTHER),
    ("it keeps nothing in the namespaces of tenants", "create", "configmaps", OTHER),
    ("other ConfigMaps beside it are not read", "get", "configmaps/other", OWN),
    ("its installation id is never overwritten", "update", f"configmaps/{INSTALLATION_CONFIG_MAP}", OWN),
    ("nor deleted", "delete", f"configmaps/{INSTALLATION_CONFIG_MAP}", OWN),
    ("Jobs run pods, it does not", "create", "pods", OTHER),
    ("no shell in a pod", "create", "pods/exec", OTHER),
    ("a finished Job is evidence", "delete", "jobs.batch", OTHER),
    ("of namespaces their labels are listed, and none is made", "create", "namespaces", OTHER),
    ("what is refused, the chart says", "update", "validatingadmissionpolicies.admissionregistration.k8s.io", OTHER),
    ("no labels of namespaces are changed", "patch", "namespaces", OTHER),
    ("no rights are given", "create", "rolebindings.rbac.authorization.k8s.io", OWN),
    ("no rights are raised", "escalate", "clusterroles.rbac.authorization.k8s.io", OWN),
    ("nobody else's account", "impersonate", "serviceaccounts", OTHER),
    ("no tokens", "create", "serviceaccounts/token", OTHER),
    ("nodes are not its concern", "get", "nodes", OTHER),
    ("not everything", "*", "*", OTHER),
]


@pytest.mark.parametrize(("why", "verb", "resource", "namespace"), NEVER)
def test_can_i_says_no(plane, why, verb, resource, namespace):
    assert not may(plane, verb, resource, namespace=namespace), why


def child(kind, spec):
    metadata = {"name": "made", "namespace": OTHER}
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec}


SERVER = child(
    "BareMetalServer",
    {"ovh": {"endpoint": "ovh-eu", "credentialsSecretRef": {"name": "ovh"}, "serviceName": "ns1.ip-192-0-2.eu"}},
)
NETWORK = child(
    "VirtualNetwork",
    {"cloudRef": {"name": "c"}, "vlanID": 100, "addressRanges": [{"ip": "10.100.0.10", "size": 9}]},
)
CHILDREN = {"BareMetalServer", "VirtualNetwork"}
JOB = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {"name": "install"},
    "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}},
}
EVENT = {
    "apiVersion": "v1",
    "kind": "Event",
    "metadata": {"name": "told", "namespace": OTHER},
    "involvedObject": {"apiVersion": API_VERSION, "kind": "VirtualNetwork", "name": "made", "namespace": OTHER},
    "reason": "Told",
    "message": "m",
    "type": "Normal",
}


def lease(version=None):
    metadata = {"name": "sovereign-abc", "namespace": OWN} | ({"resourceVersion": version} if version else {})
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": {}}


def connection(kubeconfig, monkeypatch):
    """The client library reads KUBECONFIG when it is imported."""
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(kubeconfig))
    return Connection.load()


class Recorder:
    """Calls verbs of the API and remembers which."""

    def __init__(self, api):
        self._api = api
        self.called = set()

    def __getattr__(self, name):
        self.called.add(name)
        return getattr(self._api, name)


async def try_objects(api):
    for manifest in (SERVER, NETWORK):
        await api.apply(manifest)
    for kind in KINDS:
        assert not await api.kind_is_going(kind.crd.kind)
        assert len([body async for body in api.objects(kind.crd.kind)]) == (kind.crd.kind in CHILDREN)
    for kind in CHILDREN:
        (stored,) = [body async for body in api.objects(kind)]
        version = stored["metadata"]["resourceVersion"]
        patched = await api.patch_status(kind, OTHER, "made", version, {"observedGeneration": 1})
        held = patched["metadata"]["resourceVersion"]
        await api.patch_finalizers(kind, OTHER, "made", held, [FINALIZER])
        await api.delete(kind, OTHER, "made")
        (going,) = [body async for body in api.objects(kind)]
        await api.patch_finalizers(kind, OTHER, "made", going["metadata"]["resourceVersion"], [])
    for kind in {kind.crd.kind for kind in KINDS} - CHILDREN:
        with pytest.raises(NotFound):
            await api.patch_status(kind, OTHER, "none", "u", {})
        with pytest.raises(NotFound):
            await api.patch_finalizers(kind, OTHER, "none", "1", [])


async def try_secrets(api):
    assert await api.generate_login(OTHER, "generated", "town", {})
    assert set(await api.secret(OTHER, "generated")) == {"username", "password"}
    assert not await api.generate_login(OTHER, "generated", "town", {}), "never a second password"
    await api.delete_secret(OTHER, "generated")
    assert await api.generate_credentials(OTHER, "generated", "oneadmin", {})
    assert not await api.create_secret(OTHER, "generated", {}, {}), "it is there"
    assert set(await api.secret(OTHER, "generated")) == {"username", "password", "sshPrivateKey", "sshPublicKey"}
    for hold in (True, False):
        await api.guard_secret(OTHER, "generated", hold=hold)
    await api.delete_secret(OTHER, "generated")
    with pytest.raises(MissingSecret):
        await api.secret(OTHER, "generated")


async def try_admission(api):
    """A binding to one of the chart's policies, which nothing matches."""
    assert OWN in await api.namespace_labels()
    nobody = {"appliesTo": {"namespaceSelector": {"matchLabels": {"nobody": "has-it"}}}}
    metadata = {"name": "p", "uid": "0a1b2c3d-0000-4000-8000-000000000000"}
    policy = SovereigntyPolicy.model_validate({"metadata": metadata, "spec": nobody, "status": {}})
    binding = bindings_of(policy, "abc")[INSTANCES]
    del binding["metadata"]["ownerReferences"]  # of one that is not there: it would be collected
    admission, name = api._api.admission, binding["metadata"]["name"]
    assert await admission.installed(INSTANCES)
    assert await admission.binding(name) is None
    for _ in range(2):
        await admission.put_binding(binding)
    assert is_as_wanted(
        dict(await admission.binding(name)), {**binding, "metadata": {**binding["metadata"], "ownerReferences": []}}
    )
    for _ in range(2):
        await admission.delete_binding(name)


async def try_the_rest(api):
    await api.create_event(OTHER, EVENT)
    await api.patch_event(OTHER, EVENT["metadata"]["name"], {"count": 2})
    assert await api.config_map(OWN, INSTALLATION_CONFIG_MAP) is None
    await api.create_config_map(OWN, INSTALLATION_CONFIG_MAP, {"id": "abc"}, {})
    assert await api.config_map(OWN, INSTALLATION_CONFIG_MAP) == {"id": "abc"}
    assert await api.holdings(OWN) is None
    for count in ("1", "0"):
        await api.tell_holdings(OWN, {"count": count})
    assert await api.holdings(OWN) == {"count": "0"}
    assert await api.lease(OWN, "sovereign-abc") is None
    made = await api.write_lease(OWN, "sovereign-abc", lease(), create=True)
    await api.write_lease(OWN, "sovereign-abc", lease(made["metadata"]["resourceVersion"]), create=False)
    await api.create_job(OTHER, JOB)
    assert await api.job(OTHER, "install")
    assert len(await api.jobs(OTHER, "")) == 1
    assert await api.pods(OTHER, "job-name=nobody") == []


# What asks for a right without a method of KubernetesApi of its own.
BESIDE = {
    **{kind.crd.plural: {"watch"} for kind in KINDS},  # Kopf, in the last test
    "customresourcedefinitions": {"list", "watch"},  # Kopf
    "sovereignclouds/finalizers": {"update"},  # the admission plugin OwnerReferencesPermissionEnforcement
}
BESIDE["namespaces"] = {"watch"}  # Kopf
BESIDE["sovereigntypolicies"] = {"watch", "get"}  # who binds to one must be able to get it: the API server asks
BESIDE["baremetalservers"] = BESIDE["virtualnetworks"] = {"watch", "create"}  # apply of what is not there yet
BESIDE["instancemigrations"] = {"watch", "create", "delete"}  # likewise


async def test_every_verb_of_the_code_works_with_these_rights_and_no_right_is_idle(plane, as_operator, monkeypatch):
    async with KubernetesApi(connection(as_operator, monkeypatch)) as opened:
        api = Recorder(opened)
        await try_objects(api)
        await try_secrets(api)
        await try_admission(api)
        await try_the_rest(api)
    verbs = {name for name, _ in inspect.getmembers(KubernetesApi, inspect.isfunction) if not name.startswith("_")}
    assert api.called == verbs, "a method that this test does not try"
    used = defaultdict(set)
    for verb, resource in (*opened.requests, *((verb, name) for name, verbs in BESIDE.items() for verb in verbs)):
        used[resource].add(verb)
    allowed = defaultdict(set)
    for rule in GRANTED:
        allowed[rule.resource] |= set(rule.verbs)
    assert used == allowed


async def test_without_the_rights_the_error_says_so(plane, monkeypatch):
    plane.kubectl("create", "serviceaccount", "nobody", f"--namespace={OTHER}")
    nobody = plane.kubeconfig_for_service_account(OTHER, "nobody")
    async with KubernetesApi(connection(nobody, monkeypatch)) as api:
        with pytest.raises(Auth, match=r"cannot list resource \"hostedinstances\""):
            [_ async for _ in api.objects("HostedInstance")]


WATCHER = """
import asyncio, sys
import kopf
from sovereigncloud.api import KINDS
from sovereigncloud.api.common.base import GROUP, VERSION

registry = kopf.OperatorRegistry()
kopf.on.login(registry=registry)(kopf.login_with_kubeconfig)
for kind in KINDS:
    @kopf.on.event(GROUP, VERSION, kind.crd.plural, registry=registry, id="told")
    async def told(event, name, kind=kind.crd.kind, **_):
        print("told", kind, name, file=sys.stderr, flush=True)

@kopf.on.startup(registry=registry)
async def startup(settings, **_):
    settings.posting.enabled = False
    settings.peering.standalone = True

asyncio.run(kopf.operator(registry=registry, clusterwide=True, standalone=True))
"""


def test_kopf_watches_with_these_rights_and_takes_up_a_kind_that_comes_later(plane, as_operator, tmp_path):
    script = tmp_path / "watcher.py"
    script.write_text(WATCHER)
    environment = {**os.environ, "KUBECONFIG": str(as_operator), "PYTHONPATH": str(SOURCE)}
    image = child("MachineImage", {"cloudRefs": [{"name": "c"}], "source": {"marketplaceApp": "Debian 12"}})
    crd = plane.get("crd", f"machineimages.{GROUP}")
    plane.kubectl("delete", "crd", f"machineimages.{GROUP}")

    with Child("watcher", [sys.executable, script], log=tmp_path / "watcher.log", env=environment) as watcher:

        def says(text):
            deadline = time.monotonic() + 60
            while text not in watcher.log.read_text():
                assert watcher.poll() is None, watcher.tail()
                assert time.monotonic() < deadline, watcher.tail()
                time.sleep(0.1)

        plane.kubectl("apply", "--filename=-", input=json.dumps(NETWORK))
        says("told VirtualNetwork made")
        kept = {key: crd["metadata"][key] for key in ("name", "labels", "annotations")}
        plane.kubectl("create", "--filename=-", input=json.dumps(crd | {"metadata": kept, "status": None}))
        plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", f"crd/machineimages.{GROUP}")
        plane.kubectl("apply", "--filename=-", input=json.dumps(image))
        says("told MachineImage made")
        text = watcher.log.read_text()
    assert "permission" not in text.lower()
    assert "forbidden" not in text.lower()
