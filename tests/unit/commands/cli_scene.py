"""A landscape for the commands that show everything: three clouds in three countries, ten servers, a hundred instances."""

from tests.unit.commands.cli_fakes import body, ready

SIZES = {"rbx": ("eu-west-rbx", 4, 40), "waw": ("eu-central-waw", 3, 35), "paris": (None, 3, 25)}


def condition(kind, status, reason, message):
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": "2026-07-01T11:58:00Z",
    }


def stalled(reason, message, **more):
    conditions = [condition("Ready", "False", reason, message), condition("Stalled", "True", reason, message)]
    return {"observedGeneration": 1, "conditions": conditions, **more}


def progressing(reason, message, **more):
    conditions = [condition("Ready", "False", reason, message), condition("Reconciling", "True", reason, message)]
    return {"observedGeneration": 1, "conditions": conditions, **more}


def drifted(path, desired, observed, action="Reported", **more):
    entry = {"path": path, "desired": desired, "observed": observed, "action": action, "since": "2026-07-01T11:00:00Z"}
    status = ready(drift=[entry], driftCount=0 if action == "Ignored" else 1, **more)
    told = condition("Drifted", "False" if action == "Ignored" else "True", "ReportOnly", f"{path} is {observed}")
    status["conditions"].append(told)
    return status


def in_sync(**more):
    status = ready(**more)
    status["conditions"].append(condition("Drifted", "False", "InSync", "nothing was changed from outside"))
    return status


def hosted(name, servers):
    listed = [{"name": f"one-{n}", "serviceName": f"ns{n}.{name}", "roles": ["Node"]} for n in range(1, servers + 1)]
    ovh = {"endpoint": "ovh-eu", "credentialsSecretRef": {"name": "ovh"}, "vrack": "pn-123456", "servers": listed}
    return {"hosted": {"ovh": ovh, "openNebula": {"install": {"architecture": "Basic", "version": "7.0"}}}}


def existing(name):
    return {
        "existing": {"endpoint": f"https://one.{name}.example/RPC2", "credentialsSecretRef": {"name": f"{name}-one"}}
    }


def cloud(name, region, servers, instances):
    """A cloud with everything in it; the instances are told apart by their number."""
    hosts = [f"10.0.{n}.1" if region else f"{name}-host-{n}" for n in range(1, servers + 1)]
    listed = [{"name": host, "id": str(n), "state": "monitored"} for n, host in enumerate(hosts)]
    spec = hosted(name, servers) if region else existing(name)
    status = in_sync(
        endpoint=f"https://one.{name}.example/RPC2", version="7.0.1", hostsReady=f"{servers}/{servers}", hosts=listed,
        credentialsSecret=f"{name}-one", phase="Running",
    )  # fmt: skip
    yield body("SovereignCloud", name, spec, status)
    owner = {
        "apiVersion": "sovereigncloud.io/v1alpha1", "kind": "SovereignCloud", "name": name, "uid": f"uid-{name}",
        "controller": True,
    }  # fmt: skip
    for n, host in enumerate(hosts, 1) if region else ():
        ovh = {
            "endpoint": "ovh-eu",
            "credentialsSecretRef": {"name": "ovh"},
            "serviceName": f"ns{n}.{name}",
            "vrack": "pn-123456",
        }
        server = in_sync(address=host, region=region, operatingSystem="ubuntu2404-server_64")
        spec = {"name": f"one-{n}", "ovh": ovh, "roles": ["Frontend", "Node"] if n == 1 else ["Node"]}
        yield body("BareMetalServer", f"{name}-one-{n}", spec, server, ownerReferences=[owner])
    ref = {"cloudRef": {"name": name}}
    yield body(
        "VirtualNetwork",
        f"{name}-public",
        {**ref, "name": "public", "publicBlock": "57.131.167.176/28"},
        in_sync(addresses="13"),
    )
    yield body("VirtualNetwork", f"{name}-apps", {**ref, "name": "apps", "vlanID": 100}, in_sync(addresses="200"))
    yield body(
        "VirtualNetwork",
        f"{name}-data",
        {**ref, "name": "data", "vlanID": 101},
        drifted("spec.mtu", "9000", "1500", addresses="200"),
    )
    clouds = [{"name": name, "id": "3", "state": "Ready"}]
    image = in_sync(cloudsReady="1/1", clouds=clouds)
    yield body(
        "MachineImage",
        f"{name}-ubuntu",
        {"name": "ubuntu", "cloudRefs": [{"name": name}], "source": {"marketplaceApp": "Ubuntu"}},
        image,
    )
    roles = ("web", "api", "db", "cache", "queue", "batch")
    for n in range(instances):
        role = roles[n % len(roles)]
        nets = {"web": ["public", "apps"], "db": ["apps", "data"]}.get(role, ["apps"])
        facts = {
            "id": str(100 + n), "state": "Running", "addresses": [f"10.1.{n}.5"], "primaryAddress": f"10.1.{n}.5",
            "placement": {"cloud": f"team/{name}", "host": hosts[n % servers]},
            "external": {"vm": str(100 + n), "cloud": f"team/{name}"},
        }  # fmt: skip
        metadata = {}
        match n:
            case 4:
                status = drifted("spec.memory", "4Gi", "2Gi", **facts)
            case 9:
                status = stalled(
                    "ExternallyDeleted",
                    "VM 109 was terminated by somebody; set spec.updatePolicy.replace: Allow",
                    **facts,
                )
            case 14:
                status = progressing("Booting", "VM 114 is booting", **facts)
            case 19:
                status, metadata = in_sync(**facts), {"annotations": {"sovereigncloud.io/paused": "true"}}
            case 24:
                status = stalled("NetworkNotFound", f'team/{name} has no network called "nowhere"')
            case _:
                status = in_sync(**facts)
        spec = {
            "source": {"image": "ubuntu"}, "vcpu": 2, "memory": "4Gi", "networks": [{"name": net} for net in nets],
            "placement": {"cloudRef": {"name": name}},
        }  # fmt: skip
        yield body("HostedInstance", f"{name}-{role}-{n:02}", spec, status, **metadata)


def scene():
    """Everything, as the API server would list it."""
    return [one for name, size in SIZES.items() for one in cloud(name, *size)]
