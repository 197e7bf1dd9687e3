"""Two installations of the operator, in two clusters, on one OpenNebula and one OVHcloud account."""

from tests.faults.api_server import manifest
from tests.faults.scene import Scene

from sovereigncloud_sandbox.opennebula.methods import serve

OTHER = "test-2"


class Rival(Scene):
    """Another cluster with another installation, in which somebody writes what stands in the first one's. Use it inside the
    first one's `async with`.
    """

    def __init__(self, first, **settings):
        super().__init__(**{"installation_id": OTHER, **settings})
        self.ovh, self.clouds = first.ovh, first.clouds
        self.wire.ovh, self.wire.clouds, self.ovh_journal = first.wire.ovh, first.wire.clouds, first.ovh_journal

    def wrote(self):
        """What it did outside."""
        return [label for label in self.writes.log if " one." in label or label.startswith("ovh ")]


def put_machine(cloud, name, *, owner=0, more=""):
    """A machine that a person made by hand; its number."""
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    text = f'NAME="{quoted}" CPU=1 VCPU=1 MEMORY=1024 {more}'
    reply, code = serve(cloud, "one.vm.allocate", ["oneadmin:one", text, False])
    assert code == 0, reply
    made = max(cloud.vms)
    if owner:
        reply, code = serve(cloud, "one.vm.chown", ["oneadmin:one", made, owner, -1])
        assert code == 0, reply
    return made


def adopts(name, number, **spec):
    """The object that takes over a machine."""
    return manifest(
        "HostedInstance", name, {"adopt": {"id": str(number)}, "placement": {"cloudRef": {"name": "paris"}}, **spec}
    )
