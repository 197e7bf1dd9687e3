"""What is called at OVHcloud, for which purpose, and which actions of IAM each call needs. Pure data.

The documented policy (docs/ovh-rights.md), the check before work starts and `sovereign doctor` are made from it. Tests hold it
against the calls that the adapter makes, and against OVHcloud's schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Feature(StrEnum):
    """What a person wants of it, each with rights of its own."""

    OBSERVE = "Observe"
    ADOPT = "Adopt"
    RENAME = "Rename"
    REINSTALL = "Reinstall"
    VRACK = "Vrack"
    BLOCKS = "Blocks"
    REVERSE_DNS = "ReverseDNS"
    DNS = "DNS"
    ORDER = "Order"
    PAY = "Pay"
    TERMINATE = "Terminate"
    FENCE = "Fence"


MEANING: Final[Mapping[Feature, str]] = {
    Feature.OBSERVE: "read servers, vRacks and blocks, and tell where they differ from what is declared",
    Feature.ADOPT: "mark servers, vRacks and blocks as those of this installation, and remember what was asked for once",
    Feature.RENAME: "keep the display name of a server",
    Feature.REINSTALL: "install an operating system on a request in spec, which erases the disks",
    Feature.VRACK: "attach the private interface of a server to the vRack",
    Feature.BLOCKS: "route IP blocks to the vRack",
    Feature.REVERSE_DNS: "keep the reverse DNS of the addresses of a block",
    Feature.DNS: "keep the DNS record of the public endpoint",
    Feature.ORDER: "fill a cart, ask what it costs, and leave an unpaid order",
    Feature.PAY: "pay an order that a person approved with a ceiling",
    Feature.TERMINATE: "let a server end at its expiration, with deletionPolicy Delete",
    Feature.FENCE: "switch off the servers of a lost cloud, with spec.hosted.fencing.powerOff Allow, and start them again",
}


@dataclass(frozen=True, slots=True)
class Operation:
    """A call: `path` as in `providers/ovh/endpoints.py`; `actions` are those that OVHcloud's schema requires for it."""

    method: str
    path: str
    feature: Feature
    actions: tuple[str, ...] = ()

    @property
    def call(self) -> str:
        """For people: without the version, which a rule of a consumer key does not have either."""
        return f"{self.method} {self.path.removeprefix('/v1')}"


_SERVER: Final = "/v1/dedicated/server/{}"
_VRACK: Final = "/v1/vrack/{}"
_CART: Final = "/v1/order/cart/{}"
_ORDER: Final = "/v1/me/order"
_ZONE: Final = "/v1/domain/zone/{}"
_DS: Final = "dedicatedServer:apiovh:"
_VR: Final = "vrack:apiovh:"
_IP: Final = "ip:apiovh:"
_AC: Final = "account:apiovh:"
_OR: Final = "order:apiovh:"
_DZ: Final = "dnsZone:apiovh:"
_F: Final = Feature

