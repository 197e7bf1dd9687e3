"""MachineImage: an image in one or several clouds."""

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
        description="Name of a marketplace appliance in the cloud, for example Ubuntu 24.04. Exactly one of marketplaceApp"
        " and url is set.",
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
        description="URL from which OpenNebula downloads the image. Exactly one of marketplaceApp and url is set.",
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
        description="Checksum of the file at url, for example sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709. OpenNebula"
        " verifies it after the download; an image with another checksum gets the state error. It detects"
        " damaged downloads, not forged ones. Absent: not verified; appliances are verified with the checksum of"
        " their marketplace.",
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
    """A cloud that gets the image, with the datastore there."""

    adopt: Adopt | None = Field(
        default=None,
        description="Adopts an existing image of this cloud: the operator marks it and waits for spec.approvedPlan before"
        " it changes existing differences. The image stays when this object is deleted, unless"
        " spec.deletionPolicy is Delete. Absent: the operator creates an image, or uses an unowned image with"
        " this name as it is.",
    )

    datastore: OutsideName | None = Field(
        default=None, description="Datastore for the image in this cloud. Absent: spec.datastore."
    )


class MachineImageSpec(Managed):
    """Desired image, by name, in each of the clouds."""

    cloud_refs: Annotated[list[ImageCloudRef], Field(min_length=1, max_length=32)] = Field(
        description="Clouds that get the image. When an entry is removed, the operator deletes the image in that cloud.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
    )
    source: ImageSource = Field(
        default=ImageSource(),
        description="Source of the image. After creation it can only be changed together with name: the operator creates"
        " the new version beside the old one and deletes the old one when no VM uses it. May be absent only if"
        " each entry of cloudRefs has adopt.",
    )
    datastore: OutsideName | None = Field(
        default=None,
        description="OpenNebula datastore for the image. Default: the datastore named default. An existing image is not"
        " moved: a change also needs a new name, as for source.",
    )
    description: Annotated[str, Field(max_length=1024)] | None = Field(
        default=None, description="Description of the image in OpenNebula. Absent: not changed."
    )
    persistent: bool | None = Field(
        default=None,
        description="Whether the image is persistent. true: one VM at a time works on the image itself. false: each VM gets"
        " a copy. It is only changed while no VM uses the image. Absent: not changed; a new image is not"
        " persistent.",
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
    id: str | None = Field(default=None, description="OpenNebula ID of the image, as oneimage shows it.")
    state: str | None = Field(default=None, description="OpenNebula state of the image, for example Ready or Locked.")
    datastore: str | None = Field(default=None, description="OpenNebula datastore of the image.")
    previous: list[str] | None = Field(
        default=None,
        description="Earlier versions that still exist: name, ID and users.",
    )


class MachineImageStatus(Status):
    clouds_ready: str | None = Field(
        default=None, description="Number of clouds that have the image, of all in spec.cloudRefs, for example 1/2."
    )
    clouds: list[ImageCloudStatus] | None = Field(default=None, description="State of the image in each cloud.")


class MachineImage(Resource[MachineImageSpec, MachineImageStatus]):
    """An image from a marketplace or a URL, in one or several clouds.

    Each cloud is handled independently: an unreachable cloud does not delay the others. An existing unowned image with
    this name is used as it is and never changed.

    To inspect it: kubectl get mimg -o wide; kubectl describe mimg NAME. The state in each cloud is in status.clouds.

    Deleting the object waits until no VM uses the image and then deletes it in all clouds, unless spec.deletionPolicy
    is Retain.
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
