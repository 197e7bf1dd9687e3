"""What people may do: the ClusterRoles of the chart, asked of the API server as `kubectl auth can-i` asks it."""

import json

import pytest
import yaml
from tests.integration.chart.rendered import CHART

from sovereigncloud.api import KINDS
from sovereigncloud.api.common.base import API_VERSION, GROUP
from sovereigncloud.commands.generate.user_roles import ROLES, document

SYSTEM, SHOP, OTHER = "sovereign-system", "shop", "other"
PREFIX = f"{SYSTEM}-operator-sovereign-cloud-operator"


def binding(user, role, namespace=""):
    kind = "RoleBinding" if namespace else "ClusterRoleBinding"
    metadata = {"name": f"{user}-{role}"} | ({"namespace": namespace} if namespace else {})
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": metadata,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": user}],
    }


# Whoever is bound: to our roles, or to Kubernetes' own, which have the tenant's in them.
BINDINGS = [
    binding("engineer", f"{PREFIX}-platform-engineer"),
    binding("officer", f"{PREFIX}-sovereignty-officer"),
    binding("tenant", f"{PREFIX}-tenant", SHOP),
    binding("onlooker", f"{PREFIX}-tenant-view", SHOP),
    binding("editor", "edit", SHOP),
    binding("viewer", "view", SHOP),
    binding("owner", "admin", SHOP),
]


@pytest.fixture(scope="module")
def plane(own_control_plane):
    for namespace in (SHOP, OTHER):
        own_control_plane.kubectl("create", "namespace", namespace)
    own_control_plane.helm("install", "operator", str(CHART), f"--namespace={SYSTEM}", "--create-namespace")
    crds = [f"crd/{kind.crd.plural}.{GROUP}" for kind in KINDS]
    own_control_plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", *crds)
    own_control_plane.kubectl("apply", "--filename=-", input=yaml.safe_dump_all(BINDINGS))
    return own_control_plane


def may(plane, user, verb, resource, namespace=SHOP):
    where = [f"--namespace={namespace}"] if namespace else ["--all-namespaces"]
    resource, _, subresource = resource.partition("/")
    below = [f"--subresource={subresource}"] if subresource else []
    answer = plane.kubectl("auth", "can-i", verb, resource, *below, f"--as={user}", *where, check=False)
    return answer.stdout.strip().splitlines()[-1:] == ["yes"]


