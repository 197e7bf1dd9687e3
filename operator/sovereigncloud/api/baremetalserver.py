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
    """OVHcloud dedicated server: by service name, selected by tags, or ordered."""

    endpoint: Literal["ovh-eu", "ovh-ca", "ovh-us"] = Field(
        description="OVHcloud API of the account's region. ovh-eu: Europe. ovh-ca: Canada. ovh-us: United States. Cannot be"
        " changed."
    )
    credentials_secret_ref: SecretRef = Field(
        description="Secret with the OVHcloud API credentials: the keys clientId and clientSecret of a service account, or"
        " applicationKey, applicationSecret and consumerKey."
    )
    vrack: Annotated[str, Field(min_length=1, max_length=64)] | None = Field(
        default=None,
        description="Private network (vRack) to attach the server's private interface to, for example pn-123456. Absent: not changed.",
    )
    move_from: Annotated[str, Field(min_length=1, max_length=64)] | None = Field(
        default=None,
        description="Permission to detach the private interface from this other vRack, for example pn-654321; anything that"
        " uses the interface there loses its connection. Absent: the operator only detaches it from a vRack of"
        " this installation.",
    )

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        *stays_the_same("make another BareMetalServer; deleting this one leaves the server as it is"),
        immutable("endpoint", "the server is known to that API only; make another BareMetalServer"),
    )


class BareMetalServerSpec(Managed):
    """Desired state of the server: provider, roles, reinstallation."""

    ovh: OvhServer | None = Field(
        default=None,
        description="Server of OVHcloud. It is the only provider now; others will be added as siblings of this field."
        " Exactly one provider is set.",
    )
    roles: Annotated[list[Literal[Role.FRONTEND, Role.NODE]], Field(max_length=2)] | None = Field(
        default=None,
        description="Roles of the server in its cloud. Frontend: it runs OpenNebula. Node: it runs VMs. Absent: unknown.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    reinstall: Reinstall | None = Field(
        default=None,
        description="One-time request to reinstall the operating system, which erases the disks. Absent: the server is"
        " never reinstalled.",
    )

    cel_rules: ClassVar[tuple[Rule, ...]] = (Rule("has(self.ovh)", "exactly one provider must be set: set ovh"),)


class InterfaceStatus(Model):
    uuid: str | None = Field(default=None, description="Identifier of the virtual network interface at OVHcloud.")
    mode: str | None = Field(
        default=None, description="Network type: public, vrack, public_aggregation or vrack_aggregation."
    )
    vrack: str | None = Field(default=None, description="Private network (vRack) that the interface is attached to.")
    macs: list[str] | None = Field(default=None, description="MAC addresses of the NICs behind the interface.")


class PowerStatus(Model):
    """Power state of the server as its provider reports it during an outage of its cloud."""

    state: Literal["On", "Off"] | None = Field(
        default=None,
        description="Power state as OVHcloud reports it. On: the server is powered on and its VMs may run. Off: it is"
        " powered off.",
    )
    seen_at: Annotated[str, Field(max_length=32)] | None = Field(
        default=None,
        description="Time when this state was first seen during the outage (RFC 3339, UTC). It is not polled while the"
        " cloud answers.",
    )
    fenced: Annotated[str, Field(max_length=32)] | None = Field(
        default=None,
        description="Outage for which the operator powers off the server; it stays off until spec.hosted.fencing.startAgain"
        " of its cloud names that outage.",
    )


class BareMetalServerStatus(Status):
    service_name: str | None = Field(
        default=None,
        description="OVHcloud service name of the server: as declared, selected by tags, or delivered.",
    )
    order: OrderStatus | None = Field(default=None, description="Progress of the order, if the server is ordered.")
    address: str | None = Field(default=None, description="Main public IPv4 address of the server.")
    region: str | None = Field(default=None, description="OVHcloud region of the server, for example eu-west-rbx.")
    operating_system: str | None = Field(
        default=None, description="OVHcloud name of the installed operating system template."
    )
    reinstalled: str | None = Field(default=None, description="Last executed value of spec.reinstall.request.")
    install_step: str | None = Field(
        default=None,
        description="Current installation step as OVHcloud names it, with its position and the number of steps.",
    )
    install_step_since: Annotated[str, Field(max_length=32)] | None = Field(
        default=None, description="Time when the installation was first seen in that step (RFC 3339, UTC)."
    )
    host_key: Annotated[str, Field(max_length=512)] | None = Field(
        default=None,
        description="SSH host key of the server in known_hosts format, pinned after its reinstallation; the operator"
        " refuses a connection to a server with another key.",
    )
    host_key_trust: Literal["Proven", "FirstUse"] | None = Field(
        default=None,
        description="How the host key was verified. Proven: the post-installation script reported it. FirstUse: the"
        " template supports no script, so the first key that the server offered is trusted.",
    )
    interfaces: list[InterfaceStatus] | None = Field(default=None, description="Network interfaces of the server.")
    power: PowerStatus | None = Field(
        default=None, description="Power state during an outage. Absent: the cloud of the server was never unreachable."
    )
    monitoring: bool | None = Field(
        default=None,
        description="OVHcloud monitoring. true: OVHcloud monitors the server and sends a technician when it does not"
        " answer. false: it does not.",
    )


class BareMetalServer(Resource[BareMetalServerSpec, BareMetalServerStatus]):
    """One dedicated server: adopted by service name or tags, or ordered; with its vRack attachment and, on explicit
    request, the reinstallation of its operating system. Its network facts are in status.

    An order waits until spec approves its price, which status.plan shows; status.order shows its progress. Delivery
    can take days.

    The operator waits for the Secret and for OVHcloud tasks, which take minutes. It reinstalls the server once for
    each new spec.reinstall.request and never to correct drift. Only one object may refer to a server.

    To inspect it: kubectl get bms -o wide; kubectl describe bms NAME.

    Deleting the object removes the operator's tags from the server and leaves the server as it is. With
    spec.deletionPolicy Delete the operator also removes the server from the vRack and disables its renewal: it ends at
    its expiration date.
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
