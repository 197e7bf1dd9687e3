"""Which rights lack for what a spec asks for: policies by thing, consumer keys by call, one message for all."""

import pytest
from tests.fakes import objects

from sovereigncloud.api import BareMetalServer, SovereignCloud
from sovereigncloud.kinds.rights.operations import OPERATIONS, Feature
from sovereigncloud.kinds.rights.policy import Lack, Need, actions, addition, lacks, told
from sovereigncloud.kinds.rights.requirements import needs
from sovereigncloud.ports.ovh.iam import AccessRule, Identity

ACCOUNT, SERVER, VRACK, BLOCK = "xx1111-ovh", "ns1.eu", "pn-123456", "57.131.167.176/28"
WHO = Identity(ACCOUNT, "urn:v1:eu:identity:credential:xx1111-ovh/oauth2-0f0f")
NEED = Need(
    "ovh-eu",
    "ovh",
    frozenset({Feature.OBSERVE, Feature.ADOPT, Feature.VRACK, Feature.BLOCKS}),
    {"dedicatedServer": (SERVER,), "vrack": (VRACK,), "ip": (BLOCK,)},
)
ALL = frozenset(actions(Feature))


def urn(kind, name):
    return f"urn:v1:eu:resource:{kind}:{name}"


URNS = {kind: urn(kind, name) for kind, name in [("dedicatedServer", SERVER), ("vrack", VRACK), ("ip", BLOCK)]}
EVERYWHERE = [*URNS.values(), urn("account", ACCOUNT)]


def refusing(**by_kind):
    """Of each thing, what is refused; everything that is not its own anyway."""
    return {one: frozenset(by_kind.get(one.split(":")[4], ())) for one in EVERYWHERE}


LACKING = [
    ("nothing lacks", refusing(), []),
    (
        "one on the vRack",
        refusing(vrack=["vrack:apiovh:ip/attach"]),
        [Lack("vrack", VRACK, ("vrack:apiovh:ip/attach",))],
    ),
    ("what is not needed may lack", refusing(dedicatedServer=["dedicatedServer:apiovh:reinstall"]), []),
    ("what is another thing's may lack there", refusing(vrack=["ip:apiovh:get", "dedicatedServer:apiovh:get"]), []),
    (
        "nothing is granted on the block",
        refusing(ip=["ip:apiovh:get", "ip:apiovh:vrack/attach", "ip:apiovh:park"]),
        [Lack("ip", BLOCK, ("ip:apiovh:get", "ip:apiovh:vrack/attach", "ip:apiovh:park"), all_of_it=True)],
    ),
    (
        "a right of the account that is granted on the things is enough",
        refusing(account=["account:apiovh:iam/resource/tag/add"]),
        [],
    ),
    (
        "one that is granted nowhere lacks",
        {one: frozenset({"account:apiovh:iam/resource/tag/add"}) for one in EVERYWHERE},
        [Lack("account", ACCOUNT, ("account:apiovh:iam/resource/tag/add",))],
    ),
    ("what the API said nothing of is not known to lack", {}, []),
]


@pytest.mark.parametrize(("why", "refused", "found"), LACKING, ids=[row[0] for row in LACKING])
def test_what_lacks_of_a_policy(why, refused, found):
    assert list(lacks(NEED, WHO, refused)) == found, why


METHODS = ("GET", "POST", "PUT", "DELETE")
RULES = [
    ("everything is allowed", [(method, "/*") for method in METHODS], set()),
    (
        "a rule for one server is enough for that server",
        [(m, "/*") for m in ("POST", "PUT", "DELETE")]
        + [("GET", "/iam/resource"), ("GET", f"/dedicated/server/{SERVER}*"), ("GET", "/vrack/*"), ("GET", "/ip/*")],
        set(),
    ),
    (
        "one for another server is not",
        [(m, "/*") for m in ("POST", "PUT", "DELETE")]
        + [("GET", "/v2/*"), ("GET", "/dedicated/server/ns2.eu*"), ("GET", "/vrack/*"), ("GET", "/ip/*")],
        {
            one.call
            for one in OPERATIONS
            if one.feature is Feature.OBSERVE and one.path.startswith("/v1/dedicated") and one.method == "GET"
        },
    ),
    (
        "a key that only reads",
        [("GET", "/*")],
        {
            one.call
            for one in OPERATIONS
            if one.feature in NEED.features and one.method != "GET" and "authorization" not in one.path
        },
    ),
]


