"""The examples of manifests/, turned to a stage, one by one: tests change them before they apply them."""

import base64

import pyone
import yaml

from sovereigncloud_sandbox.stage import EXAMPLES

FRONT, NODE, ADOPTED = (f"ns301234{number}.ip-57-131-167.eu" for number in (5, 6, 7))
BLOCK, VRACK, OTHER_VRACK = "57.131.167.176/28", "pn-123456", "pn-654321"
SYSTEM = "ubuntu2404-server_64"
PASSWORD = "nobody-knows-adopted"
ADOPTED_ADDRESS = 20
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOshSFOnTEAaOhM5ct5FYU+EI6q3+0OrkpRHpFrN5MMX you@example"


def example(file, kind, name):
    """One object of the examples."""
    documents = yaml.safe_load_all((EXAMPLES / file).read_text())
    return next(d for d in documents if d and (d["kind"], d["metadata"]["name"]) == (kind, name))


def account(stage):
    """The Secret with the credentials of the simulated OVHcloud account."""
    service = stage.ovh_connection["accounts"][0]["serviceAccounts"][0]
    secret = example("01-secrets.yaml", "Secret", "ovh-account")
    return secret | {"stringData": {k: service[k] for k in ("clientId", "clientSecret")}}


def hosted(name="ovh-rbx", networks=None, **spec):
    """The hosted cloud of the guide: two servers, a vRack, a block, an 802.1Q network."""
    cloud = example("11-hosted-cloud.yaml", "SovereignCloud", "ovh-rbx")
    cloud["metadata"]["name"] = name
    cloud["spec"] |= spec
    if networks is not None:
        cloud["spec"]["hosted"]["networks"] = networks
    return cloud


def image(*clouds):
    """An image of the marketplace in these clouds."""
    found = example("20-image.yaml", "MachineImage", "ubuntu-24.04")
    found["spec"]["cloudRefs"] = [{"name": cloud} for cloud in clouds]
    return found


def instance(name, cloud, network, **spec):
    """A machine."""
    return {
        "apiVersion": "sovereigncloud.io/v1alpha1",
        "kind": "HostedInstance",
        "metadata": {"name": name, "namespace": "platform"},
        "spec": {
            "placement": {"cloudRef": {"name": cloud}},
            "source": {"image": "ubuntu-24.04"},
            "vcpu": 1,
            "memory": "1Gi",
            "power": "Running",
            "networks": [{"name": network}],
            "sshAuthorizedKeys": [KEY],
            **spec,
        },
    }


def build_by_hand(stage, display_name="one-adopted"):
    """A cloud that somebody built by the guide on the third server; returns its endpoint."""
    address = stage.address(ADOPTED_ADDRESS)
    stage.ovh.call("PATCH", f"/servers/{ADOPTED}", {"ip": address})
    stage.rename_server(ADOPTED, display_name)
    return stage.make_cloud("ovh-adopted", address, password=PASSWORD, hosts=(address,))


def adopted(endpoint, **spec):
    """The cloud that somebody built, and the Secret of its administrator."""
    secret = example("01-secrets.yaml", "Secret", "ovh-adopted-one")
    secret["stringData"] = {"username": "oneadmin", "password": PASSWORD}
    cloud = example("12-adopted-cloud.yaml", "SovereignCloud", "ovh-adopted")
    cloud["spec"]["hosted"]["openNebula"]["adopt"]["endpoint"] = endpoint
    cloud["spec"] |= spec
    return [secret, cloud]


def server_named(cloud, name):
    """The entry of a server in a hosted cloud's manifest."""
    return next(s for s in cloud["spec"]["hosted"]["ovh"]["servers"] if s["name"] == name)


PARIS_PASSWORD = "nobody-knows-paris"
PARIS_ADDRESS = 30


def make_paris(stage):
    """An OpenNebula of somebody's own, on a host that is monitored; its endpoint."""
    hosts = (stage.address(31),)
    endpoint = stage.make_cloud("paris", stage.address(PARIS_ADDRESS), password=PARIS_PASSWORD, hosts=hosts)
    stage.one.call("POST", "/clouds/paris/speeds", {"datastore_monitor": 0})
    stage.until(lambda: stage.cloud("paris")["hosts"][0]["state"] == "MONITORED", "monitored", seconds=10)
    return endpoint


def paris(endpoint, **spec):
    """The Secret and the SovereignCloud of that OpenNebula, and a network in it."""
    secret = example("01-secrets.yaml", "Secret", "onprem-one")
    secret["stringData"] = {"username": "oneadmin", "password": PARIS_PASSWORD}
    cloud = example("10-existing-cloud.yaml", "SovereignCloud", "onprem-paris")
    cloud["metadata"]["name"] = "paris"
    cloud["spec"]["existing"]["endpoint"] = endpoint
    cloud["spec"] |= spec
    network = example("21-network.yaml", "VirtualNetwork", "lan-apps")
    network["spec"]["cloudRef"] = {"name": "paris"}
    return [secret, cloud, network]


def administrator(stage, cloud):
    """A cloud as its administrator sees it, with the generated password."""
    found = stage.cluster.get("secret", cloud["status"]["credentialsSecret"], "-n", "platform")["data"]
    user, password = (base64.b64decode(found[key]).decode() for key in ("username", "password"))
    return pyone.OneServer(cloud["status"]["endpoint"], session=f"{user}:{password}")
