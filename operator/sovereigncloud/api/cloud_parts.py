"""Declared parts of an OpenNebula other than stores: clusters, hosts and datastores."""

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
    """Capacity that is reserved on each host of a cluster."""

    cpu: Annotated[int, Field(ge=0, le=1024)] | None = Field(
        default=None, description="Number of processors per host that are not available to VMs. Absent: not changed."
    )
    memory: ReservedMemory | None = Field(
        default=None,
        description="Memory per host that is not available to VMs, in whole MiB, for example 8Gi. Absent: not changed.",
    )


class ClusterPart(Model):
    """An OpenNebula cluster of hosts."""

    name: OutsideName = Field(description="Name of the cluster in OpenNebula.")
    hosts: Annotated[list[OutsideName], Field(max_length=256)] | None = Field(
        default=None,
        description="Hosts of the cluster, by OpenNebula name or, in a hosted cloud, by server name. Hosts that are not"
        " listed stay in the cluster. Absent: membership is not changed.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    datastores: Annotated[list[OutsideName], Field(max_length=64)] | None = Field(
        default=None,
        description="Names of the datastores of the cluster. Datastores that are not listed stay in the cluster. Absent:"
        " membership is not changed.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    reserved: Reserved | None = Field(
        default=None, description="Capacity that is reserved on each host of the cluster. Absent: not changed."
    )


class HostPart(Model):
    """A host of an existing OpenNebula, prepared by an administrator."""

    name: HostName = Field(description="DNS name or address with which the front-end reaches the host.")
    cluster: OutsideName | None = Field(
        default=None,
        description="Name of the host's cluster. Absent: not changed; a new host joins the cluster named default.",
    )
    vmm: Driver | None = Field(
        default=None, description="Virtualization driver: kvm, qemu or lxc. Default: kvm. Cannot be changed."
    )
    im: Driver | None = Field(
        default=None, description="Monitoring driver. Default: the value of vmm. Cannot be changed."
    )


class DatastorePart(Model):
    """A datastore for images, running VMs or files."""

    name: OutsideName = Field(description="Name of the datastore in OpenNebula.")
    type: Literal[DatastoreType.IMAGE, DatastoreType.SYSTEM, DatastoreType.FILE] = Field(
        description="Image: disk images. System: disks of running VMs. File: kernels and other files. Cannot be changed."
    )
    transfer: Driver = Field(
        description="Transfer driver (TM_MAD), for example ssh, shared, local or ceph. Cannot be changed."
    )
    driver: Driver | None = Field(
        default=None,
        description="Datastore driver (DS_MAD), for example fs or ceph; not for the type System. Default: fs. Cannot be"
        " changed.",
    )
    clusters: Annotated[list[OutsideName], Field(min_length=1, max_length=64)] | None = Field(
        default=None,
        description="Names of clusters that use the datastore. It stays in clusters that are not listed. Absent: not"
        " changed; a new datastore joins the cluster named default.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    attributes: dict[str, Attribute] | None = Field(
        default=None,
        description="Additional OpenNebula template attributes, for example BRIDGE_LIST. Attributes that are not listed are"
        " not changed. Absent: none.",
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
