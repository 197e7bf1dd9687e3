"""What an OpenNebula consists of beside its stores: clusters, hosts and datastores, as a person declares them."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from sovereigncloud.api.common.base import WORDS, Model, OutsideName, Quantity, Rule
from sovereigncloud.api.common.rules import whole_mebibytes
from sovereigncloud.api.stores import Attribute, HostName

Driver = Annotated[
    str,
    Field(
        min_length=1,
        max_length=64,
        pattern=r"^[A-Za-z][-A-Za-z0-9_]*$",
        json_schema_extra={WORDS: "must be the name of a driver of OpenNebula, one word: for example kvm or ssh"},
    ),
]

ReservedMemory = Annotated[
    Quantity, Field(json_schema_extra={"x-kubernetes-validations": [whole_mebibytes("1Mi", "16Ti").as_validation()]})
]


class DatastoreType(StrEnum):
    IMAGE = "Image"
    SYSTEM = "System"
    FILE = "File"


class Reserved(Model):
    """What each host of a cluster keeps for itself."""

    cpu: Annotated[int, Field(ge=0, le=1024)] | None = Field(
        default=None, description="Processors of each host that machines do not get. Absent: as it is."
    )
    memory: ReservedMemory | None = Field(
        default=None,
        description="Memory of each host that machines do not get, in whole MiB, for example 8Gi. Absent: as it is.",
    )


class ClusterPart(Model):
    """A cluster of hosts."""

    name: OutsideName = Field(description="Name of the cluster in OpenNebula.")
    hosts: Annotated[list[OutsideName], Field(max_length=256)] | None = Field(
        default=None,
        description="Hosts that are in it, by their name in OpenNebula or, of a hosted cloud, by the name of their server."
        " Others that are in it stay. Absent: as it is.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    datastores: Annotated[list[OutsideName], Field(max_length=64)] | None = Field(
        default=None,
        description="Datastores that its hosts use, by name. Others that are in it stay. Absent: as it is.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    reserved: Reserved | None = Field(
        default=None, description="What each of its hosts keeps for itself. Absent: as it is."
    )


class HostPart(Model):
    """A host of an OpenNebula elsewhere, which a person prepared for it."""

    name: HostName = Field(description="Name or address of the host, by which the front-end reaches it.")
    cluster: OutsideName | None = Field(
        default=None, description="Cluster that it is in, by name. Absent: as it is; a new one begins in default."
    )
    vmm: Driver | None = Field(
        default=None, description="Driver that runs machines, kvm, qemu or lxc. Default: kvm. Cannot be changed."
    )
    im: Driver | None = Field(default=None, description="Driver that monitors it. Default: as vmm. Cannot be changed.")


class DatastorePart(Model):
    """A datastore for images, running machines or files."""

    name: OutsideName = Field(description="Name of the datastore in OpenNebula.")
    type: Literal[DatastoreType.IMAGE, DatastoreType.SYSTEM, DatastoreType.FILE] = Field(
        description="Image: of disks. System: disks of running machines. File: kernels and the like. Cannot be changed."
    )
    transfer: Driver = Field(
        description="Driver that brings disks to hosts (TM_MAD), for example ssh, shared, local or ceph. Cannot be changed."
    )
    driver: Driver | None = Field(
        default=None,
        description="Driver that keeps images (DS_MAD), for example fs or ceph; not of type System. Default: fs. Cannot be"
        " changed.",
    )
    clusters: Annotated[list[OutsideName], Field(min_length=1, max_length=64)] | None = Field(
        default=None,
        description="Clusters that use it, by name. It stays in others, too. Absent: as it is; a new one begins in default.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    attributes: dict[str, Attribute] | None = Field(
        default=None,
        description="Further attributes of its template in OpenNebula, for example BRIDGE_LIST. Others that it has stay."
        " Absent: none.",
        json_schema_extra={"maxProperties": 32},
    )

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.type == oldSelf.type && self.transfer == oldSelf.transfer && has(self.driver) == has(oldSelf.driver)"
            " && (!has(self.driver) || self.driver == oldSelf.driver)",
            "type, transfer and driver cannot be changed: what is in the datastore was laid out for them; remove it from the"
            " list and add another one under a name of its own",
        ),
        Rule(
            "self.type != 'System' || !has(self.driver)",
            "a datastore of type System keeps no images: remove driver",
            field=".driver",
        ),
    )