@pytest.mark.parametrize(("why", "rules", "found"), RULES, ids=[row[0] for row in RULES])
def test_what_lacks_of_the_rules_of_a_consumer_key(why, rules, found):
    who = Identity(ACCOUNT, "", tuple(AccessRule(*rule) for rule in rules))
    lacking = lacks(NEED, who, {})
    assert {call for lack in lacking for call in lack.actions} == found, why
    assert {lack.kind for lack in lacking} <= {"consumer key"}


def test_one_message_names_all_and_does_not_depend_on_the_order():
    found = [
        Lack("vrack", VRACK, ("vrack:apiovh:ip/attach",)),
        *(Lack("dedicatedServer", f"ns{number}.eu", ("dedicatedServer:apiovh:reinstall",)) for number in range(7)),
        Lack("ip", BLOCK, ("ip:apiovh:get", "ip:apiovh:vrack/attach"), all_of_it=True),
    ]
    message = told(found, "platform/ovh")
    assert message == told(reversed(found), "platform/ovh")
    assert message == (
        "the credential in Secret platform/ovh lacks rights that this needs: on dedicatedServer ns0.eu, ns1.eu, ns2.eu, ns3.eu,"
        " ns4.eu and 2 more: dedicatedServer:apiovh:reinstall; on ip 57.131.167.176/28: ip:apiovh:get, ip:apiovh:vrack/attach"
        " (nothing is granted there: is it in this account?); on vrack pn-123456: vrack:apiovh:ip/attach. `sovereign doctor`"
        " prints the policy to add, docs/ovh-rights.md explains it"
    )


def test_the_policy_that_adds_what_lacks_names_nothing_else():
    found = lacks(NEED, WHO, refusing(vrack=["vrack:apiovh:ip/attach", "vrack:apiovh:ip/get"]))
    assert addition(NEED, WHO, found) == {
        "name": "sovereign-cloud-operator-addition",
        "identities": [WHO.identity],
        "resources": [{"urn": URNS["vrack"]}],
        "permissions": {"allow": [{"action": "vrack:apiovh:ip/get"}, {"action": "vrack:apiovh:ip/attach"}]},
    }


def test_a_right_to_tag_is_added_on_what_is_tagged_too():
    found = lacks(NEED, WHO, {one: frozenset({"account:apiovh:iam/resource/tag/add"}) for one in EVERYWHERE})
    assert {one["urn"] for one in addition(NEED, WHO, found)["resources"]} == set(EVERYWHERE)


def test_nothing_can_be_added_to_a_consumer_key():
    assert addition(NEED, WHO, [Lack("consumer key", "", ("GET /ip/{}",))]) is None
    assert addition(NEED, WHO, []) is None


# --- what a spec needs -------------------------------------------------------------------------------------------------------


def cloud(servers=({},), networks=(), access=None, **spec):
    named = (
        {"name": f"one-{n}", "serviceName": f"ns{n}.eu", "roles": ["Node"], **one} for n, one in enumerate(servers)
    )
    servers = [{key: value for key, value in one.items() if value is not None} for one in named]
    hosted = {
        "ovh": {"endpoint": "ovh-eu", "credentialsSecretRef": {"name": "ovh"}, "vrack": VRACK, "servers": servers},
        "openNebula": {"install": {"architecture": "Basic", "version": "7.0"}},
        "networks": list(networks),
        **({"access": access} if access else {}),
    }
    body = objects.cloud(spec={"hosted": hosted, **spec})
    del body["spec"]["existing"]
    return SovereignCloud.model_validate(body)


def nobody(key):
    return None


