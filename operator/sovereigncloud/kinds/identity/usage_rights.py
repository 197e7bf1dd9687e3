"""What a namespace may make machines from: with a Tenant, only what OpenNebula lets its user use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.machineimage import MachineImage
from sovereigncloud.core.outcome import Outcome, blocked, stalled
from sovereigncloud.kinds.contract.tenancy import Tenancy
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.identity.tenant_marks import TENANT
from sovereigncloud.ports.opennebula.views import CloudView, Image, Network, Template


def may_be_made(tenancy: Tenancy | None) -> Outcome | None:
    """Why nothing can be made for the namespace yet."""
    if tenancy is None:
        return None
    if tenancy.others:
        names = " and ".join(sorted((tenancy.tenant, *tenancy.others)))
        return stalled(
            Reason.MULTIPLE_TENANTS,
            f"Tenants {names} all list namespace {tenancy.namespace} for {where(tenancy.cloud)}: take it out of all but one",
        )
    if not tenancy.allowed:
        return stalled(
            Reason.NAMESPACE_NOT_ALLOWED,
            f"Tenant {tenancy.tenant} lists namespace {tenancy.namespace} for {where(tenancy.cloud)} no more: nothing is made"
            " there. Put it on the list again, or delete this object",
        )
    if tenancy.user is None:
        return blocked(
            f"Tenant {tenancy.tenant} has no user for namespace {tenancy.namespace} in {where(tenancy.cloud)} yet; see"
            f" kubectl describe tenant {tenancy.tenant}"
        )
    return None


def usable_images(view: CloudView, tenancy: Tenancy | None) -> Iterator[Image]:
    """Names are unique per owner only: another tenant's image of the same name is no candidate, so nobody can hold up others
    with one.
    """
    for image in view.images.values():
        if _own_or(image.owner, view, tenancy, shared=image.public or _by_rule(image, view, tenancy)):
            yield image


def usable_templates(view: CloudView, tenancy: Tenancy | None) -> Iterator[Template]:
    for template in view.templates.values():
        if _own_or(template.owner, view, tenancy, shared=template.public):
            yield template


def not_of_other_tenants(networks: Iterable[Network], view: CloudView, owners: frozenset[int]) -> Iterator[Network]:
    """A tenant may reserve a network out of one that it may use, and call it as it likes: no name for others."""
    return (n for n in networks if n.owner in owners or not _of_a_tenant(n.owner, view))


def _own_or(owner: int, view: CloudView, tenancy: Tenancy | None, *, shared: bool) -> bool:
    if tenancy is not None:
        return owner == tenancy.user or (shared and not _of_a_tenant(owner, view))
    return not _of_a_tenant(owner, view)


def _of_a_tenant(owner: int, view: CloudView) -> bool:
    user = view.tenancy.users.get(owner) if view.tenancy is not None else None
    return user is not None and user.mark is not None and user.mark.object.startswith(f"{TENANT}/")


def _by_rule(image: Image, view: CloudView, tenancy: Tenancy | None) -> bool:
    rules = view.tenancy.images if view.tenancy is not None else {}
    return tenancy is not None and tenancy.group is not None and (tenancy.group, image.id) in rules


def not_shared(name: str, view: CloudView, tenancy: Tenancy | None, place: str) -> Outcome | None:
    """That the image is there, and the namespace's user may not use it; None: it is not there at all."""
    if tenancy is None:
        return None
    hidden = [i for i in view.images.values() if i.name == name and not _of_a_tenant(i.owner, view)]
    if not hidden:
        return None
    image = min(hidden, key=lambda i: i.id)
    if image.mark is not None and image.mark.object.startswith(f"{MachineImage.crd.kind}/"):
        return blocked(f'image {image.id} "{name}" in {place} is not shared with Tenant {tenancy.tenant} yet')
    return stalled(
        Reason.IMAGE_NOT_SHARED,
        f'image {image.id} "{name}" in {place} may not be used by namespace {tenancy.namespace}: have it made by a'
        f" MachineImage, or share it there with everybody (oneimage chmod {image.id} 604)",
        after=60.0,
    )