INSTANCES, CLOUDS = f"hostedinstances.{GROUP}", f"sovereignclouds.{GROUP}"
TABLE = [
    ("an engineer builds clouds anywhere", "engineer", "create", CLOUDS, OTHER, True),
    ("and takes them down", "engineer", "delete", CLOUDS, OTHER, True),
    ("and pauses a tenant's machine", "engineer", "patch", INSTANCES, SHOP, True),
    ("and looks at everything at once", "engineer", "list", CLOUDS, "", True),
    ("and puts credentials in place", "engineer", "create", "secrets", SHOP, True),
    ("but does not read what others put there", "engineer", "get", "secrets", SHOP, False),
    ("and reads what the installer says", "engineer", "get", "pods/log", SHOP, True),
    ("status is the operator's", "engineer", "patch", f"{CLOUDS}/status", SHOP, False),
    ("the language is the chart's", "engineer", "patch", "customresourcedefinitions", "", False),
    ("no shell", "engineer", "create", "pods/exec", SHOP, False),
    ("a tenant has machines", "tenant", "create", INSTANCES, SHOP, True),
    ("and ends them", "tenant", "deletecollection", INSTANCES, SHOP, True),
    ("in its own namespace", "tenant", "create", INSTANCES, OTHER, False),
    ("and no cloud", "tenant", "create", CLOUDS, SHOP, False),
    ("and no network: it is the platform's", "tenant", "create", f"virtualnetworks.{GROUP}", SHOP, False),
    ("nor a server, which costs money", "tenant", "patch", f"baremetalservers.{GROUP}", SHOP, False),
    ("to look is another role", "tenant", "get", INSTANCES, SHOP, False),
    ("which sees what machines are made from", "onlooker", "list", f"machineimages.{GROUP}", SHOP, True),
    ("and changes nothing", "onlooker", "patch", INSTANCES, SHOP, False),
    ("whoever may edit has machines", "editor", "create", INSTANCES, SHOP, True),
    ("and sees them", "editor", "watch", INSTANCES, SHOP, True),
    ("but no cloud", "editor", "create", CLOUDS, SHOP, False),
    ("nor a status", "editor", "patch", f"{INSTANCES}/status", SHOP, False),
    ("whoever may view sees machines", "viewer", "list", INSTANCES, SHOP, True),
    ("and makes none", "viewer", "create", INSTANCES, SHOP, False),
    ("whoever owns the namespace has machines", "owner", "delete", INSTANCES, SHOP, True),
    ("but no cloud either", "owner", "create", CLOUDS, SHOP, False),
    ("an officer sees all clouds", "officer", "list", CLOUDS, "", True),
    ("and all servers", "officer", "watch", f"baremetalservers.{GROUP}", "", True),
    ("and what happened", "officer", "list", "events", "", True),
    ("and reads no Secret", "officer", "get", "secrets", SHOP, False),
    ("and no log", "officer", "get", "pods/log", SHOP, False),
    ("and writes nothing", "officer", "patch", CLOUDS, SHOP, False),
    ("but rules", "officer", "update", f"sovereigntypolicies.{GROUP}", "", True),
    ("and facts about providers", "officer", "create", f"providerprofiles.{GROUP}", "", True),
    ("which an engineer reads", "engineer", "get", f"sovereigntypolicies.{GROUP}", "", True),
    ("and does not change: it is bound by them", "engineer", "patch", f"sovereigntypolicies.{GROUP}", "", False),
    ("not even a machine", "officer", "create", INSTANCES, SHOP, False),
    ("nobody gives rights", "engineer", "create", "clusterrolebindings.rbac.authorization.k8s.io", "", False),
]  # fmt: skip


def test_the_roles_of_kubernetes_take_ours_up(plane):
    """The controller that aggregates works a moment later."""
    plane.kubectl(
        "wait", "clusterrole/edit", "--timeout=30s",
        f'--for=jsonpath={{.rules[?(@.apiGroups[0]=="{GROUP}")].apiGroups[0]}}={GROUP}', check=False,
    )  # fmt: skip
    for role in ("admin", "edit", "view"):
        rules = plane.get("clusterrole", role)["rules"]
        assert any(GROUP in rule["apiGroups"] for rule in rules), role


@pytest.mark.parametrize(("why", "user", "verb", "resource", "namespace", "yes"), TABLE, ids=[row[0] for row in TABLE])
def test_who_may_do_what(plane, why, user, verb, resource, namespace, yes):
    assert may(plane, user, verb, resource, namespace) is yes, why


def test_an_engineer_applies_what_the_examples_say(plane):
    """Secrets too, which it cannot read: server-side apply needs no look first."""
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "one", "namespace": SHOP},
        "stringData": {"a": "b"},
    }
    cloud = {
        "apiVersion": API_VERSION,
        "kind": "SovereignCloud",
        "metadata": {"name": "paris", "namespace": SHOP},
        "spec": {"existing": {"endpoint": "https://one.example/RPC2", "credentialsSecretRef": {"name": "one"}}},
    }  # fmt: skip
    for _ in range(2):
        plane.kubectl(
            "apply", "--server-side", "--filename=-", "--as=engineer", input=yaml.safe_dump_all([secret, cloud])
        )
    assert json.loads(plane.kubectl("get", "sovereign", "-A", "-o", "json", "--as=officer").stdout)["items"]


def test_every_kind_is_in_the_roles_and_no_right_is_a_wildcard():
    for name, role in ROLES.items():
        for rule in role.rules:
            assert "*" not in {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}, name
        resources = {one for rule in role.rules if rule["apiGroups"] == [GROUP] for one in rule["resources"]}
        own = {"hostedinstances", "instancemigrations", "exitplans"}
        assert resources == (own if name == "tenant" else {kind.crd.plural for kind in KINDS})
    assert set(yaml.safe_load(document())) == set(ROLES)
