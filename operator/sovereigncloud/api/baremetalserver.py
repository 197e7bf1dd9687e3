"""BareMetalServer: one dedicated server at OVHcloud."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from sovereigncloud.api.common.base import (
    Column,
    Crd,
    DeletionPolicy,
    Managed,
    Model,
    Resource,
    Rule,
    SecretRef,
    Status,
    columns,
)
from sovereigncloud.api.common.rules import NAME_FITS_OUTSIDE, immutable
from sovereigncloud.api.hosted import Reinstall, Role
from sovereigncloud.api.ordering import OrderStatus, WhichServer, stays_the_same


class OvhServer(WhichServer):
    """A dedicated server at OVHcloud: named, found by its tags, or ordered."""

    endpoint: Literal["ovh-eu", "ovh-ca", "ovh-us"] = Field(
        description="The API of the account's region. ovh-eu: Europe. ovh-ca: Canada. ovh-us: United States. Cannot be"
        " changed."
    )
    credentials_secret_ref: SecretRef = Field(
        description="Secret with the keys clientId and clientSecret of a service account, or applicationKey,"
        " applicationSecret and consumerKey."
    )
    vrack: Annotated[str, Field(min_length=1, max_length=64)] | None = Field(
        default=None,
        description="Private network that the server's private interface is attached to, for example pn-123456. Absent: left"
        " as it is.",
    )
    move_from: Annotated[str, Field(min_length=1, max_length=64)] | None = Field(
        default=None,
        description="Consent to take the private interface out of this other private network, for example pn-654321, where"
        " what uses it there is cut off. Absent: it is only taken out of one that is this installation's.",
    )

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        *stays_the_same("make another BareMetalServer; deleting this one leaves the server as it is"),
        immutable("endpoint", "the server is known to that API only; make another BareMetalServer"),
    )


class BareMetalServerSpec(Managed):
    """A server, its operating system on request, its place in a vRack."""

    ovh: OvhServer | None = Field(
        default=None,
        description="It is OVHcloud's. Other providers will be siblings of this field, exactly one of them set.",
    )
    roles: Annotated[list[Literal[Role.FRONTEND, Role.NODE]], Field(max_length=2)] | None = Field(
        default=None,
        description="What the server does in its cloud. Frontend: runs OpenNebula. Node: runs virtual machines. Absent:"
        " nothing is known of it.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    reinstall: Reinstall | None = Field(
        default=None,
        description="A one-time request to install an operating system, which erases the disks. Absent: never reinstalled.",
    )

    cel_rules: ClassVar[tuple[Rule, ...]] = (Rule("has(self.ovh)", "exactly one provider must be set: set ovh"),)


class InterfaceStatus(Model):
    uuid: str | None = Field(default=None, description="Identifier of the virtual network interface at OVHcloud.")
    mode: str | None = Field(
        default=None, description="What it leads to: public, vrack, public_aggregation or vrack_aggregation."
    )
    vrack: str | None = Field(default=None, description="Private network that the interface is attached to.")
    macs: list[str] | None = Field(default=None, description="MAC addresses of the network cards behind the interface.")


class PowerStatus(Model):
    """Whether the server has power, as its provider says: looked at when the cloud on it does not answer."""

    state: Literal["On", "Off"] | None = Field(
        default=None, description="On: it has power, and what is on it may run. Off: it has none. As OVHcloud says."
    )
    seen_at: Annotated[str, Field(max_length=32)] | None = Field(
        default=None,
        description="When it was first seen so in this outage (RFC 3339, UTC). Nobody looks while the cloud answers.",
    )
    fenced: Annotated[str, Field(max_length=32)] | None = Field(
        default=None,
        description="The outage for which the operator switched it off, or is switching it off: it stays off until"
        " spec.hosted.fencing.startAgain of its cloud names that outage.",
    )


class BareMetalServerStatus(Status):
    service_name: str | None = Field(
        default=None,
        description="The service name at OVHcloud of the machine that it is: as declared, as found by its tags, or as"
        " delivered.",
    )
    order: OrderStatus | None = Field(
        default=None, description="How far the order of the server is, where it is ordered."
    )
    address: str | None = Field(default=None, description="Main public IPv4 address of the server.")
    region: str | None = Field(
        default=None, description="Where the server stands: OVHcloud's region, for example eu-west-rbx."
    )
    operating_system: str | None = Field(default=None, description="Template that is installed, as OVHcloud names it.")
    reinstalled: str | None = Field(default=None, description="The last spec.reinstall.request that was carried out.")
    install_step: str | None = Field(
        default=None,
        description="What the running installation is doing, in OVHcloud's words, and which step of how many.",
    )
    install_step_since: Annotated[str, Field(max_length=32)] | None = Field(
        default=None, description="When the installation was first seen at that step (RFC 3339, UTC)."
    )
    host_key: Annotated[str, Field(max_length=512)] | None = Field(
        default=None,
        description="SSH host key of the server as known_hosts takes it, pinned after its reinstallation: nobody logs in where"
        " another one answers.",
    )
    host_key_trust: Literal["Proven", "FirstUse"] | None = Field(
        default=None,
        description="How the host key came to be known. Proven: the script at the end of the installation proved it. FirstUse:"
        " the template takes no script, so the first key that answered is believed.",
    )
    interfaces: list[InterfaceStatus] | None = Field(default=None, description="Network interfaces of the server.")
    power: PowerStatus | None = Field(
        default=None, description="Whether it has power. Absent: its cloud never stopped answering."
    )
    monitoring: bool | None = Field(
        default=None,
        description="OVHcloud's monitoring. true: it watches the server and sends a technician where that does not answer. false: it does not.",
    )


class BareMetalServer(Resource[BareMetalServerSpec, BareMetalServerStatus]):
    """One dedicated server: adopted by service name or tags, or ordered; its operating system on an explicit request, its
    private interface in the vRack. Its network facts are in status.

    An order waits for consent to its price, which status.plan shows; status.order says how far it is. Delivery may take days.

    It waits for its Secret and for the tasks of OVHcloud, which take minutes; a reinstallation is done once for each new
    word in spec.reinstall.request, and never as a correction of drift. One server has one object.

    Look with: kubectl get bms -o wide; kubectl describe bms NAME.

    Deleting the object takes the operator's tags off the server and leaves it as it is; with spec.deletionPolicy Delete it
    also leaves the vRack, and it is not renewed: it ends at its expiration.
    """

    crd: ClassVar[Crd] = Crd(
        kind="BareMetalServer",
        plural="baremetalservers",
        short_names=("bms",),
        columns=columns(
            Column(name="Address", json_path=".status.address"),
            Column(name="OS", json_path=".status.operatingSystem"),
            wide=(
                Column(name="Service", json_path=".status.serviceName"),
                Column(name="vRack", json_path=".spec.ovh.vrack"),
                Column(name="Region", json_path=".status.region"),
                Column(name="Power", json_path=".status.power.state"),
            ),
        ),
    )
    cel_rules: ClassVar[tuple[Rule, ...]] = (NAME_FITS_OUTSIDE,)
    default_deletion_policy: ClassVar[DeletionPolicy] = DeletionPolicy.RETAIN
