"""What is known of the cloud that a machine is in beside what its pools tell, and who else is there."""

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
    """A cloud; empty: not known.

    Attributes:
        country: where its servers stand, if in one country.
        sunstone: address of its web interface.
        machines: names of its servers and of its front-end, beside those of its hosts.
    """

    zone: str = ""
    country: str = ""
    version: str = ""
    sunstone: str = ""
    machines: tuple[str, ...] = ()


NOWHERE = Site()


_CLOUDS = 64
_sites: dict[Key, tuple[SovereignCloud, Site]] = {}
"""What followed from a cloud's object, while it is that very object: the same is asked for each of ten thousand machines."""


def site_of(cloud: AnyResource | None) -> Site:
    """From the status of its object."""
    if not isinstance(cloud, SovereignCloud):
        return NOWHERE
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


def console_of(site: Site, vm: Vm) -> str | None:
    """How to reach its screen: its page in Sunstone, else the command on its host. VNC listens on the host's loopback."""
    if site.sunstone:
        return f"{site.sunstone.rstrip('/')}/fireedge/sunstone/vm/{vm.id}"
    return f"on host {vm.host}: virsh vncdisplay one-{vm.id}" if vm.host else None


def name_of_group(namespace: str, group: str) -> str:
    """A namespace has no dot in it, so that two of them never mean one group."""
    return f"{namespace}.{group}"


def groups_in_use(resource: HostedInstance, instances: Iterable[AnyResource]) -> frozenset[str]:
    """Names of the VM groups that objects of this namespace name; one that is being deleted names none."""
    namespace = resource.metadata.namespace
    others = [
        one for one in instances if isinstance(one, HostedInstance) and one.metadata.name != resource.metadata.name
    ]
    return frozenset(
        name_of_group(namespace, one.spec.group.name)
        for one in (resource, *others)
        if one.spec.group is not None and not one.deleting and one.metadata.namespace == namespace
    )
