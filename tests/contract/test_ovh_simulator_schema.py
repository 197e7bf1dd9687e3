"""Every reply of the OVH simulator against OVHcloud's own schema, where a copy of it is at hand."""

import re
import time
from urllib.parse import quote

import ovh
import pytest
from tests.contract.ovh_schema import ABSENT, NATIVE, Schema

from sovereigncloud_sandbox.ovh import tamper
from sovereigncloud_sandbox.ovh.boots import BOOTS, POWEROFF
from sovereigncloud_sandbox.ovh.seed import BLOCK, ECO, SERVERS, SPARE, VRACK, add_block, add_server, add_zone
from sovereigncloud_sandbox.ovh.server import ENDPOINT, ROUTES, Simulator, serving
from sovereigncloud_sandbox.ovh.world import World

pytestmark = pytest.mark.skipif(not NATIVE.is_dir(), reason=ABSENT)

SERVER = SERVERS[0]
PARKED = "57.131.168.0/29"
ZONE = "example.fr"


@pytest.fixture(scope="module")
def schema():
    return Schema(NATIVE)


@pytest.fixture(scope="module")
def simulator():
    world = World()
    add_block(world.state, PARKED)
    add_zone(world.state, ZONE)
    world.state.names["web.example.org"] = ["57.131.168.2"]
    world.state.servers[SERVER].resource.tags["cloud"] = "one"
    # Tasks must be readable right after they were made, and last until they were read.
    world.state.timing.task_visible_after = 0
    world.state.timing.reinstall = world.state.timing.vrack_task = world.state.timing.ip_task = 30
    with serving(Simulator(world)) as running:
        yield running


@pytest.fixture(scope="module")
def client(simulator):
    connection = simulator.connection()
    ovh.client.ENDPOINTS[ENDPOINT] = connection["endpoint"]
    (keys,) = connection["accounts"][0]["applicationKeys"]
    yield ovh.Client(
        endpoint=ENDPOINT,
        application_key=keys["applicationKey"],
        application_secret=keys["applicationSecret"],
        consumer_key=keys["consumerKey"],
    )
    del ovh.client.ENDPOINTS[ENDPOINT]


def settle(simulator):
    """End every task now."""
    with simulator.world.lock:
        for task in [one for one in simulator.world.state.tasks.values() if one.active]:
            simulator.world.finish(task)


