"""Versions of an image: another source under another name is made beside the one before, which goes once nothing uses it.

Each image is noted which version of spec it was made for. Without that note, and under a name that spec still says, it is the
version at hand: a name alone is changed in place.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.api.machineimage import MachineImage
from sovereigncloud.core.identity import ONE_ADOPTED, Mark, Ownership, ownership
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.ports.opennebula.image_states import DELETING
from sovereigncloud.ports.opennebula.views import CloudView, Image

VERSION_NOTE = "SOVEREIGNCLOUD_VERSION"
DEFAULT_DATASTORE = "default"


@dataclass(frozen=True, slots=True)
class Earlier:
    """A version before, and who uses it. `inherited`: from before the cluster was rebuilt, whose instances may not all be
    back yet: it goes only with the object.
    """

    image: Image
    users: tuple[str, ...] = ()
    inherited: bool = False


def version_of(resource: MachineImage) -> str:
    """Names the source that spec says."""
    source = resource.spec.source.model_dump(mode="json", by_alias=True, exclude_none=True)
    return hashlib.sha256(json.dumps(source, sort_keys=True).encode()).hexdigest()[:12]


def declared_datastore(resource: MachineImage, cloud: Key) -> str | None:
    """The datastore that spec says for a cloud; None: it says none."""
    refs = (r for r in resource.spec.cloud_refs if r.name == cloud.name)
    here = next((r.datastore for r in refs), None)
    return here or resource.spec.datastore


def earlier_versions(
    resource: MachineImage, cloud: Key, view: CloudView, owner: int, mark: Mark
) -> Mapping[int, Image]:
    """Images that were made for this object when it said another source, or another datastore, under another name."""
    wanted, where = version_of(resource), declared_datastore(resource, cloud)
    stores = {d.id for d in view.datastores.values() if where in {None, d.name}}
    return {
        image.id: image
        for image in view.images.values()
        if image.owner == owner
        and ownership(image.mark, mark) in {Ownership.OURS, Ownership.PREDECESSOR}
        and image.name != resource.outside_name
        and image.state != DELETING
        and image.notes.get(ONE_ADOPTED) != "YES"
        and (image.notes.get(VERSION_NOTE, wanted) != wanted or image.datastore_id not in stores)
    }


def machines(image: Image, view: CloudView) -> tuple[str, ...]:
    """The machines that use it."""
    known = (view.vms.get(number) for number in image.vms)
    named = tuple(f'VM {vm.id} "{vm.name}"' for vm in known if vm is not None)
    unseen = max(image.running_vms, len(image.vms)) - len(named)
    return (*named, f"{unseen} machines that this credential may not see") if unseen > 0 else named


def named_by(name: str, cloud: Key, context: Context) -> tuple[str, ...]:
    """The instances whose spec names an image."""
    return tuple(
        str(user.key)
        for user in context.users(cloud, HostedInstance.crd.kind)
        if isinstance(user, HostedInstance) and not user.deleting and _names(user, name)
    )


def _names(user: HostedInstance, name: str) -> bool:
    source = user.spec.source
    return (source is not None and source.image == name) or any(d.image == name for d in user.spec.disks or ())
