"""The language of sovereigncloud.io/v1alpha1."""

from typing import Any

from sovereigncloud.api.baremetalserver import BareMetalServer
from sovereigncloud.api.common.base import Resource
from sovereigncloud.api.exitplan import ExitPlan
from sovereigncloud.api.federatedzone import FederatedZone
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.api.instancemigration import InstanceMigration
from sovereigncloud.api.machineimage import MachineImage
from sovereigncloud.api.providerprofile import ProviderProfile
from sovereigncloud.api.securitygroup import SecurityGroup
from sovereigncloud.api.sovereigncloud import SovereignCloud
from sovereigncloud.api.sovereigntypolicy import SovereigntyPolicy
from sovereigncloud.api.tenant import Tenant
from sovereigncloud.api.virtualnetwork import VirtualNetwork

KINDS: tuple[type[Resource[Any, Any]], ...] = (
    SovereignCloud,
    BareMetalServer,
    VirtualNetwork,
    MachineImage,
    SecurityGroup,
    HostedInstance,
    Tenant,
    SovereigntyPolicy,
    ProviderProfile,
    FederatedZone,
    InstanceMigration,
    ExitPlan,
)

__all__ = [
    "KINDS",
    "BareMetalServer",
    "ExitPlan",
    "FederatedZone",
    "HostedInstance",
    "InstanceMigration",
    "MachineImage",
    "ProviderProfile",
    "SecurityGroup",
    "SovereignCloud",
    "SovereigntyPolicy",
    "Tenant",
    "VirtualNetwork",
]
