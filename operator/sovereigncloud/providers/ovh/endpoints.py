"""The endpoints of OVHcloud that are used, as classes: a path without the names of servers, vRacks and blocks in it."""

from __future__ import annotations

import re
from typing import Final

OTHER: Final = "other"

ENDPOINTS: Final = (
    "/v1/auth/currentCredential",
    "/v1/auth/details",
    "/v1/dedicated/installationTemplate/{}",
    "/v1/dedicated/server/datacenter/availabilities",
    "/v1/dedicated/installationTemplate/{}",
    "/v1/dedicated/server/{}",
    "/v1/dedicated/server/{}/boot",
    "/v1/dedicated/server/{}/install/compatibleTemplates",
    "/v1/dedicated/server/{}/install/status",
    "/v1/dedicated/server/{}/reboot",
    "/v1/dedicated/server/{}/reinstall",
    "/v1/dedicated/server/{}/serviceInfos",
    "/v1/dedicated/server/{}/specifications/hardware",
    "/v1/dedicated/server/{}/task",
    "/v1/dedicated/server/{}/task/{}",
    "/v1/dedicated/server/{}/virtualNetworkInterface",
    "/v1/dedicated/server/{}/virtualNetworkInterface/{}",
    "/v1/domain/zone/{}",
    "/v1/domain/zone/{}/record",
    "/v1/domain/zone/{}/record/{}",
    "/v1/domain/zone/{}/refresh",
    "/v1/ip/{}",
    "/v1/ip/{}/park",
    "/v1/ip/{}/reverse",
    "/v1/ip/{}/reverse/{}",
    "/v1/me",
    "/v1/me/order",
    "/v1/me/order/{}",
    "/v1/me/order/{}/details",
    "/v1/me/order/{}/details/{}",
    "/v1/me/order/{}/details/{}/extension",
    "/v1/me/order/{}/pay",
    "/v1/me/order/{}/status",
    "/v1/me/payment/method",
    "/v1/order/cart",
    "/v1/order/cart/{}",
    "/v1/order/cart/{}/assign",
    "/v1/order/cart/{}/baremetalServers",
    "/v1/order/cart/{}/baremetalServers/options",
    "/v1/order/cart/{}/checkout",
    "/v1/order/cart/{}/item",
    "/v1/order/cart/{}/item/{}",
    "/v1/order/cart/{}/item/{}/configuration",
    "/v1/order/cart/{}/item/{}/configuration/{}",
    "/v1/order/catalog/public/baremetalServers",
    "/v1/services",
    "/v1/services/{}",
    "/v1/vrack/{}/dedicatedServerInterface",
    "/v1/vrack/{}/dedicatedServerInterface/{}",
    "/v1/vrack/{}/dedicatedServerInterfaceDetails",
    "/v1/vrack/{}/eligibleServices",
    "/v1/vrack/{}/ip",
    "/v1/vrack/{}/ip/{}",
    "/v2/iam/authorization/check",
    "/v2/iam/resource",
    "/v2/iam/resource/{}/tag",
    "/v2/iam/resource/{}/tag/{}",
)
_PATTERNS: Final = tuple((one, re.compile(re.escape(one).replace(r"\{\}", "[^/]+"))) for one in ENDPOINTS)


def endpoint_class(method: str, path: str) -> str:
    """For example "GET /v1/vrack/{}/ip"; "GET other" for a path that stands in no row."""
    found = next((one for one, pattern in _PATTERNS if pattern.fullmatch(path)), OTHER)
    return f"{method} {found}"
