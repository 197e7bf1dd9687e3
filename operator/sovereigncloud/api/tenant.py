"""Tenant: namespaces that may use clouds of the platform, within quotas. Written by the platform."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import Field

from sovereigncloud.api.common.base import (
    WORDS,
    Column,
    Crd,
    DeletionPolicy,
    Managed,
    Model,
    Name,
    OutsideName,
    Quantity,
    Resource,
    Rule,
    Status,
    columns,
)
from sovereigncloud.api.common.rules import NAME_FITS_OUTSIDE, checked, whole_mebibytes

NAMESPACES, CLOUDS = 32, 8
_COUNT = Field(ge=0, le=1_000_000)
_MEBIBYTES = checked(whole_mebibytes("1Mi", "1024Ti"))


def _map_by_name() -> dict[str, Any]:
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}


class TenantCloudRef(Model):
    """A SovereignCloud, by its name and namespace: a Tenant is in none itself."""

    name: Name = Field(description="Name of the SovereignCloud, its metadata.name.")
    namespace: Name = Field(description="Where the SovereignCloud object is, its metadata.namespace.")


class NetworkQuota(Model):
    """How many addresses of a network may be in use."""

    name: OutsideName = Field(description="A network of the cloud, by its name in OpenNebula.")
    leases: Annotated[int, _COUNT] = Field(description="Number of addresses that may be leased at most.")


class ImageQuota(Model):
    """How many machines may use an image."""

    name: OutsideName = Field(description="An image of the cloud, by its name in OpenNebula.")
    vms: Annotated[int, _COUNT] = Field(
        description="Number of machines that may be made from it, or have it attached, at most."
    )


class DatastoreQuota(Model):
    """How much of a datastore the images of the tenant's own may take."""

    name: OutsideName = Field(description="A datastore of the cloud, by its name in OpenNebula.")
    images: Annotated[int, _COUNT] | None = Field(
        default=None, description="Number of images that may be in it at most. Absent: as many as fit."
    )
    size: Quantity | None = Field(
        default=None,
        description="What they may take in whole MiB together, for example 500Gi. Absent: as much as fits.",
        json_schema_extra=_MEBIBYTES,
    )


class TenantQuota(Model):
    """Limits of everything that the tenant has in one cloud, all its namespaces together."""

    vms: Annotated[int, _COUNT] | None = Field(
        default=None, description="Number of machines at most. Absent: not limited here."
    )
    cpu: Quantity | None = Field(
        default=None,
        description='Processors of hosts at most, the sum of spec.cpu of all machines, for example "40". Absent: not limited'
        " here.",
    )
    memory: Quantity | None = Field(
        default=None,
        description="Memory of all machines at most, in whole MiB, for example 128Gi. Absent: not limited here.",
        json_schema_extra=_MEBIBYTES,
    )
    system_disk: Quantity | None = Field(
        default=None,
        description="What the disks of all machines may take on the hosts, in whole MiB, for example 2Ti. Absent: not limited"
        " here.",
        json_schema_extra=_MEBIBYTES,
    )
    networks: Annotated[list[NetworkQuota], Field(max_length=32)] | None = Field(
        default=None,
        description="Networks with a limit of their own. Absent: none has one.",
        json_schema_extra=_map_by_name(),
    )
    images: Annotated[list[ImageQuota], Field(max_length=32)] | None = Field(
        default=None,
        description="Images with a limit of their own. Absent: none has one.",
        json_schema_extra=_map_by_name(),
    )
    datastores: Annotated[list[DatastoreQuota], Field(max_length=16)] | None = Field(
        default=None,
        description="Datastores with a limit of their own. Absent: none has one.",
        json_schema_extra=_map_by_name(),
    )


