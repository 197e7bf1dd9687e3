"""A SecurityGroup and a machine that names it, by their manifests alone: on a real API server, in a cloud that stands elsewhere."""

from sovereigncloud_sandbox.stage import condition, is_ready

SETTINGS = {"sweep_interval": "1", "settle_interval": "0.3"}

HTTPS = {"direction": "Inbound", "protocol": "TCP", "range": "443"}
OUT = {"direction": "Outbound", "protocol": "ALL"}


def test_a_group_from_before_its_machine_to_after_it(stage, make_cloud):
    nice = make_cloud("nice")
    card = {"name": "lan", "address": "10.31.0.20", "securityGroups": ["web"]}
    lan = nice.network("lan", held=["10.31.0.10"])
    stage.apply([*nice.foundation(), nice.image("alpine"), lan, nice.instance("web", networks=[card])])
    nice.ready("virtualnetwork", "lan")
    nice.says("hostedinstance", "web", "Stalled", "SecurityGroupNotFound", "nice/nice has no security group called")

    # It names no cloud: it is made in the one of its namespace, and who waits for its name goes on.
    stage.apply([nice.object("SecurityGroup", "web", {"rules": [HTTPS]})])
    status = nice.ready("hostedinstance", "web")["status"]
    assert status["networks"][0].items() >= {"name": "lan", "address": "10.31.0.20", "securityGroups": ["web"]}.items()
    assert nice.ready("securitygroup", "web")["status"]["cloudsReady"] == "1/1"
    # It looks when the machine has told of its card, so a moment after that (tests/unit/engine/loop/test_reconcile_groups.py: not by a sweep).
    nice.wait("securitygroup", "web", "its machine", lambda found: found["status"]["machines"] == "1/1")

    # A rule more is brought to the machine.
    nice.patch("securitygroup", "web", rules=[HTTPS, OUT])
    nice.wait("securitygroup", "web", "again as declared", lambda found: is_ready(found) and not pending(found))
    assert nice.get("securitygroup", "web")["status"]["machines"] == "1/1"

    # Another address, while it runs: the machine is the same.
    nice.patch("hostedinstance", "web", networks=[{**card, "address": "10.31.0.21"}])
    nice.wait(
        "hostedinstance", "web", "its new address", lambda found: found["status"].get("addresses") == ["10.31.0.21"]
    )
    assert nice.ready("hostedinstance", "web")["status"]["id"] == status["id"]
    nice.patch("hostedinstance", "web", networks=[{**card, "address": "10.31.0.10"}])
    nice.says("hostedinstance", "web", "Reconciling", "AddressInUse", "10.31.0.10", "on hold")
    assert nice.vm("web").addresses == ["10.31.0.21"], "the card stays"

    # At rest nothing is written.
    nice.patch("hostedinstance", "web", networks=[{**card, "address": "10.31.0.21"}])
    nice.ready("hostedinstance", "web")
    nice.at_rest()
    writes = stage.kubernetes_writes()
    nice.swept(3)
    assert not +(stage.kubernetes_writes() - writes)

    # Deleted together, the group goes after the machine.
    stage.delete("securitygroup", "web", nice.namespace)
    nice.says("securitygroup", "web", "Reconciling", "InUse", "web")
    stage.delete("hostedinstance", "web", nice.namespace)
    nice.gone("hostedinstance", "web")
    nice.gone("securitygroup", "web")


def pending(found):
    return found["metadata"]["generation"] != found["status"].get("observedGeneration") or condition(
        found, "Reconciling"
    )