REINSTALL = {"reinstall": {"request": "first", "operatingSystem": "ubuntu2404-server_64"}}
ALWAYS = {Feature.OBSERVE, Feature.ADOPT, Feature.RENAME}
SPECS = [
    ("servers in a vRack", cloud(), ALWAYS | {Feature.VRACK}),
    ("one is to be installed", cloud([{}, REINSTALL]), ALWAYS | {Feature.VRACK, Feature.REINSTALL}),
    (
        "a public block",
        cloud(networks=[{"name": "public", "publicBlock": BLOCK}]),
        ALWAYS | {Feature.VRACK, Feature.BLOCKS},
    ),
    (
        "names for its addresses",
        cloud(
            networks=[
                {
                    "name": "public",
                    "publicBlock": BLOCK,
                    "reverseDNS": [{"ip": "57.131.167.178", "name": "mail.example.org"}],
                }
            ]
        ),
        ALWAYS | {Feature.VRACK, Feature.BLOCKS, Feature.REVERSE_DNS},
    ),
    ("a server in no vRack", BareMetalServer.model_validate(objects.server()), ALWAYS),
    ("a server in a vRack", BareMetalServer.model_validate(objects.server(vrack=VRACK)), ALWAYS | {Feature.VRACK}),
]


@pytest.mark.parametrize(("why", "resource", "features"), SPECS, ids=[row[0] for row in SPECS])
def test_which_features_a_spec_needs(why, resource, features):
    (need,) = needs(resource, nobody)
    assert need.features == features, why


def order(secret=None, **more):
    own = {"credentialsSecretRef": {"name": secret}} if secret else {}
    return {"serviceName": None, "order": {"planCode": "24scale01", "datacenter": "rbx", **own, **more}}


APPROVED = {"approval": {"maxPrice": "1200.00", "currency": "EUR"}}
ORDERS = [
    ("with the credential that manages", [order()], {"ovh": {Feature.ORDER}}),
    ("with one of its own", [order("buyer")], {"ovh": set(), "buyer": {Feature.ORDER}}),
    (
        "to pay is asked for where somebody consented",
        [order("buyer", **APPROVED)],
        {"ovh": set(), "buyer": {Feature.ORDER, Feature.PAY}},
    ),
    (
        "two of one buyer",
        [order("buyer"), order("buyer", **APPROVED)],
        {"ovh": set(), "buyer": {Feature.ORDER, Feature.PAY}},
    ),
]


@pytest.mark.parametrize(("why", "servers", "bought"), ORDERS, ids=[row[0] for row in ORDERS])
def test_what_is_bought_is_asked_of_who_buys(why, servers, bought):
    found = {need.secret: need.features & {Feature.ORDER, Feature.PAY} for need in needs(cloud(servers), nobody)}
    assert found == bought, why


def test_who_buys_needs_nothing_else_and_no_thing_by_name():
    _, buyer = needs(cloud([order("buyer")]), nobody)
    assert buyer.urns(ACCOUNT) == (urn("account", ACCOUNT),)


def test_a_server_ends_at_its_expiration_only_where_its_deletion_means_that():
    assert Feature.TERMINATE in needs(cloud(deletionPolicy="Delete"), nobody)[0].features
    assert Feature.TERMINATE not in needs(cloud(), nobody)[0].features


def test_a_record_for_the_endpoint_needs_its_zone():
    access = {"fqdn": "one.example.org", "dnsZone": "example.org"}
    (need,) = needs(cloud(access=access), nobody)
    assert Feature.DNS in need.features
    assert urn("dnsZone", "example.org") in need.urns(ACCOUNT)


def test_on_which_things():
    (need,) = needs(cloud([{}, {}], networks=[{"name": "public", "publicBlock": BLOCK}]), nobody)
    assert need.urns(ACCOUNT) == (
        urn("dedicatedServer", "ns0.eu"),
        urn("dedicatedServer", "ns1.eu"),
        URNS["vrack"],
        URNS["ip"],
        urn("account", ACCOUNT),
    )


def test_who_only_looks_needs_to_read():
    (need,) = needs(cloud(management="Observe"), nobody)
    assert need.features == {Feature.OBSERVE}
    assert Feature.VRACK in needs(cloud(management="Observe"), nobody, as_if_managed=True)[0].features


def test_who_lives_elsewhere_needs_none():
    assert needs(SovereignCloud.model_validate(objects.cloud()), nobody) == ()
