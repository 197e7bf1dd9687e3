"""The language of sovereigncloud.io/v1alpha1."""

from sovereigncloud.api.baremetalserver import BareMetalServer
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.api.machineimage import MachineImage
from sovereigncloud.api.sovereigncloud import SovereignCloud
from sovereigncloud.api.virtualnetwork import VirtualNetwork

KINDS = (SovereignCloud, BareMetalServer, VirtualNetwork, MachineImage, HostedInstance)

__all__ = ["KINDS", "BareMetalServer", "HostedInstance", "MachineImage", "SovereignCloud", "VirtualNetwork"]