def story(simulator):
    """Every operation at least once, as (method, template, parameters, body, query)."""
    world = simulator.world
    state = world.state
    server = state.servers[SERVER]
    public, private = server.vnis
    other = state.servers[SERVERS[1]].vnis[1]["uuid"]
    sn, eco, spare = {"serviceName": SERVER}, {"serviceName": ECO}, {"serviceName": SPARE}
    base, vrack, block, parked = (
        "/dedicated/server/{serviceName}",
        {"serviceName": VRACK},
        {"ip": BLOCK},
        {"ip": PARKED},
    )
    dsi = "/vrack/{serviceName}/dedicatedServerInterface"
    urn = {"resourceURN": server.resource.urn}
    yield "GET", "/auth/time", {}, None, {}
    yield "GET", "/auth/details", {}, None, {}
    yield "GET", "/auth/currentCredential", {}, None, {}
    yield "GET", "/me", {}, None, {}
    yield "GET", "/dedicated/server", {}, None, {}
    yield "GET", "/dedicated/server", {}, None, {"iamTags": '{"cloud":[{"operator":"EXISTS"}]}'}
    for one in (sn, eco, spare):
        yield "GET", base, one, None, {}
        yield "GET", f"{base}/virtualNetworkInterface", one, None, {}
        yield "GET", f"{base}/networkInterfaceController", one, None, {}
        for part in ("hardware", "network", "ip"):
            yield "GET", f"{base}/specifications/{part}", one, None, {}
    yield "PUT", base, sn, {"monitoring": False, "noIntervention": True}, {}
    for vni in (public, private):
        yield "GET", f"{base}/virtualNetworkInterface/{{uuid}}", {**sn, "uuid": vni["uuid"]}, None, {}
    for nic in (server.nics[0], server.nics[2]):
        yield "GET", f"{base}/networkInterfaceController/{{mac}}", {**sn, "mac": nic["mac"]}, None, {}
    eco_mac = state.servers[ECO].nics[0]["mac"]
    yield "GET", f"{base}/networkInterfaceController/{{mac}}", {**eco, "mac": eco_mac}, None, {}
    yield "GET", f"{base}/serviceInfos", sn, None, {}
    renew = {"automatic": True, "deleteAtExpiration": True, "forced": False, "manualPayment": False, "period": 1}
    yield "PUT", f"{base}/serviceInfos", sn, {"renew": renew}, {}
    yield "GET", f"{base}/serviceInfos", sn, None, {}
    yield from ordering(simulator)
    yield "GET", f"{base}/install/compatibleTemplates", sn, None, {}
    yield "GET", "/dedicated/installationTemplate", {}, None, {}
    for template in server.compatible:
        yield "GET", "/dedicated/installationTemplate/{templateName}", {"templateName": template}, None, {}
    yield "POST", f"{base}/reinstall", sn, {"operatingSystem": "ubuntu2404-server_64"}, {}
    yield "GET", f"{base}/task", sn, None, {"function": "reinstallServer", "status": "init"}
    (task,) = [one for one in state.tasks.values() if one.service == SERVER]
    yield "GET", f"{base}/task/{{taskId}}", {**sn, "taskId": task.id}, None, {}
    yield "GET", f"{base}/install/status", sn, None, {}
    settle(simulator)
    yield "GET", f"{base}/task/{{taskId}}", {**sn, "taskId": task.id}, None, {}
    yield "GET", base, sn, None, {}
    yield "GET", f"{base}/boot", sn, None, {}
    yield "GET", f"{base}/boot", sn, None, {"bootType": "power"}
    for number in BOOTS:
        yield "GET", f"{base}/boot/{{bootId}}", {**sn, "bootId": number}, None, {}
    yield "PUT", base, sn, {"bootId": POWEROFF}, {}
    yield "POST", f"{base}/reboot", sn, None, {}
    settle(simulator)
    yield "GET", base, sn, None, {}
    yield "GET", "/vrack", {}, None, {}
    yield "GET", "/vrack/publicRoutingRegion", {}, None, {}
    yield "GET", "/vrack/{serviceName}", vrack, None, {}
    yield "PUT", "/vrack/{serviceName}", vrack, {"description": "the guide's"}, {}
    yield "POST", dsi, vrack, {"dedicatedServerInterface": private["uuid"]}, {}
    yield "POST", dsi, vrack, {"dedicatedServerInterface": other}, {}
    yield "GET", "/vrack/{serviceName}/task", vrack, None, {}
    running = [one for one in state.tasks.values() if one.service == VRACK]
    yield "GET", "/vrack/{serviceName}/task/{taskId}", {**vrack, "taskId": running[0].id}, None, {}
    settle(simulator)
    yield "GET", dsi, vrack, None, {}
    one = {**vrack, "dedicatedServerInterface": private["uuid"]}
    yield "GET", f"{dsi}/{{dedicatedServerInterface}}", one, None, {}
    yield "GET", "/vrack/{serviceName}/dedicatedServerInterfaceDetails", vrack, None, {}
    yield "GET", f"{base}/virtualNetworkInterface/{{uuid}}", {**sn, "uuid": private["uuid"]}, None, {}
    yield "DELETE", f"{dsi}/{{dedicatedServerInterface}}", one, None, {}
    settle(simulator)
    yield "GET", "/vrack/{serviceName}/eligibleServices", vrack, None, {}
    time.sleep(state.timing.eligible_services)
    yield "GET", "/vrack/{serviceName}/eligibleServices", vrack, None, {}
    yield "GET", "/ip", {}, None, {}
    yield "GET", "/ip", {}, None, {"type": "failover", "campus": "RBX", "isAdditionalIp": "true"}
    yield "GET", "/ip/campus", {}, None, {}
    yield "GET", "/ip/{ip}", block, None, {}
    yield "GET", "/ip/{ip}", {"ip": f"{server.document['ip']}/32"}, None, {}
    yield "PUT", "/ip/{ip}", block, {"description": "public addresses"}, {}
    yield "GET", "/ip/{ip}/move", block, None, {}
    yield "POST", "/vrack/{serviceName}/ip", vrack, {"block": BLOCK, "region": "eu-west-rbx"}, {}
    settle(simulator)
    yield "GET", "/vrack/{serviceName}/ip", vrack, None, {}
    yield "GET", "/vrack/{serviceName}/ip/{ip}", {**vrack, **block}, None, {}
    yield "GET", "/ip/{ip}", block, None, {}
    yield "DELETE", "/vrack/{serviceName}/ip/{ip}", {**vrack, **block}, None, {}
    settle(simulator)
    yield "POST", "/ip/{ip}/move", parked, {"to": SERVER}, {}
    yield "GET", "/ip/{ip}/task", parked, None, {}
    (moving,) = [one for one in state.tasks.values() if one.service == PARKED]
    yield "GET", "/ip/{ip}/task/{taskId}", {**parked, "taskId": moving.id}, None, {}
    settle(simulator)
    yield "GET", "/ip/{ip}/task/{taskId}", {**parked, "taskId": moving.id}, None, {}
    yield "POST", "/ip/{ip}/park", parked, None, {}
    reverse = {"ipReverse": "57.131.168.2", "reverse": "web.example.org"}
    yield "POST", "/ip/{ip}/reverse", parked, reverse, {}
    yield "GET", "/ip/{ip}/reverse", parked, None, {}
    yield "GET", "/ip/{ip}/reverse/{ipReverse}", {**parked, "ipReverse": "57.131.168.2"}, None, {}
    yield "DELETE", "/ip/{ip}/reverse/{ipReverse}", {**parked, "ipReverse": "57.131.168.2"}, None, {}
    where = {"zoneName": ZONE}
    yield "GET", "/domain/zone", {}, None, {}
    yield "GET", "/domain/zone/{zoneName}", where, None, {}
    record = {"fieldType": "A", "subDomain": "one-rbx", "target": "57.131.167.160", "ttl": 300}
    yield "POST", "/domain/zone/{zoneName}/record", where, record, {}
    yield "GET", "/domain/zone/{zoneName}/record", where, None, {"fieldType": "A", "subDomain": "one-rbx"}
    (number,) = state.zones[ZONE].records
    yield "GET", "/domain/zone/{zoneName}/record/{id}", {**where, "id": number}, None, {}
    yield "PUT", "/domain/zone/{zoneName}/record/{id}", {**where, "id": number}, {"target": "57.131.167.161"}, {}
    yield "POST", "/domain/zone/{zoneName}/refresh", where, None, {}
    yield "DELETE", "/domain/zone/{zoneName}/record/{id}", {**where, "id": number}, None, {}
    yield "GET", "/services", {}, None, {"resourceName": SERVER}
    for thing in (server, state.vracks[VRACK]):
        yield "GET", "/services/{serviceId}", {"serviceId": thing.service_id}, None, {}
    yield "PUT", "/services/{serviceId}", {"serviceId": server.service_id}, {"displayName": "one-1"}, {}
    yield "GET", "/iam/resource", {}, None, {}
    yield "GET", "/iam/resource/{resourceURN}", urn, None, {}
    yield "POST", "/iam/resource/{resourceURN}/tag", urn, {"key": "sovereign/owner", "value": "me"}, {}
    yield "DELETE", "/iam/resource/{resourceURN}/tag/{key}", {**urn, "key": "sovereign/owner"}, None, {}
    question = {"resourceURNs": [server.resource.urn], "actions": ["dedicatedServer:apiovh:reinstall"]}
    yield "POST", "/iam/authorization/check", {}, question, {}
    yield "GET", "/location", {}, None, {}
    yield "GET", "/location/{name}", {"name": "eu-west-rbx"}, None, {}


