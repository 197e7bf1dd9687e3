"""What the engine makes of Tenants: who may use which cloud, as whom, what is read, who looks again."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from tests.unit.kinds.opennebula_in_memory import vm

from sovereigncloud.api import KINDS
from sovereigncloud.api.common.base import API_VERSION, Key
from sovereigncloud.engine.cache.store import Store
from sovereigncloud.engine.loop.context import BeyondSweepError, ObjectContext, Shared, SweepContext, view_of
from sovereigncloud.engine.loop.history import ReconcileHistory
from sovereigncloud.engine.loop.read_only_context import reading_open_nebula
from sovereigncloud.engine.settings import Settings
from sovereigncloud.engine.views.clients import Clients
from sovereigncloud.kinds import CONTROLLERS
from sovereigncloud.kinds.contract.tenancy import secret_name
from sovereigncloud.kopf_app import kinds_of
from sovereigncloud.ports.errors import MissingSecret
from sovereigncloud.ports.opennebula.security_groups import SecurityGroup
from sovereigncloud.ports.opennebula.views import CloudView
from sovereigncloud.providers.kubernetes.api import KubernetesApi, path_of
from sovereigncloud.providers.kubernetes.rbac import RBAC

RBX = Key("SovereignCloud", "platform", "rbx")
SECRET = secret_name("prefecture", "town", RBX)


def body(
    kind: str, name: str, spec: dict[str, Any], status: dict[str, Any] | None = None, **meta: Any
) -> dict[str, Any]:
    metadata = {"name": name, "uid": f"uid-{name}", "generation": 1, "resourceVersion": "1", **meta}
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec, "status": status or {}}


def cloud(**spec: Any) -> dict[str, Any]:
    existing = {"endpoint": "http://127.0.0.1/RPC2", "credentialsSecretRef": {"name": "one"}, **spec}
    return body(
        "SovereignCloud", "rbx", {"existing": existing}, {"endpoint": "http://127.0.0.1/RPC2"}, namespace="platform"
    )


def tenant(**meta: Any) -> dict[str, Any]:
    spec = {"namespaces": ["town"], "clouds": [{"cloudRef": {"name": "rbx", "namespace": "platform"}}]}
    users = [{"namespace": "town", "id": "7"}]
    status = {"clouds": [{"name": "rbx", "namespace": "platform", "group": "100", "users": users}]}
    return body("Tenant", "prefecture", spec, status, **meta)


def instance() -> dict[str, Any]:
    return body("HostedInstance", "web", {"source": {"template": "small"}}, namespace="town")


class Secrets:
    def __init__(self) -> None:
        self.known = {
            ("platform", "one"): {"username": "oneadmin", "password": "root"},
            ("platform", "ca"): {"ca.crt": "authority"},
            ("sovereign-system", SECRET): {"username": "town", "password": "word"},
        }

    async def secret(self, namespace: str, name: str) -> dict[str, str]:
        if (namespace, name) not in self.known:
            raise MissingSecret(f"no Secret {namespace}/{name}")
        return self.known[namespace, name]


def shared(*bodies: dict[str, Any]) -> Shared:
    store = Store()
    for one in bodies:
        key, _ = store.put(one)
        store.set_uses(key, CONTROLLERS[key.kind].uses(store.parse(key)))
    secrets: Any = Secrets()
    made: Any = lambda *where: SimpleNamespace(where=where)  # noqa: E731
    group = SecurityGroup(id=4, name="web", owner=0, rules=(), mark=None)
    view = CloudView(
        0.0, {1: vm(id=1, owner=0), 2: vm(id=2, owner=7)}, {}, {}, {}, {}, owner=0, security_groups={4: group}
    )
    watch: Any = SimpleNamespace(view=view)
    return Shared(
        store=store, tracks=ReconcileHistory(grace=0.0), clients=Clients(secrets, made, made), kubernetes=secrets,
        installer=made, installation="inst", plain_http_hosts=frozenset(), now=lambda: datetime.now(UTC),
        watch_of_cloud=lambda _: watch, watch_of_account=made, own_namespace="sovereign-system",
    )  # fmt: skip


def world(*bodies: dict[str, Any], kind: type[ObjectContext] = ObjectContext) -> Any:
    everything = shared(*bodies, instance())
    return kind(everything, everything.store.get(Key("HostedInstance", "town", "web")))


AS_WHOM = [
    ("what is made", {}, "town"),
    ("a machine of the namespace's user", {"vm": 2}, "town"),
    ("a machine from before the Tenant", {"vm": 1}, "oneadmin"),
    ("a security group from before the Tenant", {"security_group": 4}, "oneadmin"),
    ("a machine that no view has", {"vm": 9}, "town"),
]


@pytest.mark.parametrize(("why", "thing", "whom"), AS_WHOM, ids=[row[0] for row in AS_WHOM])
async def test_as_whom_it_is_done(why: str, thing: dict[str, int], whom: str) -> None:
    assert (await world(cloud(), tenant()).open_nebula_for(RBX, "town", **thing)).where[1] == whom, why


async def test_without_a_tenant_it_is_the_administrator() -> None:
    assert (await world(cloud()).open_nebula_for(RBX, "town")).where[1] == "oneadmin"


async def test_the_authority_of_the_endpoint_is_read_beside_the_cloud() -> None:
    client = await world(cloud(caSecretRef={"name": "ca"}), tenant()).open_nebula_for(RBX, "town")
    assert client.where == ("http://127.0.0.1/RPC2", "town", "word", "authority")


async def test_a_password_that_is_not_there_is_told_by_its_name() -> None:
    there = world(cloud(), tenant())
    del there.kubernetes.known["sovereign-system", SECRET]
    with pytest.raises(MissingSecret, match=SECRET):
        await there.open_nebula_for(RBX, "town")
    assert await there.has_secret("sovereign-system", SECRET) is False


async def test_a_password_that_was_made_again_under_its_name_counts_where_it_proves_who_somebody_is() -> None:
    there = world(cloud(), tenant())
    first = await there.open_nebula_for(RBX, "town")
    there.kubernetes.known["sovereign-system", SECRET] = {"username": "town", "password": "another"}
    assert await there.open_nebula_for(RBX, "town") is first, "for a minute, at rest"
    assert (await there.open_nebula_for(RBX, "town", anew=True)).where[2] == "another"
    assert (await there.open_nebula_for(RBX, "town")).where[2] == "another", "and from then on for all that it makes"


async def test_a_sweep_asks_for_no_secret_and_has_no_client() -> None:
    there = world(cloud(), tenant(), kind=SweepContext)
    assert await there.has_secret("sovereign-system", SECRET) is None
    with pytest.raises(BeyondSweepError):
        await (await there.open_nebula_for(RBX, "town")).create_vm({})


def test_clouds_of_a_namespace_are_its_own_and_those_of_its_tenants() -> None:
    assert world(cloud(), tenant()).clouds("town") == (RBX,)
    assert world(cloud()).clouds("town") == ()
    assert world(cloud(), tenant()).clouds("platform") == (RBX,)
    going = tenant(deletionTimestamp="2026-11-28T00:00:00Z", finalizers=["sovereigncloud.io/finalizer"])
    assert world(cloud(), going).clouds("town") == (), "nothing new is made for a Tenant that goes"


def test_what_tenants_say_is_made_anew_only_when_one_of_them_changed() -> None:
    everything = shared(cloud(), tenant())
    before = everything.tenancies
    everything.store.put(instance())
    assert everything.tenancies is before
    changed = tenant(resourceVersion="2", generation=2)
    changed["spec"]["namespaces"] = ["village"]
    everything.store.put(changed)
    assert {(namespace, one.allowed) for (namespace, _), one in everything.tenancies.items()} == {
        ("town", False),
        ("village", True),
    }
    everything.store.remove(Key("Tenant", "", "prefecture"))
    assert everything.tenancies == {}


async def test_groups_and_users_are_read_only_where_a_tenant_lists_the_cloud() -> None:
    asked: list[str] = []

    async def pools(began: float) -> CloudView:
        return CloudView(began, {}, {}, {}, {}, {})

    async def people() -> str:
        asked.append("people")
        return "people"

    client: Any = SimpleNamespace(view=pools, tenancy=SimpleNamespace(view=people))

    async def read(*objects: dict[str, Any]) -> CloudView:
        return await view_of(client, RBX, shared(*objects).store, 1.0, client, lambda _: True)

    assert (await read(cloud())).tenancy is None
    assert asked == []
    assert (await read(cloud(), tenant())).tenancy == "people"


def test_who_only_reads_may_look_at_groups_and_change_none() -> None:
    client: Any = reading_open_nebula(lambda *_: SimpleNamespace(tenancy=SimpleNamespace(view=1, create_group=2)))(
        "", "", "", ""
    )  # type: ignore[arg-type,return-value]
    assert client.tenancy.view == 1
    with pytest.raises(Exception, match="create_group is not a read"):
        _ = client.tenancy.create_group


# ---------------------------------------------------------------------------------------------------- without namespace


def test_what_is_in_no_namespace_is_watched_by_an_operator_of_the_whole_cluster_only() -> None:
    without = {kind.crd.kind for kind in KINDS if not kind.crd.namespaced}
    assert without == {"Tenant", "SovereigntyPolicy", "ProviderProfile"}
    assert set(kinds_of(Settings())) == set(KINDS)
    narrowed = kinds_of(Settings(watch_namespaces=("a",)))
    assert {kind.crd.kind for kind in KINDS} - {kind.crd.kind for kind in narrowed} == without
    ours = {
        f"{plural}{part}"
        for plural in ("tenants", "sovereigntypolicies", "providerprofiles")
        for part in ("", "/status")
    }
    borders = {"namespaces", "validatingadmissionpolicies", "validatingadmissionpolicybindings"}
    assert {rule.resource for rule in RBAC if rule.wide} == ours | borders


async def test_an_operator_of_some_namespaces_does_not_even_list_it() -> None:
    api = KubernetesApi(SimpleNamespace(token=""), namespaces=("a",))  # type: ignore[arg-type]
    assert [one async for one in api.objects("Tenant")] == []
    assert api.requests == {}


@pytest.mark.parametrize(
    ("kind", "namespace", "name", "path"),
    [
        ("Tenant", "", "prefecture", "tenants/prefecture"),
        ("Tenant", "town", "", "tenants"),
        ("HostedInstance", "town", "web", "namespaces/town/hostedinstances/web"),
        ("HostedInstance", "", "", "hostedinstances"),
    ],
)
def test_where_the_api_server_has_it(kind: str, namespace: str, name: str, path: str) -> None:
    assert path_of(kind, namespace, name) == f"/apis/sovereigncloud.io/v1alpha1/{path}"
