"""An OpenNebula that somebody else runs, as tests use it: manifests for what is in it, and a look from the other side."""

import pyone

from sovereigncloud.api import KINDS
from sovereigncloud.api.common.base import API_VERSION, FINALIZER, GROUP
from sovereigncloud.engine.cache.finalizer_inventory import told
from sovereigncloud.engine.cache.store import key_of
from sovereigncloud.providers.kubernetes.api import HOLDINGS_CONFIG_MAP
from sovereigncloud_sandbox.onlooker import Onlooker
from sovereigncloud_sandbox.stage import SYSTEM, condition

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOshSFOnTEAaOhM5ct5FYU+EI6q3+0OrkpRHpFrN5MMX you@example"
QUICK = {
    "scheduler": 0.2,
    "prolog": 0.1,
    "boot": 0.1,
    "shutdown": 0.1,
    "image": 0.2,
    "host_monitor": 0.1,
    "datastore_monitor": 0.1,
}
"""How long things take there, in seconds: the stories wait for them a hundred times."""
_addresses = iter(range(40, 250))


def next_address():
    """A number for `Stage.address` that no other server of these tests has."""
    return next(_addresses)


class ExistingCloud:
    """One cloud in the simulator and the manifests that speak of it, all in one namespace."""

    def __init__(self, stage, name, namespace="platform", *, password="sesame", hosts=2, authority=None):
        self.stage, self.name, self.namespace, self.password = stage, name, namespace, password
        self.hosts = tuple(f"{name}-host-{number}" for number in range(hosts))
        address = stage.address(next_address())
        tls = authority.issue(name, names=[address]) if authority else None
        self.endpoint = stage.make_cloud(name, address, password=password, hosts=self.hosts, tls=tls, speeds=QUICK)
        self.onlooker = Onlooker(self.endpoint, password)

    # --- manifests

    def object(self, kind, name, spec, **metadata):
        document = {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name, **metadata}, "spec": spec}
        document["metadata"]["namespace"] = self.namespace
        return document

    def secret(self, name, **values):
        metadata = {"name": name, "namespace": self.namespace}
        return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": values}

    def credentials(self):
        return self.secret(f"{self.name}-one", username="oneadmin", password=self.password)

    def cloud(self, **spec):
        existing = {"endpoint": self.endpoint, "credentialsSecretRef": {"name": f"{self.name}-one"}}
        return self.object("SovereignCloud", self.name, {"existing": existing, **spec})

    def foundation(self, **spec):
        return [self.credentials(), self.cloud(**spec)]

    def image(self, name, /, app="Alpine Linux 3.21", **spec):
        spec = {"cloudRefs": [{"name": self.name}], "source": {"marketplaceApp": app}, **spec}
        return self.object("MachineImage", name, spec)

    def network(self, name, /, number=31, size=200, **spec):
        ranges = [{"ip": f"10.{number}.0.10", "size": size}]
        plan = {"vlanID": 300 + number, "gateway": f"10.{number}.0.1", "addressRanges": ranges}
        return self.object("VirtualNetwork", name, {"cloudRef": {"name": self.name}, **plan, **spec})

    def instance(self, name, /, **spec):
        """Running, on network lan, of image alpine; None takes a field out."""
        wanted = {
            "placement": {"cloudRef": {"name": self.name}},
            "source": {"image": "alpine"},
            "vcpu": 1,
            "memory": "512Mi",
            "power": "Running",
            "networks": [{"name": "lan"}],
            **spec,
        }
        return self.object("HostedInstance", name, {key: value for key, value in wanted.items() if value is not None})

    # --- in Kubernetes

    def get(self, kind, name):
        return self.stage.get(kind, name, self.namespace)

    def patch(self, kind, name, **spec):
        return self.stage.patch(kind, name, {"spec": spec}, self.namespace)

    def delete(self, kind, name):
        self.stage.delete(kind, name, self.namespace)

    def wait(self, kind, name, what, test, **options):
        return self.stage.wait(kind, name, what, test, namespace=self.namespace, **options)

    def ready(self, kind, name, **options):
        return self.stage.wait_ready(kind, name, namespace=self.namespace, **options)

    def gone(self, kind, name, **options):
        self.stage.wait_gone(kind, name, namespace=self.namespace, **options)

    def says(self, kind, name, condition_type, reason, *words, **options):
        """The object as soon as the condition is True for that reason and its message holds all the words."""

        def holds(found):
            told = condition(found, condition_type)
            about = (told.get("status"), told.get("reason")) == ("True", reason)
            return about and all(word in told["message"] for word in words)

        return self.wait(kind, name, f"{condition_type}/{reason} {words}", holds, **options)

    def swept(self, times=2):
        """Wait until the cloud was read so often again: what is not done by then is not done by a sweep."""
        pool = "one.vmpool.infoextended"
        wanted = self.stage.calls(self.name)[pool] + times
        self.wait("sovereigncloud", self.name, "swept", lambda _: self.stage.calls(self.name)[pool] >= wanted)

    def at_rest(self):
        """Wait until nothing is under way: reads come at the interval of rest, and the list of what is held says what is.

        The operator writes that list beside all else, up to `engine.holdings.INTERVAL` seconds after the last finalizer. Who
        counts writes begins after it; one that is written again though nothing changed is then counted as any other.
        """
        self.swept()
        self.stage.until(self._what_is_held_is_told, "what is held told", seconds=30)

    def _what_is_held_is_told(self):
        objects = self.stage.cluster.get(",".join(f"{kind.crd.plural}.{GROUP}" for kind in KINDS), "--all-namespaces")
        held = [key_of(one) for one in objects["items"] if FINALIZER in one["metadata"].get("finalizers", ())]
        list_of_it = f"--field-selector=metadata.name={HOLDINGS_CONFIG_MAP}"
        (found,) = self.stage.cluster.get("configmaps", f"--namespace={SYSTEM}", list_of_it)["items"] or [{}]
        return found.get("data") == told(held)

    # --- in OpenNebula

    @property
    def administrator(self):
        """Every call that its administrator has."""
        return pyone.OneServer(self.endpoint, session=f"oneadmin:{self.password}")

    def vm(self, name):
        """The one machine of that name that is not done."""
        (found,) = self.onlooker.machines(name)
        return found

    def mischief(self, what, **arguments):
        self.stage.mischief(self.name, what, **arguments)
