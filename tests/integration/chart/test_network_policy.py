"""What the NetworkPolicy lets through: no network plugin runs here, so its rules are read as Kubernetes documents them."""

import ipaddress

import pytest
from tests.integration.chart.rendered import documents

LOCKED = {
    "networkPolicy": {
        "enabled": True,
        "metricsFrom": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
        "apiServer": {"cidrs": ["10.0.0.10/32"], "ports": [6443]},
        "ovh": {"cidrs": []},
        "openNebula": {"cidrs": ["10.20.0.0/16"], "ports": [2633]},
        "servers": {"cidrs": ["10.50.0.0/16"]},
        "proxy": {"cidrs": ["10.1.2.3/32"]},
        "tracing": {"cidrs": ["10.30.0.5/32"]},
        "extraEgress": [{"to": [{"ipBlock": {"cidr": "10.40.0.0/16", "except": ["10.40.1.0/24"]}}], "ports": [{"port": 8443}]}],
    },
    "proxy": {"httpsProxy": "http://proxy.corp.example:3128"},
    "tracing": {"endpoint": "https://collector.corp.example"},
}  # fmt: skip
OPEN = {"networkPolicy": {"enabled": True}}


def within(address, block):
    address = ipaddress.ip_address(address)
    return address in ipaddress.ip_network(block["cidr"]) and not any(
        address in ipaddress.ip_network(but) for but in block.get("except", ())
    )


def reaches(policy, address, port, protocol="TCP"):
    """Whether a rule of egress allows it. A rule without `to` allows everybody; peers that are pods have no address here."""
    return any(
        any(one.get("protocol", "TCP") == protocol and one["port"] == port for one in rule["ports"])
        and ("to" not in rule or any("ipBlock" in peer and within(address, peer["ipBlock"]) for peer in rule["to"]))
        for rule in policy["spec"]["egress"]
    )


WAYS = [
    ("the API server at its own address", LOCKED, "10.0.0.10", 6443, True),
    ("not by another port", LOCKED, "10.0.0.10", 443, False),
    ("a front-end", LOCKED, "10.20.3.4", 2633, True),
    ("no other machine beside it", LOCKED, "10.21.0.1", 2633, False),
    ("nor its ssh", LOCKED, "10.20.3.4", 22, False),
    ("SSH of a server, to read its host key", LOCKED, "10.50.0.9", 22, True),
    ("nothing else of it", LOCKED, "10.50.0.9", 443, False),
    ("the proxy, by the port of its URL", LOCKED, "10.1.2.3", 3128, True),
    ("not OVHcloud past the proxy", LOCKED, "198.51.100.7", 443, False),
    ("the collector of traces, by the port of its scheme", LOCKED, "10.30.0.5", 443, True),
    ("what a person adds", LOCKED, "10.40.0.1", 8443, True),
    ("but what is excepted there", LOCKED, "10.40.1.1", 8443, False),
    ("as it comes: OVHcloud", OPEN, "198.51.100.7", 443, True),
    ("as it comes: also over IPv6", OPEN, "2001:db8::1", 443, True),
    ("as it comes: a front-end anywhere", OPEN, "203.0.113.9", 2633, True),
    ("as it comes: an API server anywhere", OPEN, "10.0.0.1", 6443, True),
    ("as it comes: SSH of a server anywhere", OPEN, "198.51.100.7", 22, True),
    ("as it comes: no mail", OPEN, "198.51.100.7", 25, False),
    ("as it comes: no proxy where none is named", OPEN, "10.1.2.3", 3128, False),
]


@pytest.fixture(scope="module")
def policies(helm_template):
    def only(values):
        return documents(helm_template(values, "--show-only=templates/networkpolicy.yaml").stdout).one("NetworkPolicy")

    return {id(values): only(values) for values in (LOCKED, OPEN)}


@pytest.mark.parametrize(("why", "values", "address", "port", "open_"), WAYS, ids=[row[0] for row in WAYS])
def test_the_way_out(policies, why, values, address, port, open_):
    assert reaches(policies[id(values)], address, port) is open_, why


def test_names_are_asked_for_by_both_protocols(policies):
    for policy in policies.values():
        assert reaches(policy, "10.96.0.10", 53, "UDP")
        assert reaches(policy, "10.96.0.10", 53)


def test_the_way_in_is_to_metrics_alone(policies):
    locked, open_ = (policies[id(values)]["spec"] for values in (LOCKED, OPEN))
    for spec in (locked, open_):
        (rule,) = spec["ingress"]
        assert rule["ports"] == [{"protocol": "TCP", "port": "http"}]
        assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert open_["ingress"][0]["from"] == [{"namespaceSelector": {}}]
    assert [sorted(peer) for peer in locked["ingress"][0]["from"]] == [["namespaceSelector"], ["podSelector"]]


def test_helm_test_gets_in(render):
    rendered = render(LOCKED)
    labels = rendered.one("Pod")["metadata"]["labels"]
    (peer,) = [peer for peer in rendered.one("NetworkPolicy")["spec"]["ingress"][0]["from"] if "podSelector" in peer]
    assert peer["podSelector"]["matchLabels"].items() <= labels.items()


def test_it_is_about_the_operators_pod_and_no_other(render):
    rendered = render({**OPEN, "sandbox": {"enabled": True}})
    selector = rendered.one("NetworkPolicy")["spec"]["podSelector"]["matchLabels"].items()
    names = {
        deployment["metadata"]["name"]
        for deployment in rendered.all("Deployment")
        if selector <= deployment["spec"]["template"]["metadata"]["labels"].items()
    }
    assert names == {"demo-sovereign-cloud-operator"}
    assert not selector <= rendered.one("Pod")["metadata"]["labels"].items()