class TenantCloud(Model):
    """A cloud that the tenant may use, and how much of it."""

    cloud_ref: TenantCloudRef = Field(description="The SovereignCloud that it may use, in whichever namespace.")
    quota: TenantQuota | None = Field(
        default=None,
        description="Limits in this cloud. Absent: none is set. A limit that is taken out again stays as it was set.",
    )
    clusters: Annotated[list[OutsideName], Field(min_length=1, max_length=32)] | None = Field(
        default=None,
        description="The clusters of the cloud that it may use, with their hosts, networks and datastores, by their names in"
        " OpenNebula. Absent: all of them, those that come later too.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )


class ExternalUser(Model):
    """A person who logs in to Sunstone with an account that is kept elsewhere. No password is stored."""

    name: OutsideName = Field(description="Name of the user in OpenNebula, as the driver gives it.")
    driver: Annotated[
        str,
        Field(
            pattern=r"^[a-z0-9][a-z0-9_-]*$",
            max_length=32,
            json_schema_extra={
                WORDS: "must be the name of an authentication driver of OpenNebula: saml, ldap, x509 or another"
            },
        ),
    ] = Field(description="Authentication driver of OpenNebula: saml, ldap, x509 or another that the cloud has.")
    subject: Annotated[str, Field(min_length=1, max_length=512)] | None = Field(
        default=None,
        description="What the driver knows the person by where that is not the name: with x509 the distinguished name of the"
        " certificate. Absent: the name.",
    )


class TenantSpec(Managed):
    """Which namespaces may use which clouds, and how much of them."""

    namespaces: Annotated[list[Name], Field(min_length=1, max_length=NAMESPACES)] = Field(
        description="The namespaces of the tenant. Each gets a user of its own in each cloud. One that is taken off keeps it"
        " until it has nothing there any more.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    clouds: Annotated[list[TenantCloud], Field(min_length=1, max_length=CLOUDS)] = Field(
        description="The clouds that these namespaces may use, each once. One that is taken off is left once nothing of the"
        " tenant is in it any more."
    )
    external_users: Annotated[list[ExternalUser], Field(max_length=64)] | None = Field(
        default=None,
        description="People who may look after the tenant's machines in Sunstone, in each of the clouds. Absent: nobody.",
        json_schema_extra=_map_by_name(),
    )


class TenantUserStatus(Model):
    namespace: str | None = Field(default=None, description="The namespace whose objects it makes.")
    id: str | None = Field(default=None, description="Number of the user in OpenNebula, as oneuser shows it.")


class TenantCloudStatus(Model):
    name: str | None = Field(default=None, description="The SovereignCloud that this entry is about.")
    namespace: str | None = Field(default=None, description="Where that SovereignCloud object is.")
    group: str | None = Field(default=None, description="Number of the group in OpenNebula, as onegroup shows it.")
    vdc: str | None = Field(default=None, description="Number of the virtual data centre, as onevdc shows it.")
    users: list[TenantUserStatus] | None = Field(default=None, description="The users that were made there.")
    ready: bool | None = Field(
        default=None,
        description="Whether it is finished. true: everything there is as declared. false: something is missing or differs.",
    )


class TenantStatus(Status):
    clouds_ready: str | None = Field(
        default=None,
        description="Clouds in which everything is as declared, of those that are listed, for example 1/2.",
    )
    clouds: list[TenantCloudStatus] | None = Field(default=None, description="What was made in each of the clouds.")


class Tenant(Resource[TenantSpec, TenantStatus]):
    """Namespaces that may use clouds of other namespaces, within quotas: self-service, written by the platform.

    In each cloud the tenant is a group with a quota, in a virtual data centre of its own over the clusters that it may use, and
    out of the default one. Each namespace has a user in that group, by whom its objects are made, so that OpenNebula itself
    keeps to quota and rights. The user's password is made once and stands in a Secret of the operator's namespace.

    Images of MachineImages in the clouds may be used by the tenant; networks, as far as they are in its clusters.

    Look with: kubectl get tnt -o wide; kubectl describe tnt NAME. What each cloud has is in status.clouds.

    Deleting the object waits until nothing of its namespaces is in its clouds, then users, group and virtual data centre go,
    unless spec.deletionPolicy is Retain.
    """

    crd: ClassVar[Crd] = Crd(
        kind="Tenant",
        plural="tenants",
        short_names=("tnt",),
        namespaced=False,
        columns=columns(Column(name="Clouds", json_path=".status.cloudsReady")),
    )
    cel_rules: ClassVar[tuple[Rule, ...]] = (NAME_FITS_OUTSIDE,)
    default_deletion_policy: ClassVar[DeletionPolicy] = DeletionPolicy.DELETE
