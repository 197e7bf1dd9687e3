"""One controller per kind: what to observe, `plan` as a pure function, how to perform each step."""

from collections.abc import Mapping
from typing import Any

from sovereigncloud.kinds.baremetalserver import BareMetalServerController
from sovereigncloud.kinds.controller import Controller
from sovereigncloud.kinds.exitplan import ExitPlanController
from sovereigncloud.kinds.federatedzone import FederatedZoneController
from sovereigncloud.kinds.hostedinstance import HostedInstanceController
from sovereigncloud.kinds.instancemigration import InstanceMigrationController
from sovereigncloud.kinds.machineimage import MachineImageController
from sovereigncloud.kinds.providerprofile import ProviderProfileController
from sovereigncloud.kinds.securitygroup import SecurityGroupController
from sovereigncloud.kinds.sovereigncloud import SovereignCloudController
from sovereigncloud.kinds.sovereigntypolicy import SovereigntyPolicyController
from sovereigncloud.kinds.tenant import TenantController
from sovereigncloud.kinds.virtualnetwork import VirtualNetworkController

CONTROLLERS: Mapping[str, Controller[Any, Any]] = {
    controller.resource.crd.kind: controller
    for controller in (
        SovereignCloudController(),
        BareMetalServerController(),
        VirtualNetworkController(),
        MachineImageController(),
        SecurityGroupController(),
        HostedInstanceController(),
        TenantController(),
        FederatedZoneController(),
        SovereigntyPolicyController(),
        ProviderProfileController(),
        InstanceMigrationController(),
        ExitPlanController(),
    )
}
"""Every controller by its kind."""

__all__ = ["CONTROLLERS"]
