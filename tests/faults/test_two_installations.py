"""Two installations of the operator with different ids never fight: the second says whose it is and writes nothing."""

import base64
import copy

from tests.faults.api_server import manifest, secret
from tests.faults.instances import CLOUD, IMAGE, NETWORK, ONE, instance
from tests.faults.rivals import Rival, adopts, put_machine
from tests.faults.scene import INSTALLATION, Scene
from tests.faults.servers import Hosted
from tests.faults.simulated_time import run

from sovereigncloud_sandbox.stage import is_ready

HOUR = 3600.0
WHOSE = "OwnedByAnotherInstallation"
ALL = (
    ("SovereignCloud", "paris"),
    ("VirtualNetwork", "lan"),
    ("MachineImage", "ubuntu"),
    ("SecurityGroup", "web"),
    ("HostedInstance", "web"),
)
GROUP = manifest("SecurityGroup", "web", {"rules": [{"direction": "Inbound", "protocol": "ALL"}]})
WEB = instance(
    networks=[{"name": "lan", "securityGroups": ["web"]}],
    group={"name": "front", "policy": "Apart"},
    disks=[{"name": "root", "size": "10Gi"}, {"name": "data", "size": "1Gi"}],
)


PARTS = {
    "stores": [
        {
            "name": "exchange",
            "type": "Marketplace",
            "http": {"baseURL": "https://market.example.fr", "publicDir": "/var/local/market-http"},
        }
    ],
    "clusters": [{"name": "west"}],
    "datastores": [{"name": "fast", "type": "Image", "transfer": "ssh"}],
}


def everything():
    cloud = copy.deepcopy(CLOUD)
    cloud["spec"] |= PARTS
    return copy.deepcopy([ONE, cloud, NETWORK, IMAGE, GROUP, WEB])


async def stands(scene):
    """The first installation has built all of it."""
    scene.add_cloud("paris", "127.0.0.50")
    scene.api.apply(*everything())
    assert await scene.run(900, scene.settled), [
        (one["metadata"]["name"], one.get("status")) for one in scene.api.all("HostedInstance")
    ]
    await scene.run(130)  # until the last of it is told


def seen(cloud):
    """What is in the cloud, and whose."""
    pools = {
        "vm": cloud.vms, "network": cloud.vnets, "image": cloud.images, "host": cloud.hosts, "zone": cloud.zones,
        "security group": cloud.security_groups, "VM group": cloud.vm_groups, "cluster": cloud.clusters,
        "datastore": cloud.datastores, "marketplace": cloud.marketplaces,
    }  # fmt: skip
    return {
        (noun, one.oid): (one.name, one.uid if hasattr(one, "uid") else 0, sorted(map(str, _template(one))))
        for noun, pool in pools.items()
        for one in pool.values()
    }


def says(scene, kind, name):
    return told(scene.api.get(kind, name))


def told(body):
    """(reason, message) of its Stalled condition, else of Ready."""
    found = {one["type"]: one for one in (body.get("status") or {}).get("conditions") or ()}
    one = found.get("Stalled") or found.get("Ready") or {"reason": "", "message": ""}
    return one["reason"], one["message"]


def ready(scene, name):
    return is_ready(scene.api.get("HostedInstance", name))


def _template(one):
    return one.user_template if hasattr(one, "user_template") else one.template


def test_the_same_manifests_in_a_second_cluster():
    async def go():
        async with Scene() as first:
            await stands(first)
            async with Rival(first) as second:
                before, done = seen(first.clouds["paris"]), len(first.writes.log)
                second.api.apply(*everything())
                await second.run(HOUR, every=60.0)
                assert second.wrote() == []
                for kind, name in ALL:
                    reason, message = says(second, kind, name)
                    assert (kind, reason) == (kind, WHOSE), message
                    assert INSTALLATION in message, message
                assert len(first.writes.log) == done, "nor does the first one notice anything"
                assert seen(first.clouds["paris"]) == before

    run(go())


def test_the_first_is_gone_without_a_word():
    async def go():
        async with Scene() as first:
            await stands(first)
            async with Rival(first) as second:
                await first.process.end()
                second.api.apply(*everything())
                await second.run(HOUR, every=60.0)
                assert second.wrote() == []
                assert [says(second, *one)[0] for one in ALL] == [WHOSE] * len(ALL)
                first.process = type(first.process)(first)
                first.process.start()

    run(go())


def test_what_the_second_deletes_stays():
    async def go():
        async with Scene() as first:
            await stands(first)
            async with Rival(first) as second:
                before = seen(first.clouds["paris"])
                second.api.apply(*everything())
                await second.run(300, every=60.0)
                for kind, name in (*ALL, ("SovereignCloud", "paris")):
                    second.api.remove(kind, name)
                assert await second.run(
                    600,
                    lambda: (
                        not any(
                            second.api.all(p)
                            for p in ("hostedinstances", "virtualnetworks", "machineimages", "securitygroups")
                        )
                    ),
                )
                assert second.wrote() == []
                assert seen(first.clouds["paris"]) == before

    run(go())


