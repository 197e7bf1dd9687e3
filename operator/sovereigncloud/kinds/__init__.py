"""One controller per kind: what to observe, `plan` as a pure function, how to perform each step."""

from collections.abc import Mapping
from typing import Any

from sovereigncloud.kinds.baremetalserver import BareMetalServerController
from sovereigncloud.kinds.controller import Controller
from sovereigncloud.kinds.hostedinstance import HostedInstanceController
from sovereigncloud.kinds.machineimage import MachineImageController
from sovereigncloud.kinds.sovereigncloud import SovereignCloudController
from sovereigncloud.kinds.virtualnetwork import VirtualNetworkController

CONTROLLERS: Mapping[str, Controller[Any, Any]] = {
    controller.resource.crd.kind: controller
    for controller in (
        SovereignCloudController(),
        BareMetalServerController(),
        VirtualNetworkController(),
        MachineImageController(),
        HostedInstanceController(),
    )
}
"""Every controller by its kind."""

__all__ = ["CONTROLLERS"]
