"""Self-service: the platform writes a Tenant, the tenant machines; on a real API server, with OpenNebula's own rights and quota."""

import pyone
import pytest

from sovereigncloud.api.common.base import API_VERSION
from sovereigncloud_sandbox.stage import SYSTEM, condition

SETTINGS = {"sweep_interval": "1", "settle_interval": "0.3"}
CLOUD = {"cloudRef": {"name": "paris", "namespace": "platform"}}


def tenant(**quota):
    spec = {"namespaces": ["town"], "clouds": [{**CLOUD, "quota": quota}]}
    return {"apiVersion": API_VERSION, "kind": "Tenant", "metadata": {"name": "prefecture"}, "spec": spec}


def instance(paris, name):
    found = paris.instance(name, placement=CLOUD)
    return {**found, "metadata": {"name": name, "namespace": "town"}}


def told(stage, kind, name, reason, *words, namespace="town"):
    """As soon as it says so."""

    def says(found):
        for one in ("Stalled", "Reconciling"):
            about = condition(found, one)
            if about.get("reason") == reason and all(word in about["message"] for word in words):
                return True
        return False

    return stage.wait(kind, name, f"{reason} {words}", says, namespace=namespace)


@pytest.fixture
def one(paris):
    return pyone.OneServer(paris.endpoint, session=f"oneadmin:{paris.password}")


def test_a_tenant_helps_itself_within_its_quota_and_leaves_nothing_behind(stage, paris, one):
    stage.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "town"}})
    stage.apply(instance(paris, "web"))
    told(stage, "hostedinstance", "web", "NamespaceNotAllowed", "needs a Tenant that lists namespace town")

    stage.apply(tenant(vms=1, cpu="4"))

    found = stage.wait_ready("tenant", "prefecture", namespace="")
    (cloud,) = found["status"]["clouds"]
    assert (found["status"]["cloudsReady"], cloud["ready"]) == ("1/1", True)
    status = stage.wait_ready("hostedinstance", "web", namespace="town")["status"]
    vm = one.vm.info(int(status["id"]))
    assert (int(cloud["users"][0]["id"]), int(cloud["group"]), "prefecture") == (vm.UID, vm.GID, vm.GNAME)
    assert status["placement"]["cloud"] == "platform/paris"
    (secret,) = [
        s for s in stage.cluster.get("secrets", f"--namespace={SYSTEM}")["items"] if "tenant-" in s["metadata"]["name"]
    ]
    assert set(secret["data"]) == {"username", "password"}
    shown = stage.cluster.kubectl("get", "tnt").stdout
    assert "1/1" in shown

    stage.apply(instance(paris, "second"))
    told(stage, "hostedinstance", "second", "QuotaExceeded", "machines 1 of 1 used, 1 more asked for, 1 too many")
    assert one.vmpool.info(-2, -1, -1, -1).VM[-1].ID == vm.ID, "nothing was asked for"
    stage.apply(tenant(vms=2, cpu="4"))
    stage.wait_ready("hostedinstance", "second", namespace="town")

    one.group.quota(int(cloud["group"]), "VM=[VMS=50,CPU=4]")
    one.vdc.addgroup(0, int(cloud["group"]))
    stage.wait(
        "tenant", "prefecture", "mended", namespace="",
        test=lambda _: one.group.info(int(cloud["group"])).VM_QUOTA.VM[0].VMS == "2" and int(cloud["group"]) not in one.vdc.info(0).GROUPS.ID,
    )  # fmt: skip
    stage.wait_ready("tenant", "prefecture", namespace="")

    paris.at_rest()
    before, calls = stage.kubernetes_writes(), stage.one_mark("paris")
    paris.swept(3)
    rest = stage.kubernetes_writes() - before
    assert not {what: number for what, number in rest.items() if "leases" not in what}
    assert stage.one_calls("paris", since=calls) == []

    stage.cluster.kubectl("delete", "tenant", "prefecture", "--wait=false")
    told(stage, "tenant", "prefecture", "InUse", "HostedInstance town/web", namespace="")
    stage.delete("namespace", "town")
    stage.wait_gone("tenant", "prefecture", namespace="")
    assert {group.NAME for group in one.grouppool.info().GROUP} == {"oneadmin", "users"}
    assert {user.NAME for user in one.userpool.info().USER} == {"oneadmin", "serveradmin"}
    assert not [
        s for s in stage.cluster.get("secrets", f"--namespace={SYSTEM}")["items"] if "tenant-" in s["metadata"]["name"]
    ]
