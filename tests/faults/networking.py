"""Courses of events around networks, security groups and the cards of one machine."""

from collections import Counter

from tests.faults.api_server import manifest
from tests.faults.instances import CLOUD, IMAGE, NETWORK, ONE, Creation, Deletion, instance
from tests.faults.verdicts import left

WEB, SSH = {"direction": "Inbound", "protocol": "TCP", "range": "443"}, {"direction": "Inbound", "protocol": "TCP"}
PART = manifest(
    "VirtualNetwork",
    "part",
    {
        "cloudRef": {"name": "paris"},
        "reservation": {"from": "lan"},
        "addressRanges": [{"ip": "10.31.0.50", "size": 4}, {"ip": "10.31.0.60", "size": 2}],
        "held": ["10.31.0.51"],
    },
)
_MADE = ("one.secgroup.allocate", "one.vn.reserve", "one.vn.hold")


def group(*rules):
    return manifest("SecurityGroup", "web", {"rules": list(rules)})


def filtered(address):
    lan = {"name": "lan", "address": address, "securityGroups": ["web"]}
    return instance(networks=[lan, {"name": "part"}])


class Networking(Creation):
    """A reservation of two ranges, a security group, and a machine with a card on each network."""

    name = "networking"
    address, rules = "10.31.0.20", (WEB,)

    def act(self, scene):
        self.apply(scene, ONE, CLOUD, NETWORK, IMAGE, PART, group(*self.rules), filtered(self.address))

    def judge(self, scene):
        duplicates, orphans, wrongs = super().judge(scene)
        cloud = scene.clouds["paris"]
        done = Counter((method, said) for _, method, said in scene.wire.done if method in _MADE)
        duplicates += [f"{' '.join(call)} {times} times" for call, times in done.items() if times > 1]
        groups = [one for one in cloud.security_groups.values() if one.oid]
        if [(one.name, len(one.template.vectors("RULE"))) for one in groups] != [("web", len(self.rules))]:
            wrongs.append(f"groups {[(one.name, one.template.vectors('RULE')) for one in groups]}")
        part = next((net for net in cloud.vnets.values() if net.name == "part"), None)
        ranges = sorted((one.ip_at(0), one.size) for one in part.ranges) if part else None
        if ranges != [("10.31.0.50", 4), ("10.31.0.60", 2)]:
            wrongs.append(f"the reservation has {ranges}")
        for vm in cloud.vms.values():
            cards = {nic["NETWORK"]: (nic["IP"], nic["SECURITY_GROUPS"]) for nic in vm.nics}
            if cards != {"lan": (self.address, str(groups[0].oid)), "part": ("10.31.0.50", "0")}:
                wrongs.append(f"its cards are {cards}")
        return duplicates, orphans, wrongs


class Readdressing(Networking):
    """Another rule for the group and another address for one card, while the machine runs."""

    name = "readdress"
    address, rules = "10.31.0.30", (WEB, SSH)

    async def prepare(self, scene):
        await super().prepare(scene)
        self.apply(scene, ONE, CLOUD, NETWORK, IMAGE, PART, group(WEB), filtered("10.31.0.20"))
        assert await scene.run(600, scene.settled)
        scene.wire.done.clear()

    def act(self, scene):
        self.apply(scene, group(*self.rules), filtered(self.address))

    def judge(self, scene):
        duplicates, orphans, wrongs = super().judge(scene)
        done = Counter(method for _, method, _ in scene.wire.done)
        duplicates += [
            f"{call} {done[call]} times" for call in ("one.vm.attachnic", "one.vm.detachnic") if done[call] != 1
        ]
        return duplicates, orphans, wrongs


class Unnetworking(Deletion):
    """All of it is deleted at once."""

    name = "unnetwork"

    async def prepare(self, scene):
        await Creation.prepare(self, scene)
        Networking.act(Networking(), scene)
        assert await scene.run(600, scene.settled)

    def act(self, scene):
        self.remove(scene, "SecurityGroup", "web")
        self.remove(scene, "VirtualNetwork", "part")
        super().act(scene)

    def judge(self, scene):
        duplicates, orphans, wrongs = super().judge(scene)
        cloud = scene.clouds["paris"]
        assert orphans == left(cloud)
        orphans += [f"security group {one.oid}" for one in cloud.security_groups.values() if one.oid]
        return duplicates, orphans, wrongs
