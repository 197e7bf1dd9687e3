"""A simulated front-end full of running machines, in a process of its own: `python pool_server.py COUNT` prints where it
answers and ends when its input does.
"""

import sys

from pool_objects import INSTALLATION, KEY, LABELS, NAMESPACE, name_of, uid_of

from sovereigncloud.core.identity import Mark
from sovereigncloud.providers.opennebula.templates import template_xml
from sovereigncloud_sandbox.opennebula.background import BackgroundSandbox
from sovereigncloud_sandbox.opennebula.install import CloudSpec, HostSpec
from sovereigncloud_sandbox.opennebula.methods import serve


def template(number):
    """As the operator makes a machine: 5 KB of XML once oned has added its own, as recorded from a real one."""
    name = name_of(number)
    mark = Mark(INSTALLATION, f"HostedInstance/{NAMESPACE}/{name}", uid_of(number))
    return template_xml({
        "NAME": name, "CPU": "1", "VCPU": "2", "MEMORY": "2048", "DISK": {"IMAGE_ID": "0", "SIZE": "10240"},
        "NIC": {"NETWORK_ID": "0"}, "GRAPHICS": {"TYPE": "VNC"}, "SOVEREIGNCLOUD_LABELS": LABELS,
        "CONTEXT": {"NETWORK": "YES", "SSH_PUBLIC_KEY": KEY}, **mark.for_opennebula(),
    })  # fmt: skip


class Clock:
    now = 1_800_000_000.0

    def __call__(self):
        return self.now


def fill(cloud, clock, count):
    def call(method, *arguments):
        reply, code = serve(cloud, method, ["oneadmin:opennebula", *arguments])
        assert code == 0, reply

    clock.now += 10  # a datastore has no space before the first host was monitored
    ranges = {"TYPE": "IP4", "IP": "10.0.0.10", "SIZE": str(count + 10)}
    call(
        "one.vn.allocate",
        template_xml({"NAME": "lan", "VN_MAD": "bridge", "BRIDGE": "br0", "DNS": "1.1.1.1", "AR": ranges}),
        0,
    )
    call(
        "one.image.allocate",
        template_xml({"NAME": "ubuntu", "TYPE": "OS", "SIZE": "2252", "PATH": "http://images.example.org/u"}),
        1,
    )
    clock.now += 60
    for number in range(count):
        call("one.vm.allocate", template(number), False)
    for _ in range(30):
        clock.now += 10
        cloud.advance()
    assert all((vm.state, vm.lcm) == (3, 3) for vm in cloud.vms.values())


def main(count):
    clock = Clock()
    big = {"cpu": 10_000_000, "memory": 1 << 40, "disk": 10**12}
    spec = CloudSpec("full", hosts=tuple(HostSpec(f"10.9.0.{number}", **big) for number in range(1, 21)))
    with BackgroundSandbox(spec, clock=clock) as sandbox:
        sandbox.do(fill, sandbox["full"], clock, count)
        print(sandbox.endpoint("full"), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(int(sys.argv[1]))
