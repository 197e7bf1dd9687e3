"""When the machines of a lost cloud are taken for dead: a wrong yes runs a machine twice."""

import pytest
from tests.fakes import objects

from sovereigncloud.api import BareMetalServer, SovereignCloud
from sovereigncloud.api.common.fencing import Fencing
from sovereigncloud.kinds.fencing.confirmation import can_be_fenced, proof_of

LOST, BEFORE, AFTER = "2027-03-01T04:05:06Z", "2027-03-01T04:05:06Z", "2027-03-01T04:05:07Z"
HOSTED = {
    "hosted": {
        "ovh": {
            "endpoint": "ovh-eu",
            "credentialsSecretRef": {"name": "ovh"},
            "vrack": "pn-1",
            "servers": [
                {"name": "one-1", "serviceName": "ns1.eu", "roles": ["Frontend", "Node"]},
                {"name": "one-2", "serviceName": "ns2.eu", "roles": ["Node"]},
            ],
        },
        "openNebula": {"install": {"architecture": "Basic", "version": "7.0"}},
    }
}
HOSTS = ("192.0.2.1", "192.0.2.2")


def cloud(*, lost=LOST, hosts=HOSTS, fencing=None, power_off=None, existing=False):
    spec = {} if existing else {"existing": None, **HOSTED}
    if power_off:
        spec = {**spec, "hosted": {**spec["hosted"], "fencing": {"powerOff": power_off}}}
    if fencing:
        spec = {**spec, "fencing": fencing}
    status = {"hosts": [{"name": name} for name in hosts], **({"lostSince": lost} if lost else {})}
    return SovereignCloud.model_validate(objects.cloud("rbx", spec=spec, status=status))


def server(number, state="Off", seen=AFTER, *, address=True):
    status = {"serviceName": f"ns{number}.eu"} | ({"address": HOSTS[number - 1]} if address else {})
    status |= {"power": {"state": state, "seenAt": seen}} if state else {}
    found = objects.server(f"rbx-one-{number}", status={"observedGeneration": 1, **status})
    return BareMetalServer.model_validate(found)


def word(outage=LOST):
    return {"confirmedBy": "oncall@example.fr"} | ({"outage": outage} if outage else {})


OFF = (server(1), server(2))
PROOFS = [
    ("every server was seen switched off after the outage began", cloud(), OFF, None, True, "2 servers"),
    ("one of them has power", cloud(), (server(1), server(2, "On")), None, False, "rbx-one-2 has power"),
    ("one was seen off before the outage only", cloud(), (server(1), server(2, "Off", BEFORE)), None, False, "rbx-one-2"),
    ("of one the provider has said nothing", cloud(), (server(1), server(2, "")), None, False, "has not said"),
    ("one is not known to the operator", cloud(), OFF[:1], None, False, "server one-2 has no BareMetalServer"),
    ("a host is none of its servers", cloud(hosts=(*HOSTS, "192.0.2.9")), OFF, None, False, "host 192.0.2.9"),
    ("which machine a server is, nobody knows", cloud(), (server(1), BareMetalServer.model_validate(objects.server("rbx-one-2"))),
     None, False, "not known which machine"),
    ("it is on no servers of ours", cloud(existing=True), OFF, None, False, "no servers that the operator knows"),
    ("it answers, whatever else is said", cloud(lost=None, fencing=word()), OFF, word(None), False, "answers"),
    ("a person says so on the cloud", cloud(existing=True, fencing=word()), (), None, True, "confirmed by oncall@example.fr"),
    ("a person said so of another outage", cloud(existing=True, fencing=word("2027-01-01T00:00:00Z")), (), None, False, LOST),
    ("a person's word on the cloud names no outage", cloud(existing=True, fencing=word(None)), (), None, False, "spec.fencing"),
    ("a person says so on the object, for this outage", cloud(existing=True), (), word(), True, LOST),
    ("a person says so on an object that is one act", cloud(existing=True), (), word(None), True, "confirmed by"),
    ("a person said so on the object, of another outage", cloud(), (), word("2027-01-01T00:00:00Z"), False, "one-1"),
]  # fmt: skip


@pytest.mark.parametrize(("_", "lost", "servers", "confirmed", "dead", "says"), PROOFS, ids=[row[0] for row in PROOFS])
def test_proof(_, lost, servers, confirmed, dead, says):
    proof = proof_of(lost, servers, Fencing.model_validate(confirmed) if confirmed else None)
    assert (proof.dead, says in proof.why) == (dead, True), proof


FENCED = [
    ("its servers may be switched off", cloud(lost=None, power_off="Allow"), OFF, True, "would be switched off"),
    ("its servers are looked at only", cloud(lost=None), OFF, True, "powerOff is Deny"),
    ("a host of it is elsewhere", cloud(lost=None, hosts=(*HOSTS, "x")), OFF, False, "nobody but a person"),
    ("it is somewhere else altogether", cloud(lost=None, existing=True), (), False, "nobody but a person"),
]


@pytest.mark.parametrize(("_", "answers", "servers", "possible", "says"), FENCED, ids=[row[0] for row in FENCED])
def test_whether_there_could_be_a_proof_is_known_before(_, answers, servers, possible, says):
    proof = can_be_fenced(answers, servers)
    assert (proof.dead, says in proof.why) == (possible, True), proof
