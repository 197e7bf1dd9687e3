"""What Argo CD does, and does not have to do: waves, drift, selfHeal, revert."""

from itertools import pairwise

from sovereigncloud_sandbox.argocd import health, sync
from sovereigncloud_sandbox.stage import is_ready

OPERATORS_FIELDS = {"f:status", "f:metadata"}


def revision_of(found):
    """Where a version stands in the history of the whole cluster."""
    return int(found["metadata"]["resourceVersion"])


def memory_outside(cloud):
    """MiB of its one machine, as OpenNebula has it."""
    return int(cloud.vm("web").template["MEMORY"])


def in_namespace(chronicle, kind, name, namespace):
    return [o for o in chronicle.versions(kind, name) if o["metadata"]["namespace"] == namespace]


def test_each_wave_waits_until_the_one_before_is_ready_and_nothing_differs_in_the_end(make_folder, chronicle):
    cloud, folder = make_folder("waves")
    folder.put(cloud.image("alpine"), cloud.network("lan"), cloud.instance("web"), cloud.instance("db"))
    app = folder.settled(folder.create())
    assert {entry["status"] for entry in app["status"]["resources"]} == {"Synced"}
    assert "ignoreDifferences" not in app["spec"]
    waves = [[("SovereignCloud", "waves")], [("MachineImage", "alpine"), ("VirtualNetwork", "lan")]]
    waves.append([("HostedInstance", "web"), ("HostedInstance", "db")])
    told = [[in_namespace(chronicle, *one, "waves") for one in wave] for wave in waves]
    for before, after in pairwise(told):
        ready = max(revision_of(next(filter(is_ready, versions))) for versions in before)
        begun = min(revision_of(versions[0]) for versions in after)
        assert ready < begun, "Argo CD went on before the wave was Ready"


def test_drift_that_is_being_mended_never_turns_it_out_of_sync(make_folder, chronicle):
    cloud, folder = make_folder("drifting")
    folder.put(cloud.image("alpine"), cloud.network("lan"), cloud.instance("web"))
    folder.settled(folder.create())
    mark, told = folder.mark, chronicle.mark
    cloud.mischief("vm-power-off", vm="web")
    cloud.mischief("vnet-edit", vnet="lan", attributes={"GATEWAY": "10.31.0.254"})
    wanted = {("HostedInstance", "web", "spec.power"), ("VirtualNetwork", "lan", "spec.gateway")}
    chronicle.until("drift told", lambda: wanted <= chronicle.drifts(told).keys())
    cloud.ready("hostedinstance", "web")
    cloud.ready("virtualnetwork", "lan")
    folder.settled()
    versions = folder.since(mark)
    assert {sync(version) for version in versions} <= {"Synced"}
    assert {health(version) for version in versions} <= {"Healthy", "Progressing"}
    assert not any("operation" in version for version in versions), "and nothing was synced"


def test_self_heal_undoes_an_edit_by_hand_once_and_never_fights_the_operator(make_folder, chronicle):
    cloud, folder = make_folder("healed")
    allowed = {"powerCycle": "Allow"}
    folder.put(cloud.image("alpine"), cloud.network("lan"), cloud.instance("web", updatePolicy=allowed))
    folder.settled(folder.create())
    synced, told = folder.argo.metric("argocd_app_sync_total", name="healed"), chronicle.mark
    cloud.patch("hostedinstance", "web", memory="1Gi")
    chronicle.until("healed", lambda: _memories(chronicle, told) == ["1Gi", "512Mi"])
    cloud.ready("hostedinstance", "web")
    folder.settled()
    cloud.swept(3)
    assert _memories(chronicle, told) == ["1Gi", "512Mi"]
    assert folder.argo.metric("argocd_app_sync_total", name="healed") == synced + 1
    assert memory_outside(cloud) == 512
    for kind, name in (("sovereigncloud", "healed"), ("virtualnetwork", "lan"), ("hostedinstance", "web")):
        for entry in cloud.get(kind, name)["metadata"]["managedFields"]:
            if "argocd" not in entry["manager"] and entry["manager"] not in {"python-requests", "kubectl"}:
                assert entry["fieldsV1"].keys() <= OPERATORS_FIELDS, "the operator writes no spec"


def _memories(chronicle, since):
    """The values that spec.memory had, one after the other."""
    told = [o for o in chronicle.versions("HostedInstance", "web", since) if o["metadata"]["namespace"] == "healed"]
    values = [o["spec"]["memory"] for o in told]
    return [value for before, value in zip([None, *values], values, strict=False) if value != before]


def test_a_git_revert_scales_an_instance_back(make_folder):
    cloud, folder = make_folder("reverted")
    allowed = {"powerCycle": "Allow"}
    folder.put(cloud.image("alpine"), cloud.network("lan"), cloud.instance("web", updatePolicy=allowed))
    folder.settled(folder.create())
    folder.change("HostedInstance", "web", memory="1Gi")
    folder.settled(folder.commit("More memory"))
    assert memory_outside(cloud) == 1024
    folder.settled(folder.revert())
    assert memory_outside(cloud) == 512
