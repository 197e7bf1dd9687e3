"""Tenant: namespaces that may use clouds of the platform, within quotas."""

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
    """Reference to a SovereignCloud by name and namespace; a Tenant is cluster-scoped."""

    name: Name = Field(description="The metadata.name of the SovereignCloud object.")
    namespace: Name = Field(description="The metadata.namespace of the SovereignCloud object.")


class NetworkQuota(Model):
    """Quota of leased addresses in a network."""

    name: OutsideName = Field(description="OpenNebula name of the network.")
    leases: Annotated[int, _COUNT] = Field(description="Maximum number of leased addresses.")


class ImageQuota(Model):
    """Quota of VMs that use an image."""

    name: OutsideName = Field(description="OpenNebula name of the image.")
    vms: Annotated[int, _COUNT] = Field(description="Maximum number of VMs that use the image.")


class DatastoreQuota(Model):
    """Quota of the tenant's own images in a datastore."""

    name: OutsideName = Field(description="OpenNebula name of the datastore.")
    images: Annotated[int, _COUNT] | None = Field(
        default=None, description="Maximum number of images in the datastore. Absent: not limited here."
    )
    size: Quantity | None = Field(
        default=None,
        description="Maximum total size of these images, in whole MiB, for example 500Gi. Absent: not limited here.",
        json_schema_extra=_MEBIBYTES,
    )


class TenantQuota(Model):
    """Quota of the tenant in one cloud, for all its namespaces together."""

    vms: Annotated[int, _COUNT] | None = Field(
        default=None, description="Maximum number of VMs. Absent: not limited here."
    )
    cpu: Quantity | None = Field(
        default=None,
        description='Maximum sum of spec.cpu of all VMs, in processors, for example "40". Absent: not limited here.',
    )
    memory: Quantity | None = Field(
        default=None,
        description="Maximum memory of all VMs, in whole MiB, for example 128Gi. Absent: not limited here.",
        json_schema_extra=_MEBIBYTES,
    )
    system_disk: Quantity | None = Field(
        default=None,
        description="Maximum size of all VM disks on the hosts, in whole MiB, for example 2Ti. Absent: not limited here.",
        json_schema_extra=_MEBIBYTES,
    )
    networks: Annotated[list[NetworkQuota], Field(max_length=32)] | None = Field(
        default=None,
        description="Quotas per network. Absent: none.",
        json_schema_extra=_map_by_name(),
    )
    images: Annotated[list[ImageQuota], Field(max_length=32)] | None = Field(
        default=None,
        description="Quotas per image. Absent: none.",
        json_schema_extra=_map_by_name(),
    )
    datastores: Annotated[list[DatastoreQuota], Field(max_length=16)] | None = Field(
        default=None,
        description="Quotas per datastore. Absent: none.",
        json_schema_extra=_map_by_name(),
    )


class TenantCloud(Model):
    """A cloud that the tenant may use, with its quota."""

    cloud_ref: TenantCloudRef = Field(description="SovereignCloud that the tenant may use, in any namespace.")
    quota: TenantQuota | None = Field(
        default=None,
        description="Quota in this cloud. Absent: no limits. A limit that is removed later keeps its last value in"
        " OpenNebula.",
    )
    clusters: Annotated[list[OutsideName], Field(min_length=1, max_length=32)] | None = Field(
        default=None,
        description="OpenNebula names of the clusters that the tenant may use, with their hosts, networks and datastores."
        " Absent: all clusters, including new ones.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )


class ExternalUser(Model):
    """A Sunstone user with external authentication. No password is stored."""

    name: OutsideName = Field(description="OpenNebula user name, as the authentication driver provides it.")
    driver: Annotated[
        str,
        Field(
            pattern=r"^[a-z0-9][a-z0-9_-]*$",
            max_length=32,
            json_schema_extra={
                WORDS: "must be the name of an authentication driver of OpenNebula: saml, ldap, x509 or another"
            },
        ),
    ] = Field(description="OpenNebula authentication driver: saml, ldap, x509 or another one of the cloud.")
    subject: Annotated[str, Field(min_length=1, max_length=512)] | None = Field(
        default=None,
        description="Identity of the user for the driver, if it differs from name; for x509 the distinguished name of the"
        " certificate. Absent: name.",
    )


class TenantSpec(Managed):
    """Namespaces of the tenant, the clouds that they may use, and quotas."""

    namespaces: Annotated[list[Name], Field(min_length=1, max_length=NAMESPACES)] = Field(
        description="Namespaces of the tenant. The operator creates an OpenNebula user for each namespace in each cloud."
        " When an entry is removed, the user stays until the namespace has no resources there.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    clouds: Annotated[list[TenantCloud], Field(min_length=1, max_length=CLOUDS)] = Field(
        description="Clouds that these namespaces may use. When an entry is removed, the operator removes the tenant from"
        " the cloud after all its resources there are gone."
    )
    external_users: Annotated[list[ExternalUser], Field(max_length=64)] | None = Field(
        default=None,
        description="Users with external authentication who may manage the tenant's VMs in Sunstone, in each cloud. Absent:"
        " none.",
        json_schema_extra=_map_by_name(),
    )


class TenantUserStatus(Model):
    namespace: str | None = Field(default=None, description="Namespace whose resources this user owns.")
    id: str | None = Field(default=None, description="OpenNebula ID of the user, as oneuser shows it.")


class TenantCloudStatus(Model):
    name: str | None = Field(default=None, description="The metadata.name of the SovereignCloud.")
    namespace: str | None = Field(default=None, description="The metadata.namespace of that SovereignCloud.")
    group: str | None = Field(default=None, description="OpenNebula ID of the group, as onegroup shows it.")
    vdc: str | None = Field(
        default=None, description="OpenNebula ID of the virtual data centre (VDC), as onevdc shows it."
    )
    users: list[TenantUserStatus] | None = Field(
        default=None, description="OpenNebula users that the operator created in this cloud."
    )
    ready: bool | None = Field(
        default=None,
        description="Whether this cloud is set up. true: everything is as declared. false: something is missing or differs.",
    )


class TenantStatus(Status):
    clouds_ready: str | None = Field(
        default=None,
        description="Number of clouds where everything is as declared, of all listed clouds, for example 1/2.",
    )
    clouds: list[TenantCloudStatus] | None = Field(default=None, description="Resources of the tenant in each cloud.")


class Tenant(Resource[TenantSpec, TenantStatus]):
    """Namespaces that may use clouds of other namespaces, within quotas: self-service that a platform team sets up.

    In each cloud the operator creates a group with a quota, in its own virtual data centre (VDC) over the allowed
    clusters and outside the default VDC. Each namespace gets a user in that group, which creates its resources, so
    that OpenNebula itself enforces quota and permissions. The user's password is generated once and stored in a Secret
    of the operator's namespace.

    The tenant may use images of MachineImages in its clouds, and networks in its clusters.

    To inspect it: kubectl get tnt -o wide; kubectl describe tnt NAME. The resources in each cloud are in
    status.clouds.

    Deleting the object waits until its namespaces have no resources in its clouds, then deletes users, group and VDC,
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