def ordering(simulator):
    """From the catalogue to a server that is delivered."""
    state = simulator.world.state
    state.timing.cart_listed_after = state.timing.order_listed_after = 0
    state.timing.payment = 30
    plan = {"planCode": "24scale01", "duration": "P1M", "pricingMode": "default", "quantity": 1}
    yield "GET", "/order/catalog/public/baremetalServers", {}, None, {"ovhSubsidiary": "FR"}
    yield (
        "GET",
        "/dedicated/server/datacenter/availabilities",
        {},
        None,
        {"planCode": "24scale01", "datacenters": "rbx"},
    )
    yield "GET", "/me/payment/method", {}, None, {"default": "true"}
    yield "GET", "/me/payment/method/{paymentMethodId}", {"paymentMethodId": 4711}, None, {}
    for _ in range(2):
        expire = "2027-01-01T00:00:00+00:00"
        yield "POST", "/order/cart", {}, {"ovhSubsidiary": "FR", "description": "mine", "expire": expire}, {}
    cart, other = state.carts.values()
    own, cart_path = {"cartId": cart.id}, "/order/cart/{cartId}"
    yield "DELETE", cart_path, {"cartId": other.id}, None, {}
    yield "POST", f"{cart_path}/assign", own, None, {}
    yield "PUT", cart_path, own, {"description": "mine, too", "expire": expire}, {}
    for _ in range(2):
        yield "POST", f"{cart_path}/baremetalServers", own, plan, {}
    first, second = cart.items
    item, item_path = {**own, "itemId": first.id}, f"{cart_path}/item/{{itemId}}"
    yield "DELETE", item_path, {**own, "itemId": second.id}, None, {}
    yield "GET", f"{item_path}/requiredConfiguration", item, None, {}
    for label, value in (("dedicated_datacenter", "rbx"), ("dedicated_os", "none_64.en"), ("region", "europe")):
        yield "POST", f"{item_path}/configuration", item, {"label": label, "value": value}, {}
    yield "GET", f"{item_path}/configuration", item, None, {}
    known = {**item, "configurationId": next(iter(first.configurations))}
    yield "GET", f"{item_path}/configuration/{{configurationId}}", known, None, {}
    for option in ("ram-128g-ecc-4800", "softraid-2x960nvme", "bandwidth-1000", "vrack-bandwidth-25000"):
        body = {**plan, "planCode": f"{option}-24scale01", "itemId": first.id}
        yield "POST", f"{cart_path}/baremetalServers/options", own, body, {}
    yield "GET", cart_path, own, None, {}
    yield "GET", "/order/cart", {}, None, {"description": "mine, too"}
    yield "GET", f"{cart_path}/item", own, None, {}
    yield "GET", item_path, item, None, {}
    yield "GET", item_path, {**own, "itemId": cart.items[1].id}, None, {}
    yield "GET", f"{cart_path}/summary", own, None, {}
    yield "GET", f"{cart_path}/checkout", own, None, {}
    terms = {"autoPayWithPreferredPaymentMethod": False, "waiveRetractationPeriod": False}
    yield "POST", f"{cart_path}/checkout", own, terms, {}
    (order,) = state.orders.values()
    yield "GET", "/me/order", {}, None, {"date.from": "2026-01-01T00:00:00+00:00"}
    one, path = {"orderId": order.id}, "/me/order/{orderId}"
    for delivered in (False, True):
        if delivered:
            yield "POST", f"{path}/pay", one, {"paymentMethod": {"id": 4711}}, {}
            with simulator.world.lock:
                tamper.move_order(simulator.world, order.id, {"status": "delivered"})
            yield "GET", f"{path}/payment", one, None, {}
            yield "GET", "/dedicated/server/{serviceName}", {"serviceName": order.domain}, None, {}
        yield "GET", path, one, None, {}
        yield "GET", f"{path}/status", one, None, {}
        yield "GET", f"{path}/details", one, None, {}
        for detail in order.items[:2]:
            given = {**one, "orderDetailId": detail.id}
            yield "GET", f"{path}/details/{{orderDetailId}}", given, None, {}
            yield "GET", f"{path}/details/{{orderDetailId}}/extension", given, None, {}