OPERATIONS: Final = (
    Operation("GET", "/v2/iam/resource", _F.OBSERVE),
    Operation("POST", "/v2/iam/authorization/check", _F.OBSERVE),
    Operation("GET", "/v1/auth/details", _F.OBSERVE),
    Operation("GET", "/v1/auth/currentCredential", _F.OBSERVE),
    Operation("GET", _SERVER, _F.OBSERVE, (f"{_DS}get",)),
    Operation("GET", f"{_SERVER}/virtualNetworkInterface", _F.OBSERVE, (f"{_DS}virtualNetworkInterface/get",)),
    Operation("GET", f"{_SERVER}/virtualNetworkInterface/{{}}", _F.OBSERVE, (f"{_DS}virtualNetworkInterface/get",)),
    Operation("GET", f"{_SERVER}/task", _F.OBSERVE, (f"{_DS}task/get",)),
    Operation("GET", f"{_SERVER}/task/{{}}", _F.OBSERVE, (f"{_DS}task/get",)),
    Operation("GET", f"{_SERVER}/install/status", _F.OBSERVE, (f"{_DS}install/status/get",)),
    Operation("GET", f"{_VRACK}/dedicatedServerInterfaceDetails", _F.OBSERVE, (f"{_VR}dedicatedServerInterfaceDetails/get",)),
    Operation("GET", f"{_VRACK}/ip", _F.OBSERVE, (f"{_VR}ip/get",)),
    Operation("GET", "/v1/ip/{}", _F.OBSERVE, (f"{_IP}get",)),
    Operation("POST", "/v2/iam/resource/{}/tag", _F.ADOPT, (f"{_AC}iam/resource/tag/add",)),
    Operation("DELETE", "/v2/iam/resource/{}/tag/{}", _F.ADOPT, (f"{_AC}iam/resource/tag/remove",)),
    Operation("GET", "/v1/services", _F.RENAME, (f"{_AC}services/get",)),
    Operation("PUT", "/v1/services/{}", _F.RENAME, (f"{_AC}services/edit",)),
    Operation("PUT", _SERVER, _F.REINSTALL, (f"{_DS}put",)),
    Operation("GET", f"{_SERVER}/specifications/hardware", _F.REINSTALL, (f"{_DS}specifications/hardware/get",)),
    Operation("GET", f"{_SERVER}/install/compatibleTemplates", _F.REINSTALL, (f"{_DS}install/compatibleTemplates/get",)),
    Operation("POST", f"{_SERVER}/reinstall", _F.REINSTALL, (f"{_DS}reinstall",)),
    Operation(
        "POST", f"{_VRACK}/dedicatedServerInterface", _F.VRACK, (f"{_VR}dedicatedServerInterface/attach", f"{_DS}vrack/attach")
    ),
    Operation(
        "DELETE", f"{_VRACK}/dedicatedServerInterface/{{}}", _F.VRACK, (f"{_VR}dedicatedServerInterface/detach",)
    ),
    Operation("POST", f"{_VRACK}/ip", _F.BLOCKS, (f"{_VR}ip/attach", f"{_IP}vrack/attach")),
    Operation("DELETE", f"{_VRACK}/ip/{{}}", _F.BLOCKS, (f"{_VR}ip/detach",)),
    Operation("GET", "/v1/dedicated/installationTemplate/{}", _F.REINSTALL),
    Operation("GET", f"{_VRACK}/eligibleServices", _F.VRACK, (f"{_VR}eligibleServices/get",)),
    Operation("POST", "/v1/ip/{}/park", _F.BLOCKS, (f"{_IP}park",)),
    Operation("GET", "/v1/ip/{}/reverse", _F.REVERSE_DNS, (f"{_IP}reverse/get",)),
    Operation("GET", "/v1/ip/{}/reverse/{}", _F.REVERSE_DNS, (f"{_IP}reverse/get",)),
    Operation("POST", "/v1/ip/{}/reverse", _F.REVERSE_DNS, (f"{_IP}reverse/create",)),
    Operation("DELETE", "/v1/ip/{}/reverse/{}", _F.REVERSE_DNS, (f"{_IP}reverse/delete",)),
    Operation("GET", _ZONE, _F.DNS, (f"{_DZ}get",)),
    Operation("GET", f"{_ZONE}/record", _F.DNS, (f"{_DZ}record/get",)),
    Operation("GET", f"{_ZONE}/record/{{}}", _F.DNS, (f"{_DZ}record/get",)),
    Operation("POST", f"{_ZONE}/record", _F.DNS, (f"{_DZ}record/create",)),
    Operation("PUT", f"{_ZONE}/record/{{}}", _F.DNS, (f"{_DZ}record/edit",)),
    Operation("DELETE", f"{_ZONE}/record/{{}}", _F.DNS, (f"{_DZ}record/delete",)),
    Operation("POST", f"{_ZONE}/refresh", _F.DNS, (f"{_DZ}refresh",)),
    Operation("GET", "/v1/me", _F.ORDER, (f"{_AC}me/get",)),
    Operation("GET", "/v1/order/catalog/public/baremetalServers", _F.ORDER),
    Operation("GET", "/v1/dedicated/server/datacenter/availabilities", _F.ORDER),
    Operation("GET", "/v1/order/cart", _F.ORDER, (f"{_OR}cart/get",)),
    Operation("POST", "/v1/order/cart", _F.ORDER),
    Operation("GET", _CART, _F.ORDER),
    Operation("PUT", _CART, _F.ORDER),
    Operation("DELETE", _CART, _F.ORDER, (f"{_OR}cart/delete",)),
    Operation("POST", f"{_CART}/assign", _F.ORDER, (f"{_OR}cart/assign",)),
    Operation("POST", f"{_CART}/baremetalServers", _F.ORDER),
    Operation("POST", f"{_CART}/baremetalServers/options", _F.ORDER),
    Operation("GET", f"{_CART}/item", _F.ORDER),
    Operation("GET", f"{_CART}/item/{{}}", _F.ORDER),
    Operation("DELETE", f"{_CART}/item/{{}}", _F.ORDER),
    Operation("GET", f"{_CART}/item/{{}}/configuration", _F.ORDER),
    Operation("POST", f"{_CART}/item/{{}}/configuration", _F.ORDER),
    Operation("GET", f"{_CART}/item/{{}}/configuration/{{}}", _F.ORDER),
    Operation("GET", f"{_CART}/checkout", _F.ORDER, (f"{_OR}cart/checkout/simulate",)),
    Operation("POST", f"{_CART}/checkout", _F.ORDER, (f"{_OR}cart/checkout/execute",)),
    Operation("GET", _ORDER, _F.ORDER, (f"{_AC}me/order/get",)),
    Operation("GET", f"{_ORDER}/{{}}", _F.ORDER, (f"{_AC}me/order/get",)),
    Operation("GET", f"{_ORDER}/{{}}/status", _F.ORDER, (f"{_AC}me/order/status/get",)),
    Operation("GET", f"{_ORDER}/{{}}/details", _F.ORDER, (f"{_AC}me/order/details/get",)),
    Operation("GET", f"{_ORDER}/{{}}/details/{{}}", _F.ORDER, (f"{_AC}me/order/details/get",)),
    Operation("GET", f"{_ORDER}/{{}}/details/{{}}/extension", _F.ORDER, (f"{_AC}me/order/details/extension/get",)),
    Operation("GET", "/v1/me/payment/method", _F.PAY, (f"{_AC}me/payment/method/get",)),
    Operation("POST", f"{_ORDER}/{{}}/pay", _F.PAY, (f"{_AC}me/order/pay",)),
    Operation("GET", f"{_SERVER}/serviceInfos", _F.TERMINATE, (f"{_DS}serviceInfos/get",)),
    Operation("GET", f"{_SERVER}/boot", _F.FENCE, (f"{_DS}boot/get",)),
    Operation("PUT", _SERVER, _F.FENCE, (f"{_DS}put",)),
    Operation("POST", f"{_SERVER}/reboot", _F.FENCE, (f"{_DS}reboot",)),
    Operation("PUT", f"{_SERVER}/serviceInfos", _F.TERMINATE, (f"{_DS}serviceInfos/edit",)),
)  # fmt: skip

DENIED: Final = (
    f"{_DS}terminate",
    f"{_DS}confirmTermination",
    f"{_VR}terminate",
    f"{_VR}confirmTermination",
    f"{_IP}terminate",
    f"{_AC}services/terminateWithoutConfirmation",
)
"""What is never called and would end something at once. A deny of OVHcloud's IAM wins over every allow."""
MONEY: Final = frozenset({Feature.ORDER, Feature.PAY})
"""Better given to a credential of their own, which only the order names."""
