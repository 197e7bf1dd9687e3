"""Every reply of the OVH simulator against OVHcloud's own schema, where a copy of it is at hand."""

import ipaddress
import json
import os
import re
import time
import uuid
from datetime import date, datetime
from pathlib import Path
from urllib.parse import quote

import ovh
import pytest

from sovereigncloud.sandbox.ovh.seed import BLOCK, ECO, SERVERS, SPARE, VRACK, add_block, add_server
from sovereigncloud.sandbox.ovh.server import ENDPOINT, ROUTES, Simulator, serving
from sovereigncloud.sandbox.ovh.world import World

ROOT = Path(__file__).parents[2]
SHARED = Path(os.environ.get("SOVEREIGN_SHARED", ROOT.parent / "shared"))
NATIVE = SHARED / "ovh-api" / "native"

pytestmark = pytest.mark.skipif(not NATIVE.is_dir(), reason=f"no copy of OVHcloud's schema in {NATIVE}")

SERVER = SERVERS[0]
PARKED = "57.131.168.0/29"


class Schema:
    """OVHcloud's native description: models and operations, with what a value of each type must look like."""

    def __init__(self, folder):
        self.models = {}
        self.operations = {}
        for version in ("v1", "v2"):
            for file in sorted((folder / version).glob("[!_]*.json")):
                document = json.loads(file.read_text())
                for name, model in document.get("models", {}).items():
                    self.models.setdefault((version, name), model)
                for api in document["apis"]:
                    for operation in api["operations"]:
                        key = (version, operation["httpMethod"], api["path"])
                        self.operations.setdefault(key, operation)

    def errors(self, version, kind, value, where="body"):
        """What is wrong with a value of this type, a sentence each."""
        if kind == "void":
            return [] if value is None else [f"{where}: {value!r} where nothing is expected"]
        if kind.endswith("[]"):
            if not isinstance(value, list):
                return [f"{where}: {value!r} is no list"]
            return [
                error
                for at, one in enumerate(value)
                for error in self.errors(version, kind.removesuffix("[]"), one, f"{where}[{at}]")
            ]
        if kind.startswith("map[string]"):
            if not isinstance(value, dict):
                return [f"{where}: {value!r} is no map"]
            inner = kind.removeprefix("map[string]")
            return [error for key, one in value.items() for error in self.errors(version, inner, one, f"{where}.{key}")]
        # An identifier is written with the type it is made of: coreTypes.AccountId:string.
        kind = kind.rpartition(":")[2]
        if kind in PRIMITIVES:
            return [] if PRIMITIVES[kind](value) else [f"{where}: {value!r} is no {kind}"]
        return self._model_errors(version, kind, value, where)

    def _model_errors(self, version, kind, value, where):
        name, _, argument = kind.partition("<")
        model = self.models[version, f"{name}<T>" if argument else name]
        if "enum" in model:
            return [] if value in model["enum"] else [f"{where}: {value!r} is none of {kind}"]
        if not isinstance(value, dict):
            return [f"{where}: {value!r} is no {kind}"]
        properties = model["properties"]
        wrong = [f"{where}: {kind} has no {key}" for key in value.keys() - properties.keys()]
        for key, about in properties.items():
            if key not in value:
                wrong.append(f"{where}: {key} of {kind} is missing")
            elif value[key] is None:
                wrong += [] if about["canBeNull"] else [f"{where}.{key}: cannot be null"]
            else:
                inner = about.get("fullType", about["type"])
                inner = argument.removesuffix(">") if inner == "T" else inner
                wrong += self.errors(version, inner, value[key], f"{where}.{key}")
        return wrong


def parses(parse):
    def check(value):
        try:
            parse(value)
        except (ValueError, TypeError):
            return False
        return isinstance(value, str)

    return check


def whole(value):
    return isinstance(value, int) and not isinstance(value, bool)


def masked(parse):
    return lambda value: isinstance(value, str) and "/" in value and parses(parse)(value)


PRIMITIVES = {
    "boolean": lambda value: isinstance(value, bool),
    "date": parses(date.fromisoformat),
    "datetime": lambda value: (
        parses(datetime.fromisoformat)(value) and datetime.fromisoformat(value).tzinfo is not None
    ),
    "double": lambda value: whole(value) or isinstance(value, float),
    "duration": lambda value: isinstance(value, str) and re.fullmatch(r"P(?=.)(\d+[YMWD])*(T.*)?", value) is not None,
    "ip": parses(ipaddress.ip_address),
    "ipBlock": masked(ipaddress.ip_network),
    "ipv4": parses(ipaddress.IPv4Address),
    "ipv4Block": masked(ipaddress.IPv4Network),
    "ipv6": parses(ipaddress.IPv6Address),
    "ipv6Block": masked(ipaddress.IPv6Network),
    "long": whole,
    "macAddress": lambda value: (
        isinstance(value, str) and re.fullmatch(r"([0-9a-f]{2}:){5}[0-9a-f]{2}", value) is not None
    ),
    "string": lambda value: isinstance(value, str),
    "text": lambda value: isinstance(value, str),
    "uuid": parses(uuid.UUID),
}


@pytest.fixture(scope="module")
def schema():
    return Schema(NATIVE)


@pytest.fixture(scope="module")
def simulator():
    world = World()
    add_block(world.state, PARKED)
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