def filled(template, given):
    return re.sub(r"\{(\w+)\}", lambda found: quote(str(given[found[1]]), safe=""), template)


def test_every_reply_is_what_the_schema_promises(schema, simulator, client):
    driven, wrong = set(), []
    versions = {(route.method, route.path): route.version for route in ROUTES}
    for method, template, given, body, query in story(simulator):
        version = versions[method, template]
        operation = schema.operations[version, method, template]
        path = f"/{version}{filled(template, given)}"
        if query:
            path += "?" + "&".join(f"{key}={quote(value)}" for key, value in query.items())
        response = client.raw_call(method, path, body)
        assert response.status_code == 200, f"{method} {path}: {response.text}"
        assert response.headers["X-OVH-QueryID"].startswith("EU.")
        errors = schema.errors(version, operation["responseType"], response.json())
        wrong += [f"{method} {template}: {error}" for error in errors]
        driven.add((method, template))
    assert wrong == []
    assert driven == set(versions), "an operation of the simulator that no test drives"


def test_every_operation_exists_and_asks_for_the_rights_of_the_real_one(schema):
    for route in ROUTES:
        operation = schema.operations[route.version, route.method, route.path]
        assert route.public == bool(operation["noAuthentication"]), route
        actions = [one["name"] for one in operation.get("iamActions", [])]
        assert route.action in (actions or [""]), f"{route.method} {route.path} needs one of {actions}"


