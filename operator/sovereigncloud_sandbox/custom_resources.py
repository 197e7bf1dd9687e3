"""The custom resources as the API server serves them: the sandbox imports nothing of the operator.

tests/unit/sandbox/test_custom_resources.py compares this table with the operator's own kinds.
"""

from typing import NamedTuple

GROUP = "sovereigncloud.io"
VERSION = "v1alpha1"


class CustomResource(NamedTuple):
    """What a path of the Kubernetes API needs to know of a kind."""

    kind: str
    plural: str
    namespaced: bool = True


CUSTOM_RESOURCES = (
    CustomResource("SovereignCloud", "sovereignclouds"),
    CustomResource("BareMetalServer", "baremetalservers"),
    CustomResource("VirtualNetwork", "virtualnetworks"),
    CustomResource("MachineImage", "machineimages"),
    CustomResource("SecurityGroup", "securitygroups"),
    CustomResource("HostedInstance", "hostedinstances"),
    CustomResource("Tenant", "tenants", namespaced=False),
    CustomResource("SovereigntyPolicy", "sovereigntypolicies", namespaced=False),
    CustomResource("ProviderProfile", "providerprofiles", namespaced=False),
    CustomResource("FederatedZone", "federatedzones"),
    CustomResource("InstanceMigration", "instancemigrations"),
    CustomResource("ExitPlan", "exitplans"),
)
