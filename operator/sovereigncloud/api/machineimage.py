"""MachineImage: an image, wanted in one or many clouds."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from sovereigncloud.api.base import (
    WORDS,
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
    columns,
)
from sovereigncloud.api.rules import NAME_FITS_OUTSIDE, exactly_one, immutable


class ImageSource(Model):
    """Exactly one of marketplaceApp and url."""

    marketplace_app: OutsideName | None = Field(
        default=None,
        description="Name of an appliance in a marketplace of the cloud, for example Ubuntu 24.04. Exactly one of"
        " marketplaceApp and url is set.",
    )
    url: (
        Annotated[
            str,
            Field(
                pattern=r"^https?://.+$",
                max_length=2048,
                json_schema_extra={
                    WORDS: "must be an http or https address: for example https://images.example.fr/debian.qcow2"
                },
            ),
        ]
        | None
    ) = Field(
        default=None,
        description="Address that OpenNebula downloads the image from. Exactly one of marketplaceApp and url is set.",
    )

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        exactly_one(
            "marketplaceApp", "url", remedy="marketplaceApp for an appliance of a marketplace, url for a download"
        ),
    )


class MachineImageSpec(Managed):
    """An image by name, in each of the clouds."""

    cloud_refs: Annotated[list[CloudRef], Field(min_length=1, max_length=32)] = Field(
        description="The clouds in which the image is wanted; a cloud taken off the list loses it again.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    source: ImageSource = Field(
        description="Where the image comes from. Cannot be changed: a new version is a new MachineImage."
    )
    datastore: OutsideName | None = Field(
        default=None, description="Datastore of OpenNebula that holds the image. Default: the one called default."
    )

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        immutable("source", "a new version of an image is a new MachineImage of another name"),
    )


class ImageCloudStatus(Model):
    name: str | None = Field(default=None, description="Name of the SovereignCloud, as in spec.cloudRefs.")
    id: str | None = Field(default=None, description="Number of the image there, as oneimage shows it.")
    state: str | None = Field(
        default=None, description="What OpenNebula says of the image, for example Ready or Locked."
    )


class MachineImageStatus(Status):
    clouds_ready: str | None = Field(
        default=None, description="Clouds that have it, of those that want it, for example 1/2."
    )
    clouds: list[ImageCloudStatus] | None = Field(default=None, description="The image in each of the clouds.")


class MachineImage(Resource[MachineImageSpec, MachineImageStatus]):
    """An image from a marketplace or a URL, wanted in one or many clouds.

    It waits for each of its clouds by itself: one that does not answer does not hold up the others. An image of that name
    that stands there already and belongs to nobody is used as it is, and never changed.

    Look with: kubectl get mimg -o wide; kubectl describe mimg NAME. What each cloud has is in status.clouds.

    Deleting the object waits until no machine uses the image and then deletes it everywhere, unless spec.deletionPolicy is
    Retain.
    """

    crd: ClassVar[Crd] = Crd(
        kind="MachineImage",
        plural="machineimages",
        short_names=("mimg",),
        columns=columns(
            Column(name="Clouds", json_path=".status.cloudsReady"),
            wide=(
                Column(name="App", json_path=".spec.source.marketplaceApp"),
                Column(name="URL", json_path=".spec.source.url"),
            ),
        ),
    )
    cel_rules: ClassVar[tuple[Rule, ...]] = (NAME_FITS_OUTSIDE,)
    default_deletion_policy: ClassVar[DeletionPolicy] = DeletionPolicy.DELETE
