"""Where a cloud is: what a person declares of an existing one, and what status says of each part."""

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
    """A ProviderProfile, which belongs to no namespace."""

    name: Name = Field(description="Name of the ProviderProfile, which is in no namespace.")


class ClusterLocation(Model):
    """Where the hosts of one cluster stand."""

    name: OutsideName = Field(description="Name of the cluster in OpenNebula.")
    datacenter: OutsideName = Field(
        description="Data centre that all of its hosts are in, by its name in the ProviderProfile."
    )


class ExistingLocation(Model):
    """Where an OpenNebula elsewhere is: names of data centres, whose countries the ProviderProfile says."""

    datacenter: OutsideName = Field(
        description="Data centre of the front-end and of every cluster that clusters does not name, by its name in the"
        " ProviderProfile, for example PARIS-1."
    )
    clusters: Annotated[list[ClusterLocation], Field(max_length=64)] | None = Field(
        default=None,
        description="Clusters that are in other data centres. Absent: none is.",
        json_schema_extra=_BY_NAME,
    )


class LocationStatus(Model):
    """A part of the cloud, where it is, and how that is known."""

    name: _Text = Field(description="Which part: for example cluster/default/RBX or store/backups.")
    covers: Annotated[list[Annotated[str, Field(max_length=32)]], Field(max_length=8)] | None = Field(
        default=None, description="What is there: compute, storage, images, backups, controlPlane."
    )
    cluster: Annotated[str, Field(max_length=256)] | None = Field(
        default=None, description="The OpenNebula cluster, where the part belongs to one."
    )
    datacenter: Annotated[str, Field(max_length=256)] | None = Field(
        default=None, description="The data centre, for example RBX. Absent: nobody says."
    )
    country: Annotated[str, Field(max_length=2)] | None = Field(
        default=None, description="Country by its code of two letters, for example FR. Absent: nobody knows."
    )
    grade: Literal["None", "Declared", "Attested", "Observed"] | None = Field(
        default=None,
        description="How good the knowledge is. Observed: the provider's API says so of these very machines. Attested: a"
        " document of a third party says so. Declared: somebody typed it. None: nobody knows.",
    )
    source: _Text | None = Field(
        default=None,
        description="Who says so, for example OVHcloud region eu-west-rbx of server ns3012346; or why nobody does.",
    )
    since: Annotated[str, Field(max_length=32)] | None = Field(
        default=None, description="When it was first seen there (RFC 3339, UTC)."
    )
    hosts: Annotated[list[_Text], Field(max_length=MAX_MEMBERS)] | None = Field(
        default=None,
        description="Hosts that are there, by their names in OpenNebula. Absent: all of the cluster.",
    )
    datastores: Annotated[list[_Text], Field(max_length=MAX_MEMBERS)] | None = Field(
        default=None, description="Datastores that lie there, by their names in OpenNebula."
    )