REFUSALS = [
    ({"operatingSystem": "plan9_64"}, "Client::NotFound::OperatingSystem"),
    ({"operatingSystem": "debian12_64", "customizations": {"colour": "red"}}, "Client::BadRequest::CustomizationName"),
    (
        {"operatingSystem": "debian12_64", "customizations": {"enableLacpBonding": "true"}},
        "Client::BadRequest::CustomizationInvalidFormat",
    ),
    (
        {"operatingSystem": "debian12_64", "customizations": {"hostname": "-x"}},
        "Client::BadRequest::HostnameInvalidFormat",
    ),
    ({"operatingSystem": "debian12_64", "storage": [{"diskGroupId": 7}]}, "Client::NotFound::DiskGroup"),
    ({"operatingSystem": "debian12_64", "storage": [{}, {}]}, "Server::NotImplemented::DiskGroupMultipleConfigs"),
    (
        {"operatingSystem": "debian12_64", "storage": [{"partitioning": {"disks": 9}}]},
        "Client::Conflict::PartitioningTooManyDisks",
    ),
    (
        {
            "operatingSystem": "debian12_64",
            "storage": [{"partitioning": {"layout": [{"fileSystem": "ext4", "mountPoint": "/", "raidLevel": 6}]}}],
        },
        "Client::BadRequest::PartitionRaidLevel",
    ),
    (
        {"operatingSystem": "debian12_64", "storage": [{"partitioning": {"schemeName": "mine"}}]},
        "Client::NotFound::SchemeName",
    ),
]


@pytest.mark.parametrize(("body", "error"), REFUSALS, ids=[row[1] for row in REFUSALS])
def test_refusals_of_a_reinstallation_are_documented_ones(schema, simulator, client, body, error):
    operation = schema.operations["v1", "POST", "/dedicated/server/{serviceName}/reinstall"]
    response = client.raw_call("POST", f"/dedicated/server/{SERVERS[1]}/reinstall", body)
    assert response.json()["class"] == error
    assert error in operation["errors"]
    status = {"NotFound": 404, "BadRequest": 400, "Conflict": 409, "NotImplemented": 501}[error.split("::")[1]]
    assert response.status_code == status


def test_the_validator_can_fail(schema):
    world = World()
    server = add_server(world.state, "ns1.ip-192-0-2.eu", ip="192.0.2.1")
    document = {**server.document, "iam": server.resource.metadata()}
    kind = "dedicated.server.DedicatedWithIAM"
    assert schema.errors("v1", kind, document) == []
    for change, complaint in [
        ({"ip": "192.0.2"}, "is no ipv4"),
        ({"datacenter": "atlantis"}, "is none of"),
        ({"monitoring": None}, "cannot be null"),
        ({"mood": "good"}, "has no mood"),
        ({"serverId": "1"}, "is no long"),
    ]:
        assert any(complaint in error for error in schema.errors("v1", kind, {**document, **change})), change
    del document["rack"]
    assert schema.errors("v1", kind, document) == [f"body: rack of {kind} is missing"]
