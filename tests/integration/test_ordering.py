"""A server that is bought, with kubectl: the price is seen first, consent is given, the server is there, and nothing is paid twice."""

import json

import pytest
from tests.integration.hosted_scenes import SYSTEM, account

from sovereigncloud_sandbox.stage import condition

PRICE = "274.79"
SPARE, TAGGED = "ns3012347.ip-57-131-167.eu", "ns3054321.ip-51-178-10.eu"


def server(name, **spec):
    own = {key: spec.pop(key) for key in ("order", "tagSelector", "serviceName") if key in spec}
    return {
        "apiVersion": "sovereigncloud.io/v1alpha1",
        "kind": "BareMetalServer",
        "metadata": {"name": name, "namespace": "platform"},
        "spec": {"ovh": {"endpoint": "ovh-eu", "credentialsSecretRef": {"name": "ovh-account"}, **own}, **spec},
    }


def order(**approval):
    wanted = {"planCode": "24scale01", "datacenter": "rbx", "credentialsSecretRef": {"name": "ovh-orders"}}
    return wanted | ({"approval": {"currency": "EUR", **approval}} if approval else {})


def shop(stage):
    return stage.ovh.call("GET", "/orders")


def ordered(found):
    """The step of the plan that orders."""
    steps = found["status"].get("plan", {}).get("steps", ())
    return next((step for step in steps if step["target"] == "order of 24scale01 in rbx"), {})


def until(stage, name, reason, seconds=60):
    """The server as soon as Ready says this."""

    def test(found):
        return condition(found, "Ready").get("reason") == reason

    return stage.wait("baremetalserver", name, reason, test, seconds=seconds)


@pytest.fixture(scope="module")
def account_secrets(stage):
    own = account(stage)
    orders = json.loads(json.dumps(own))
    orders["metadata"]["name"] = "ovh-orders"
    stage.apply([own, orders])


def test_a_server_is_ordered_with_its_price_seen_and_allowed_first(stage, account_secrets):
    stage.ovh.call("PATCH", "/timing", {"delivery": 4.0})
    stage.apply(server("one-9", order=order(), reinstall={"request": "first", "operatingSystem": SYSTEM}))
    until(stage, "one-9", "ApprovalRequired")
    cost = f"{PRICE} EUR with tax for the first P1M, in stock"  # before the cart is filled it says "about"
    seen = stage.wait("baremetalserver", "one-9", "priced", lambda o: ordered(o).get("cost") == cost, seconds=30)
    step = ordered(seen)
    assert step["needs"] == f'spec.ovh.order.approval: {{maxPrice: "{PRICE}", currency: EUR}}'
    assert seen["status"]["order"]["state"] == "Quoting"
    assert shop(stage)["orders"] == [], "nothing was ordered, let alone paid"

    too_little = {"spec": {"ovh": {"order": {"approval": {"maxPrice": "274.78", "currency": "EUR"}}}}}
    stage.patch("baremetalserver", "one-9", too_little)
    told = until(stage, "one-9", "PriceAboveLimit")
    assert PRICE in condition(told, "Ready")["message"]
    assert shop(stage)["orders"] == []

    stage.patch("baremetalserver", "one-9", {"spec": {"ovh": {"order": {"approval": {"maxPrice": PRICE}}}}})
    until(stage, "one-9", "Delivering")
    ready = stage.wait_ready("baremetalserver", "one-9", seconds=120)
    (bought,) = shop(stage)["orders"]
    assert len(bought["payments"]) == 1
    status = ready["status"]
    assert status["serviceName"] == bought["domain"]
    assert (status["order"]["id"], status["order"]["state"]) == (bought["id"], "Delivered")
    assert status["reinstalled"] == "first"
    tags = stage.server(bought["domain"])["resource"]["tags"]
    assert tags["sovereigncloud.io/object"] == "BareMetalServer/platform/one-9"
    reasons = {event["reason"] for event in stage.events("BareMetalServer", "one-9")}
    assert {"Ordered", "Paid", "ServerFound", "Reinstalled"} <= reasons


def test_a_cluster_that_was_lost_with_an_order_under_way_goes_on_with_it(stage, account_secrets):
    """The objects are gone without a trace, as with an empty etcd, and the same manifest comes again."""
    stage.ovh.call("PATCH", "/timing", {"delivery": 30.0})
    manifest = server("one-8", order=order(maxPrice="300"))
    before = len(shop(stage)["orders"])
    stage.apply(manifest)
    until(stage, "one-8", "Delivering")
    stage.stop_operator()
    stage.patch("baremetalserver", "one-8", {"metadata": {"finalizers": []}})
    stage.delete("baremetalserver", "one-8")
    stage.wait_gone("baremetalserver", "one-8")
    stage.apply(manifest)
    stage.start_operator()
    until(stage, "one-8", "Delivering")
    stage.ovh.call("POST", f"/orders/{shop(stage)['orders'][-1]['id']}", {"status": "delivered"})
    ready = stage.wait_ready("baremetalserver", "one-8", seconds=120)
    orders = shop(stage)["orders"]
    assert len(orders) == before + 1
    assert [len(one["payments"]) for one in orders] == [1] * len(orders)
    assert ready["status"]["serviceName"] == orders[-1]["domain"]


def test_a_server_is_found_by_its_tags(stage, account_secrets):
    urn = f"urn:v1:eu:resource:dedicatedServer:{SPARE}"
    stage.apply(server("tagged", tagSelector={"matchTags": {"rack": "7"}}))
    found = until(stage, "tagged", "ServerNotFound")
    assert "rack=7" in condition(found, "Ready")["message"]
    stage.ovh.call("PATCH", f"/resources/{urn.replace('/', '%2F')}", {"tags": {"rack": "7"}})
    ready = stage.wait_ready("baremetalserver", "tagged", seconds=90)
    assert ready["status"]["serviceName"] == SPARE


def test_what_is_deleted_with_delete_ends_at_its_expiration_and_what_is_retained_loses_the_mark_only(
    stage, account_secrets
):
    bought = stage.get("baremetalserver", "one-9")["status"]["serviceName"]
    stage.patch("baremetalserver", "one-9", {"spec": {"deletionPolicy": "Delete"}})
    stage.delete("baremetalserver", "one-9")
    stage.wait_gone("baremetalserver", "one-9")
    assert stage.server(bought)["ends"]
    (event,) = [e for e in stage.events("BareMetalServer", "one-9") if e["reason"] == "EndsAtExpiration"]
    assert bought in event["message"]

    before = stage.server(SPARE)
    stage.delete("baremetalserver", "tagged")
    stage.wait_gone("baremetalserver", "tagged")
    after = stage.server(SPARE)
    assert not after["ends"]
    assert after["resource"]["tags"] == {"rack": "7"}
    assert (after["vnis"], after["document"]) == (before["vnis"], before["document"])
