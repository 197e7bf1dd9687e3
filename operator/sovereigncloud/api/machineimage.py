"""MachineImage: an image, wanted in one or many clouds."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from sovereigncloud.api.common.adoption import Adopt
from sovereigncloud.api.common.base import (
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
from sovereigncloud.api.common.rules import NAME_FITS_OUTSIDE, exactly_one


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
    checksum: (
        Annotated[
            str,
            Field(
                pattern=r"^(md5:[0-9a-f]{32}|sha1:[0-9a-f]{40})$",
                max_length=64,
                json_schema_extra={
                    WORDS: "must be md5: or sha1: and the sum in lower case hexadecimal digits: OpenNebula, which downloads"
                    " the image, checks no other sums, sha256 neither"
                },
            ),
        ]
        | None
    ) = Field(
        default=None,
        description="Sum of what url gives, for example sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709, which OpenNebula checks"
        " once it has downloaded it; an image of another sum is in error. It tells a damaged download, not a forged one."
        " Absent: nothing is checked, and an appliance is checked by the sum of its marketplace.",
    )

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        exactly_one(
            "marketplaceApp", "url", remedy="marketplaceApp for an appliance of a marketplace, url for a download"
        ),
        Rule(
            "!has(self.checksum) || has(self.url)",
            "checksum is that of a download: remove it, the marketplace has its own",
            field=".checksum",
        ),
    )


class ImageCloudRef(CloudRef):
    """A cloud that has the image, and where in it."""

    adopt: Adopt | None = Field(
        default=None,
        description="An image of this cloud that somebody made, to be managed from now on: it is marked, and what differed at"
        " that moment waits for spec.approvedPlan. It stays when this object goes, unless spec.deletionPolicy is Delete."
        " Absent: one is made, or one of this name that is nobody's is used as it is.",
    )

    datastore: OutsideName | None = Field(
        default=None, description="Datastore that holds the image in this cloud. Absent: spec.datastore."
    )


class MachineImageSpec(Managed):
    """An image by name, in each of the clouds."""

    cloud_refs: Annotated[list[ImageCloudRef], Field(min_length=1, max_length=32)] = Field(
        description="The clouds in which the image is wanted; a cloud taken off the list loses it again.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    source: ImageSource = Field(
        default=ImageSource(),
        description="Where the image comes from. Once a cloud has the image it is changed only together with name: the new version is made beside the old one,"
        " which goes once nothing uses it. May be absent only where each of cloudRefs has adopt.",
    )
    datastore: OutsideName | None = Field(
        default=None,
        description="Datastore of OpenNebula that holds the image. Default: the one called default. An image does not move:"
        " another datastore takes another name, too, as for source.",
    )
    description: Annotated[str, Field(max_length=1024)] | None = Field(
        default=None, description="What people read about the image in OpenNebula. Absent: as it is."
    )
    persistent: bool | None = Field(
        default=None,
        description="Whether it is persistent. true: one machine at a time works on the image itself. false: each machine gets a"
        " copy. Changed only while"
        " no machine uses it. Absent: as it is; a new one is not persistent.",
    )

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.source) || self.cloudRefs.all(ref, has(ref.adopt))",
            "source is needed: a marketplaceApp or a url to make the image from; or adopt in each of cloudRefs, with the id of one"
            " that is there",
        ),
    )


class ImageCloudStatus(Model):
    name: str | None = Field(default=None, description="Name of the SovereignCloud, as in spec.cloudRefs.")
    id: str | None = Field(default=None, description="Number of the image there, as oneimage shows it.")
    state: str | None = Field(
        default=None, description="What OpenNebula says of the image, for example Ready or Locked."
    )
    datastore: str | None = Field(default=None, description="Datastore that holds it there.")
    previous: list[str] | None = Field(
        default=None,
        description="Earlier versions that are still there: name, number, and who uses them.",
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
                Column(name="Compliant", json_path='.status.conditions[?(@.type=="Compliant")].status'),
            ),
        ),
    )
    cel_rules: ClassVar[tuple[Rule, ...]] = (
        NAME_FITS_OUTSIDE,
        Rule(
            "!has(oldSelf.spec.source) || has(self.spec.source) && self.spec.source == oldSelf.spec.source"
            " || has(self.spec.name) && (!has(oldSelf.spec.name) || self.spec.name != oldSelf.spec.name)"
            " || !has(oldSelf.status) || !has(oldSelf.status.cloudsReady) || oldSelf.status.cloudsReady.startsWith('0/')",
            "source cannot be changed alone once a cloud has the image: set another name, too (for example with the version),"
            " and the new image is made beside the old one, which goes once nothing uses it",
            field=".spec.source",
        ),
    )
    default_deletion_policy: ClassVar[DeletionPolicy] = DeletionPolicy.DELETE
