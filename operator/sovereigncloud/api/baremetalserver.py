"""BareMetalServer: one dedicated server at OVHcloud."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from sovereigncloud.api.base import Column, Crd, DeletionPolicy, Managed, Model, Resource, Rule, SecretRef, Status
from sovereigncloud.api.rules import NAME_FITS_OUTSIDE, immutable
from sovereigncloud.api.sovereigncloud import Reinstall, Role


class OvhServer(Model):
    """A dedicated server at OVHcloud, adopted by its service name."""

    endpoint: Literal["ovh-eu", "ovh-ca", "ovh-us"] = Field(description="OVHcloud API: ovh-eu, ovh-ca or ovh-us.")
    credentials_secret_ref: SecretRef = Field(
        description="Secret with clientId and clientSecret, or applicationKey, applicationSecret and consumerKey."
    )
    service_name: Annotated[str, Field(min_length=1, max_length=128)] = Field(
        description="OVHcloud service name, for example ns3012345.ip-57-131-167.eu. Cannot be changed."
    )
    vrack: Annotated[str, Field(min_length=1, max_length=64)] | None = Field(
        default=None, description="vRack that its private interface is attached to; absent: left as it is."
    )

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        immutable("serviceName", "make another BareMetalServer; deleting this one leaves the server as it is"),
        immutable("endpoint", "the server is known to that API only; make another BareMetalServer"),
    )


class BareMetalServerSpec(Managed):
    """A server, its operating system on request, its place in a vRack."""

    ovh: OvhServer | None = Field(
        default=None, description="At OVHcloud. Other providers will be siblings, exactly one."
    )
    roles: Annotated[list[Literal[Role.FRONTEND, Role.NODE]], Field(max_length=2)] | None = Field(
        default=None, description="What it does in its cloud.", json_schema_extra={"x-kubernetes-list-type": "set"}
    )
    reinstall: Reinstall | None = Field(default=None, description="A one-time request to install an operating system.")

    cel_rules: ClassVar[tuple[Rule, ...]] = (Rule("has(self.ovh)", "exactly one provider must be set: set ovh"),)


class InterfaceStatus(Model):
    uuid: str | None = Field(default=None, description="Id of the virtual network interface.")
    mode: str | None = Field(default=None, description="public, vrack, public_aggregation or vrack_aggregation.")
    vrack: str | None = Field(default=None, description="vRack that it is attached to.")
    macs: list[str] | None = Field(default=None, description="MAC addresses of its network cards.")


class BareMetalServerStatus(Status):
    address: str | None = Field(default=None, description="Main IPv4 address.")
    region: str | None = Field(default=None, description="OVHcloud region, for example eu-west-rbx.")
    operating_system: str | None = Field(default=None, description="Template that is installed.")
    reinstalled: str | None = Field(default=None, description="The last reinstall request that was carried out.")
    install_step: str | None = Field(default=None, description="Step of the running installation.")
    interfaces: list[InterfaceStatus] | None = Field(default=None, description="Its network interfaces.")


class BareMetalServer(Resource[BareMetalServerSpec, BareMetalServerStatus]):
    """One dedicated server: adopted by service name, its operating system on an explicit request, its private
    interface in the vRack. Its network facts are in status. Deleting the object leaves the server as it is.
    """

    crd: ClassVar[Crd] = Crd(
        kind="BareMetalServer",
        plural="baremetalservers",
        short_names=("bms",),
        columns=(
            Column(name="Ready", json_path='.status.conditions[?(@.type=="Ready")].status'),
            Column(name="Reason", json_path='.status.conditions[?(@.type=="Ready")].reason'),
            Column(name="Address", json_path=".status.address"),
            Column(name="OS", json_path=".status.operatingSystem"),
            Column(name="Drift", json_path=".status.driftCount", type="integer"),
            Column(name="Age", json_path=".metadata.creationTimestamp", type="date"),
            Column(name="Region", json_path=".status.region", priority=1),
            Column(name="Message", json_path='.status.conditions[?(@.type=="Ready")].message', priority=1),
        ),
    )
    cel_rules: ClassVar[tuple[Rule, ...]] = (NAME_FITS_OUTSIDE,)
    default_deletion_policy: ClassVar[DeletionPolicy] = DeletionPolicy.RETAIN
