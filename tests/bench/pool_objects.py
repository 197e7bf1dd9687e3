"""Ten thousand machines and the objects that declare them, by number."""

import uuid

INSTALLATION, NAMESPACE = "bench", "platform"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBenchBenchBenchBenchBenchBenchBenchBench bench"
LABELS = "app=web,team=shop,tier=frontend"


def name_of(number):
    return f"web-{number:05}"


def uid_of(number):
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, name_of(number)))


def cloud(endpoint):
    return {
        "apiVersion": "sovereigncloud.io/v1alpha1",
        "kind": "SovereignCloud",
        "metadata": {"name": "full", "namespace": NAMESPACE, "uid": "cloud", "generation": 1, "resourceVersion": "1"},
        "spec": {"existing": {"endpoint": endpoint, "credentialsSecretRef": {"name": "one"}}},
        "status": {"endpoint": endpoint},
    }


def instance(number):
    """One object, as long ready."""
    return {
        "apiVersion": "sovereigncloud.io/v1alpha1",
        "kind": "HostedInstance",
        "metadata": {
            "name": name_of(number), "namespace": NAMESPACE, "uid": uid_of(number), "generation": 1, "resourceVersion": "1",
            "creationTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["sovereigncloud.io/finalizer"],
            "labels": {"app": "web", "team": "shop", "tier": "frontend"},
        },
        "spec": {
            "source": {"image": "ubuntu"}, "vcpu": 2, "cpu": "1", "memory": "2Gi", "power": "Running",
            "networks": [{"name": "lan"}], "disks": [{"name": "root", "size": "10Gi"}],
            "placement": {"cloudRef": {"name": "full"}}, "sshAuthorizedKeys": [KEY], "updatePolicy": {"powerCycle": "Allow"},
        },
        "status": {"external": {"vm": str(number), "cloud": f"{NAMESPACE}/full"}},
    }  # fmt: skip
