"""One controller per kind: what to observe, `plan` as a pure function, how to perform each step."""

from collections.abc import Mapping
from typing import Any

from sovereigncloud.kinds.baremetalserver.controller import BareMetalServerController
from sovereigncloud.kinds.contract.controller import Controller
from sovereigncloud.kinds.exitplan.controller import ExitPlanController
from sovereigncloud.kinds.federatedzone.controller import FederatedZoneController
from sovereigncloud.kinds.hostedinstance.controller import HostedInstanceController
from sovereigncloud.kinds.instancemigration.controller import InstanceMigrationController
from sovereigncloud.kinds.machineimage.controller import MachineImageController
from sovereigncloud.kinds.providerprofile.controller import ProviderProfileController
from sovereigncloud.kinds.securitygroup.controller import SecurityGroupController
from sovereigncloud.kinds.sovereigncloud.controller import SovereignCloudController
from sovereigncloud.kinds.sovereigntypolicy.controller import SovereigntyPolicyController
from sovereigncloud.kinds.tenant.controller import TenantController
from sovereigncloud.kinds.virtualnetwork.controller import VirtualNetworkController

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