def test_others_of_the_same_names_outside():
    """Only what is its own does the second make: a machine of another object; what it shares, it uses and leaves as it is."""

    async def go():
        async with Scene() as first:
            await stands(first)
            async with Rival(first) as second:
                before, done = seen(first.clouds["paris"]), len(first.writes.log)
                named = [(NETWORK, "net", "lan"), (IMAGE, "base", "ubuntu"), (GROUP, "rules", "web")]
                for one, name, outside in named:
                    other = copy.deepcopy(one)
                    other["metadata"]["name"], other["spec"]["name"] = name, outside
                    second.api.apply(other)
                grouped = instance("grouped", group={"name": "front", "policy": "Apart"})
                second.api.apply(ONE, copy.deepcopy(CLOUD), instance("db"), grouped)
                await second.run(HOUR, every=60.0)
                for kind, name in (
                    ("VirtualNetwork", "net"),
                    ("MachineImage", "base"),
                    ("SecurityGroup", "rules"),
                    ("HostedInstance", "grouped"),
                ):
                    reason, message = says(second, kind, name)
                    assert (name, reason, INSTALLATION in message) == (name, WHOSE, True), message
                assert ready(second, "db")
                assert [label.split()[1] for label in second.wrote()] == ["one.vm.allocate"]
                after = seen(first.clouds["paris"])
                assert {where: after[where] for where in before} == before
                assert first.writes.log[done:] == ["PATCH /namespaces/platform/sovereignclouds/paris/status"]
                told_of_exit = first.api.get("SovereignCloud", "paris")["status"]["exit"]
                assert told_of_exit == "0/2", "of all machines in the cloud it tells who could leave it"

    run(go())


def test_what_the_first_made_is_not_adopted_and_what_is_nobodys_by_one_of_them_only():
    async def go():
        async with Scene() as first:
            await stands(first)
            cloud = first.clouds["paris"]
            free = put_machine(cloud, "free")
            (made,) = [vm.oid for vm in cloud.vms.values() if vm.oid != free]
            async with Rival(first) as second:
                second.api.apply(ONE, CLOUD, adopts("made", made), adopts("free", free))
                first.api.apply(adopts("free", free))
                await second.run(HOUR, every=60.0)
                assert says(second, "HostedInstance", "made") == (WHOSE, says(second, "HostedInstance", "made")[1])
                assert INSTALLATION in says(second, "HostedInstance", "made")[1]
                ours, theirs = ready(first, "free"), ready(second, "free")
                assert ours != theirs, "one of them has it"
                holder, loser = (first, second) if ours else (second, first)
                written, reason = loser.writes.log, says(loser, "HostedInstance", "free")
                assert reason[0] == WHOSE
                assert holder.settings.installation_id in reason[1]
                assert len(second.wrote()) <= 1
                await second.run(HOUR, every=60.0)
                assert (loser.writes.log, says(loser, "HostedInstance", "free")) == (written, reason)

    run(go())


def adopting():
    """The hosted cloud as one that a person built, with the credential that the first installation generated."""
    cloud = copy.deepcopy(Hosted.cloud)
    hosted = cloud["spec"]["hosted"]
    hosted["networks"] = [one for one in hosted["networks"] if "publicBlock" not in one]
    for server in hosted["ovh"]["servers"]:
        server.pop("reinstall", None)
    hosted["openNebula"] = {
        "adopt": {"endpoint": "http://127.0.0.10:2633/RPC2", "credentialsSecretRef": {"name": "admin"}}
    }
    return cloud


def generated(scene):
    """Of the password that the operator made for its cloud."""
    made = scene.api.get("Secret", "ovh-rbx-oneadmin")
    return {"username": "oneadmin", "password": base64.b64decode(made["data"]["password"]).decode()}


def as_it_was_written():
    return copy.deepcopy(Hosted.cloud)


def test_a_hosted_cloud_with_its_servers_hosts_and_networks():
    """Both as one to install and as one to adopt."""

    async def go():
        async with Scene() as first:
            first.api.apply(first.account_secret("ovh-account"), as_it_was_written())
            assert await first.run(4 * HOUR, first.settled, every=5.0)
            await first.run(130)
            (cloud,) = first.clouds.values()
            before, done, installed = seen(cloud), len(first.writes.log), list(first.installs)
            async with Rival(first) as second, Rival(first, installation_id="test-3") as third:
                for other, declared in ((second, as_it_was_written()), (third, adopting())):
                    other.api.apply(other.account_secret("ovh-account"), secret("admin", **generated(first)), declared)
                await second.run(HOUR, every=60.0)
                for other in (second, third):
                    assert other.wrote() == []
                    assert other.installs == []
                    told = [says(other, "SovereignCloud", "ovh-rbx")]
                    told += [
                        says(other, "BareMetalServer", one["metadata"]["name"])
                        for one in other.api.all("BareMetalServer")
                    ]
                    assert len(told) == 3
                    assert all(INSTALLATION in message for _, message in told), told
                    assert {reason for reason, _ in told[1:]} == {WHOSE}
            assert (seen(cloud), len(first.writes.log), first.installs) == (before, done, installed)

    run(go())


def test_a_tenant_of_the_same_name():
    """Group, user and VDC of the first: the second neither takes them nor makes others."""

    async def go():
        async with Scene() as first:
            first.add_cloud("paris", "127.0.0.50")
            clouds = [{"cloudRef": {"name": "paris", "namespace": "platform"}}]
            tenant = manifest("Tenant", "prefecture", {"namespaces": ["platform"], "clouds": clouds}, namespace="")
            first.api.apply(ONE, CLOUD, tenant)
            assert await first.run(900, first.settled), first.api.all("Tenant")
            await first.run(130)
            async with Rival(first) as second:
                cloud = first.clouds["paris"]
                before = sorted(one.name for pool in (cloud.groups, cloud.users, cloud.vdcs) for one in pool.values())
                second.api.apply(ONE, CLOUD, copy.deepcopy(tenant))
                await second.run(HOUR, every=60.0)
                reason, message = told(second.api.all("Tenant")[0])
                assert (reason, INSTALLATION in message) == (WHOSE, True), message
                assert second.wrote() == []
                assert (
                    sorted(one.name for pool in (cloud.groups, cloud.users, cloud.vdcs) for one in pool.values())
                    == before
                )

    run(go())
