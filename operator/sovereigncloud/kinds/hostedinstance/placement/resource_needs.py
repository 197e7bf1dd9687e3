"""What a machine takes of the place where it is made, and what of it lacks there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.api.instance_disks import ROOT
from sovereigncloud.core.placement import Demand
from sovereigncloud.kinds.contract.tenancy import Tenancy
from sovereigncloud.kinds.hostedinstance.machine import capacity
from sovereigncloud.kinds.identity.usage_rights import usable_images, usable_templates
from sovereigncloud.ports.opennebula.views import CloudView, Image, Network


def demand_of(resource: HostedInstance, views: Iterable[CloudView]) -> Demand:
    """As far as spec says; what a template brings is not known. A size that cannot be read is told elsewhere."""
    try:
        sizes = capacity.declared(resource.spec)
        disks = {disk.name: capacity.disk_size(disk) or 0 for disk in resource.spec.disks or ()}
    except ValueError:
        return Demand()
    root = sizes.root_size or _size_of(resource.spec.source.image, views)
    return Demand(
        cpu=int((sizes.cpu if sizes.cpu is not None else (sizes.vcpu or 0)) * 100),
        memory=sizes.memory or 0,
        root=root,
        data=sum(size for name, size in disks.items() if name != ROOT),
    )


def _size_of(name: str | None, views: Iterable[CloudView]) -> int:
    images = (image for view in views for image in view.images.values() if image.name == name)
    return max((image.size for image in images), default=0) if name is not None else 0


def lacking(
    resource: HostedInstance, view: CloudView, cluster: int | None, tenancy: Tenancy | None = None
) -> Iterator[str]:
    """What spec names and is not in a cloud, or is in it and not in one of its clusters. A cluster that something does not
    name may have it.
    """
    yield from _networks(resource, view, cluster)
    source = resource.spec.source
    if source.template is not None and cluster is None:
        if all(template.name != source.template for template in usable_templates(view, tenancy)):
            yield f"it has no template {source.template} that the namespace may use"
        return
    name = source.image or source.backup
    if name is None:
        return
    images = [image for image in usable_images(view, tenancy) if image.name == name]
    if cluster is None and not images:
        yield f"it has no {'image' if source.image else 'backup'} {name} that the namespace may use"
    if cluster is not None and source.image and images and not any(_is_in(image, view, cluster) for image in images):
        yield f"image {name} is in no datastore of it"


def _networks(resource: HostedInstance, view: CloudView, cluster: int | None) -> Iterator[str]:
    for wanted in resource.spec.networks or ():
        found = [network for network in view.networks.values() if network.name == wanted.name]
        if cluster is None and not found:
            yield f"it has no network {wanted.name}"
        if cluster is not None and found and not any(_reaches(network, cluster) for network in found):
            yield f"network {wanted.name} is not in it"


def _reaches(network: Network, cluster: int) -> bool:
    return not network.clusters or cluster in network.clusters


def _is_in(image: Image, view: CloudView, cluster: int) -> bool:
    datastore = view.datastores.get(image.datastore_id)
    return datastore is None or not datastore.clusters or cluster in datastore.clusters
