"""Locations of a cloud: declared for an existing cloud, and reported in status per part."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from sovereigncloud.api.common.base import Model, Name, OutsideName

_BY_NAME: dict[str, JsonValue] = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
MAX_LOCATIONS = 128
MAX_MEMBERS = 512
"""Hosts, and datastores, that one entry names."""

_Text = Annotated[str, Field(max_length=512)]


class ProviderRef(Model):
    """Reference to a cluster-scoped ProviderProfile."""

    name: Name = Field(description="Name of the cluster-scoped ProviderProfile object.")


class ClusterLocation(Model):
    """Data centre of the hosts of one cluster."""

    name: OutsideName = Field(description="Name of the cluster in OpenNebula.")
    datacenter: OutsideName = Field(
        description="Data centre of all hosts of the cluster, by its name in the ProviderProfile."
    )


class ExistingLocation(Model):
    """Location of an existing OpenNebula as data centres of its ProviderProfile."""

    datacenter: OutsideName = Field(
        description="Data centre of the front-end and of all clusters that are not listed in clusters, by its name in the"
        " ProviderProfile, for example PARIS-1."
    )
    clusters: Annotated[list[ClusterLocation], Field(max_length=64)] | None = Field(
        default=None,
        description="Clusters in other data centres. Absent: none.",
        json_schema_extra=_BY_NAME,
    )


class LocationStatus(Model):
    """Location of one part of the cloud, with its evidence."""

    name: _Text = Field(description="Name of the part, for example cluster/default/RBX or store/backups.")
    covers: Annotated[list[Annotated[str, Field(max_length=32)]], Field(max_length=8)] | None = Field(
        default=None,
        description="Types of resources at this location: compute, storage, images, backups, controlPlane.",
    )
    cluster: Annotated[str, Field(max_length=256)] | None = Field(
        default=None, description="OpenNebula cluster of the part, if it belongs to one."
    )
    datacenter: Annotated[str, Field(max_length=256)] | None = Field(
        default=None, description="Data centre, for example RBX. Absent: unknown."
    )
    country: Annotated[str, Field(max_length=2)] | None = Field(
        default=None, description="ISO 3166-1 country code, for example FR. Absent: unknown."
    )
    grade: Literal["None", "Declared", "Attested", "Observed"] | None = Field(
        default=None,
        description="Grade of the evidence. Observed: the provider's API reports it for these servers. Attested: a third"
        " party's document confirms it. Declared: a user declared it. None: no evidence.",
    )
    source: _Text | None = Field(
        default=None,
        description="Source of the fact, for example OVHcloud region eu-west-rbx of server ns3012346; or why it is unknown.",
    )
    since: Annotated[str, Field(max_length=32)] | None = Field(
        default=None, description="Time of the first observation at this location (RFC 3339, UTC)."
    )
    hosts: Annotated[list[_Text], Field(max_length=MAX_MEMBERS)] | None = Field(
        default=None,
        description="OpenNebula names of the hosts at this location. Absent: all hosts of the cluster.",
    )
    datastores: Annotated[list[_Text], Field(max_length=MAX_MEMBERS)] | None = Field(
        default=None, description="OpenNebula names of the datastores at this location."
    )
