"""Facts about a VM's cloud that its OpenNebula pools do not contain.

They come from its SovereignCloud: zone, country, version, Sunstone and server names.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.api.sovereigncloud import SovereignCloud
from sovereigncloud.kinds.contract.controller import AnyResource
from sovereigncloud.ports.opennebula.views import Vm


@dataclass(frozen=True, slots=True)
class Site:
    """Facts about a cloud that its OpenNebula pools do not contain; empty where unknown.

    Attributes:
        country: ISO code, if all its servers are in one country.
        sunstone: URL of its web interface.
        machines: names of its servers and of its front-end, beside those of its hosts.
    """

    zone: str = ""
    country: str = ""
    version: str = ""
    sunstone: str = ""
    machines: tuple[str, ...] = ()


UNKNOWN_SITE = Site()


_CLOUDS = 64
_sites: dict[Key, tuple[SovereignCloud, Site]] = {}
"""Cache by cloud, valid while the informer returns the same object: each of ten thousand VMs asks for the same facts."""


def site_of(cloud: AnyResource | None) -> Site:
    """Return the facts about a cloud from its SovereignCloud; empty facts for any other object."""
    if not isinstance(cloud, SovereignCloud):
        return UNKNOWN_SITE
    key = cloud.key
    known = _sites.get(key)
    if known is None or known[0] is not cloud:
        if len(_sites) >= _CLOUDS:
            _sites.clear()
        known = _sites[key] = (cloud, _site(cloud))
    return known[1]


def _site(cloud: SovereignCloud) -> Site:
    status = cloud.status
    countries = status.countries or []
    known = len(countries) == 1 and countries[0].isalpha() and countries[0].isupper()
    return Site(
        zone=status.zone or "",
        country=countries[0] if known else "",
        version=status.version or "",
        sunstone=status.sunstone or "",
        machines=_machines(cloud),
    )


def _machines(cloud: SovereignCloud) -> tuple[str, ...]:
    hosted = cloud.spec.hosted
    names = [urlsplit(cloud.status.endpoint or "").hostname or ""]
    if hosted is not None and hosted.access is not None:
        names.append(hosted.access.fqdn or "")
    if hosted is not None and hosted.ovh is not None:
        names += [server.service_name or "" for server in hosted.ovh.servers]
    return tuple(name for name in names if name)


def console_access(site: Site, vm: Vm) -> str | None:
    """Return how to reach the console of a VM: its Sunstone page, else a command on its host.

    VNC listens on the loopback interface of the host.
    """
    if site.sunstone:
        return f"{site.sunstone.rstrip('/')}/fireedge/sunstone/vm/{vm.id}"
    return f"on host {vm.host}: virsh vncdisplay one-{vm.id}" if vm.host else None


def vm_group_name(namespace: str, group: str) -> str:
    """Return the OpenNebula name of a VM group.

    It is unique per namespace, since a namespace contains no dot.
    """
    return f"{namespace}.{group}"


def groups_in_use(resource: HostedInstance, instances: Iterable[AnyResource]) -> frozenset[str]:
    """Return the names of VM groups that instances of this namespace reference.

    Instances that are being deleted do not count.
    """
    namespace = resource.metadata.namespace
    others = [
        one for one in instances if isinstance(one, HostedInstance) and one.metadata.name != resource.metadata.name
    ]
    return frozenset(
        vm_group_name(namespace, one.spec.group.name)
        for one in (resource, *others)
        if one.spec.group is not None and not one.deleting and one.metadata.namespace == namespace
    )
