"""MachineImage: an image, wanted in one or many clouds."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from sovereigncloud.api.base import (
    CloudRef,
    Column,
    Crd,
    DeletionPolicy,
    Managed,
    Model,
    OutsideName,
    Resource,
    Rule,
    Status,
)
from sovereigncloud.api.rules import NAME_FITS_OUTSIDE, exactly_one, immutable


class ImageSource(Model):
    """Exactly one of marketplaceApp and url."""

    marketplace_app: OutsideName | None = Field(
        default=None, description="Name of an appliance in a marketplace of the cloud, for example Ubuntu 24.04."
    )
    url: Annotated[str, Field(pattern=r"^https?://.+$", max_length=2048)] | None = Field(
        default=None, description="Where OpenNebula downloads it from."
    )

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        exactly_one(
            "marketplaceApp", "url", remedy="marketplaceApp for an appliance of a marketplace, url for a download"
        ),
    )


class MachineImageSpec(Managed):
    """An image by name, in each of the clouds."""

    cloud_refs: Annotated[list[CloudRef], Field(min_length=1, max_length=32)] = Field(
        description="The clouds that it is wanted in.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    source: ImageSource = Field(description="Where it comes from. Cannot be changed: a new version is a new name.")
    datastore: OutsideName | None = Field(default=None, description="Image datastore. Default: default.")

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        immutable("source", "a new version of an image is a new MachineImage of another name"),
    )


class ImageCloudStatus(Model):
    name: str | None = Field(default=None, description="The SovereignCloud.")
    id: str | None = Field(default=None, description="Id of the image there.")
    state: str | None = Field(default=None, description="Its state in words.")


class MachineImageStatus(Status):
    clouds_ready: str | None = Field(default=None, description="Clouds where it is ready, for example 1/2.")
    clouds: list[ImageCloudStatus] | None = Field(default=None, description="The image in each cloud.")


class MachineImage(Resource[MachineImageSpec, MachineImageStatus]):
    """An image from a marketplace or a URL, wanted in one or many clouds."""

    crd: ClassVar[Crd] = Crd(
        kind="MachineImage",
        plural="machineimages",
        short_names=("mimg",),
        columns=(
            Column(name="Ready", json_path='.status.conditions[?(@.type=="Ready")].status'),
            Column(name="Reason", json_path='.status.conditions[?(@.type=="Ready")].reason'),
            Column(name="Clouds", json_path=".status.cloudsReady"),
            Column(name="Drift", json_path=".status.driftCount", type="integer"),
            Column(name="Age", json_path=".metadata.creationTimestamp", type="date"),
            Column(name="Message", json_path='.status.conditions[?(@.type=="Ready")].message', priority=1),
        ),
    )
    cel_rules: ClassVar[tuple[Rule, ...]] = (NAME_FITS_OUTSIDE,)
    default_deletion_policy: ClassVar[DeletionPolicy] = DeletionPolicy.DELETE
