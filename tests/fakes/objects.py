"""Raw objects as the API server tells them, for tests of the engine."""

from sovereigncloud.api.common.base import API_VERSION, Key

NAMESPACE = "prefecture"
CLOUD = Key("SovereignCloud", NAMESPACE, "paris")


def key(name, kind="HostedInstance", namespace=NAMESPACE):
    return Key(kind, namespace, name)


def body(kind, name, spec, *, uid="", version=1, generation=1, status=None, namespace=NAMESPACE, **metadata):
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": uid or f"uid-{kind}-{name}",
            "generation": generation,
            "resourceVersion": str(version),
            **metadata,
        },
        "spec": spec,
        "status": {"observedGeneration": -1} if status is None else status,
    }


def cloud(name="paris", *, endpoint="https://one.example.fr/RPC2", status=None, spec=None, **more):
    spec = {
        "existing": {"endpoint": "https://one.example.fr/RPC2", "credentialsSecretRef": {"name": "one"}},
        **(spec or {}),
    }
    status = {"observedGeneration": 1, **({"endpoint": endpoint} if endpoint else {}), **(status or {})}
    return body("SovereignCloud", name, spec, status=status, **more)


def instance(name="web", *, spec=None, **more):
    wanted = {
        "source": {"image": "ubuntu-24.04"},
        "vcpu": 2,
        "memory": "4Gi",
        "placement": {"cloudRef": {"name": "paris"}},
        **(spec or {}),
    }
    return body("HostedInstance", name, {k: v for k, v in wanted.items() if v is not None}, **more)


def server(name="one-1", *, secret="ovh", vrack=None, **more):
    ovh = {"endpoint": "ovh-eu", "credentialsSecretRef": {"name": secret}, "serviceName": f"{name}.eu"}
    return body("BareMetalServer", name, {"ovh": {**ovh, **({"vrack": vrack} if vrack else {})}}, **more)


def typical_instance(number):
    """One that runs, with what kubectl and the operator leave on it."""
    name = f"web-{number:04}"
    return {
        "apiVersion": API_VERSION,
        "kind": "HostedInstance",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "uid": f"0a1b2c3d-0000-4000-8000-{number:012}",
            "generation": 1,
            "resourceVersion": str(10_000 + number),
            "creationTimestamp": "2026-11-24T10:00:00Z",
            "finalizers": ["sovereigncloud.io/finalizer"],
            "labels": {"app": "web", "tier": "front"},
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "x" * 900, "team": "web"},
            "managedFields": [{"manager": "kubectl", "operation": "Apply", "fieldsV1": {"f:spec": {"y": "z" * 600}}}],
        },
        "spec": {
            "source": {"image": "ubuntu-24.04"},
            "vcpu": 2,
            "cpu": "1",
            "memory": "4Gi",
            "power": "Running",
            "networks": [{"name": "vm_public"}, {"name": "vm_vlan100"}],
            "disks": [{"name": "root", "size": "20Gi"}],
            "sshAuthorizedKeys": [
                "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGZha2VrZXlmYWtla2V5ZmFrZWtleWZha2VrZXlm me@example"
            ],
            "placement": {"cloudRef": {"name": "paris"}},
            "updatePolicy": {"powerCycle": "Allow"},
        },
        "status": {
            "observedGeneration": 1,
            "conditions": [
                condition("Ready", "True", "AsDeclared", "as declared"),
                condition("Drifted", "False", "InSync", "nothing was changed from outside"),
            ],
            "external": {"vm": str(number), "cloud": f"{NAMESPACE}/paris"},
            "id": str(number),
            "state": "Running",
            "addresses": [f"192.0.2.{number % 250}", f"10.100.0.{number % 250}"],
            "primaryAddress": f"192.0.2.{number % 250}",
            "placement": {"cloud": f"{NAMESPACE}/paris", "host": "one-1"},
        },
    }


def condition(kind, status, reason="Because", message="", at="2026-11-24T10:00:00Z"):
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": at}


READY = {"observedGeneration": 1, "conditions": [condition("Ready", "True")]}
