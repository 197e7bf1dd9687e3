"""Courses of events around servers that are bought."""

import copy

from tests.faults.api_server import manifest
from tests.faults.courses import Course
from tests.faults.servers import Hosted, HostedWithMachine
from tests.faults.verdicts import SYSTEM, bought_twice, reinstalled_twice, server_wrongs, untagged

from sovereigncloud_sandbox.ovh.seed import SERVERS, VRACK

APPROVAL = {"maxPrice": "400.00", "currency": "EUR"}
ORDER = {"planCode": "24scale01", "datacenter": "rbx", "approval": APPROVAL}
REINSTALL = {"request": "first", "operatingSystem": SYSTEM, "wipeAllDisks": True}
DELIVERY = 2 * 3600.0


def slowly(scene):
    """As long as things take in OVHcloud's shop: lists that lag, a payment that shows late, hours until the server is there."""
    timing = scene.ovh.state.timing
    timing.cart_listed_after = timing.order_listed_after = 20.0
    timing.payment, timing.check, timing.delivery = 480.0, 300.0, DELIVERY


def ordered_server(name="one-9", order=ORDER, **spec):
    """A BareMetalServer that is to be bought."""
    ovh = {"endpoint": "ovh-eu", "credentialsSecretRef": {"name": "ovh-account"}, "order": order}
    return manifest("BareMetalServer", name, {"ovh": ovh, **spec})


class Purchase(Course):
    """A server is ordered, paid, delivered hours later, tagged, reinstalled, and joins its vRack."""

    name = "order-and-reinstall"
    within = 24 * 3600.0

    async def prepare(self, scene):
        slowly(scene)

    def act(self, scene):
        server = ordered_server(reinstall=REINSTALL)
        server["spec"]["ovh"]["vrack"] = VRACK
        self.apply(scene, scene.account_secret("ovh-account"), server)

    def judge(self, scene):
        duplicates, wrongs = list(bought_twice(scene, 1)), list(self._kept(scene))
        service = scene.api.get("BareMetalServer", "one-9")["status"].get("serviceName", "")
        if service not in scene.ovh.state.servers:
            return duplicates, [], [*wrongs, f"the server is {service!r}"]
        duplicates += reinstalled_twice(scene, (service,))
        return duplicates, list(untagged(scene)), [*wrongs, *server_wrongs(scene, service, VRACK)]


class HostedOnOrdered(HostedWithMachine):
    """The whole hosted cloud, one of its servers bought for it."""

    name = "hosted-order"
    within = 24 * 3600.0
    cloud = copy.deepcopy(Hosted.cloud)
    del cloud["spec"]["hosted"]["ovh"]["servers"][1]["serviceName"]
    cloud["spec"]["hosted"]["ovh"]["servers"][1]["order"] = ORDER

    async def prepare(self, scene):
        slowly(scene)

    def services(self, scene):
        bought = scene.api.get("BareMetalServer", "ovh-rbx-one-2").get("status", {}).get("serviceName", "")
        return (SERVERS[0], bought)

    def judge(self, scene):
        duplicates, orphans, wrongs = super().judge(scene)
        return [*duplicates, *bought_twice(scene, 1)], orphans, wrongs
