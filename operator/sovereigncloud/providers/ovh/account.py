"""The port `Ovh` over the OVHcloud API: few verbs, each idempotent as far as the API lets it be."""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from weakref import WeakValueDictionary

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.core.identity import OVH_INSTALLATION
from sovereigncloud.ports.errors import AlreadyRunning, Conflict, NotFound, Rejected, Retry
from sovereigncloud.ports.ovh.account import (
    AccountView,
    InstallStep,
    Interface,
    IpBlock,
    Ovh,
    Reinstallation,
    Server,
    ServerSummary,
    Task,
    VrackView,
)
from sovereigncloud.ports.ovh.dns import Zones
from sovereigncloud.ports.ovh.iam import Rights
from sovereigncloud.ports.ovh.inventory import Inventory
from sovereigncloud.ports.ovh.power import Power
from sovereigncloud.ports.ovh.reinstall import DiskGroup, InstallationTemplate, Part, TemplateInput
from sovereigncloud.ports.ovh.vrack import Vracks
from sovereigncloud.providers.call_observer import Observer
from sovereigncloud.providers.ovh.client import (
    KNOWN,
    TIMEOUT,
    ApplicationKeys,
    ClientPool,
    Credentials,
    Endpoint,
    ServiceAccount,
    Timeout,
)
from sovereigncloud.providers.ovh.dns import ZoneCalls
from sovereigncloud.providers.ovh.iam import Permissions
from sovereigncloud.providers.ovh.inventory import Listing
from sovereigncloud.providers.ovh.orders import Orders
from sovereigncloud.providers.ovh.power import PowerCalls
from sovereigncloud.providers.ovh.replies import (
    PARSER,
    Dedicated,
    Hardware,
    Installable,
    Ip,
    Member,
    Progress,
    Resource,
    ServerTask,
    Systems,
    VirtualInterface,
)
from sovereigncloud.providers.ovh.response_cache import Kept
from sovereigncloud.providers.ovh.tasks import tasks_of
from sovereigncloud.providers.ovh.transport import Transport, path
from sovereigncloud.providers.ovh.vrack import VrackCalls
from sovereigncloud.providers.rate_limits import Allowance, Budget, CircuitBreaker, TokenBucket

T = TypeVar("T")

_SERVER: Final = "/v1/dedicated/server/{}"
_VRACK: Final = "/v1/vrack/{}"
_PAGE: Final = "100"
_MAX_PAGES: Final = 100
_REINSTALL: Final = "reinstallServer"
_SHOWN: Final = 40  # characters of a script that are too many to be shown
_RUNNING: Final = re.compile(rf"Task (\d+) of type {_REINSTALL} ")
"""How OVHcloud's description of the API words it (Client::BadRequest::TaskAlreadyExists)."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one credential may use: calls per second, at once, and under way at a time.

    OVHcloud staff: up to 60 a minute per consumer key are fine (python-ovh#81). With these there are never more in any
    minute: what stands in a full bucket, and what comes into it meanwhile.
    """

    rate: float = 50 / 60
    burst: int = 10
    threads: int = 4
    timeout: Timeout = TIMEOUT


def _full(limits: Limits) -> Budget:
    return Budget(TokenBucket(limits.rate, limits.burst, places=limits.threads), CircuitBreaker())


def ovh_factory(
    limits: Limits = Limits(),
    endpoints: Mapping[str, Endpoint] = KNOWN,
    observer: Observer | None = None,
    ca_file: str = "",
) -> Callable[[str, Mapping[str, str]], Ovh]:
    """What the engine makes accounts with: (endpoint, values of the Secret) -> account.

    `endpoints` may name other base URLs, for a gateway that stands before the API; `ca_file` has authorities that are
    believed beside the public ones.

    OVHcloud counts by credential: two Secrets that hold the same one, and a Secret whose password was changed, share a
    budget.
    """
    budgets: WeakValueDictionary[tuple[str, str], Budget] = WeakValueDictionary()

    def make(endpoint: str, secret: Mapping[str, str]) -> Ovh:
        if endpoint not in endpoints:
            raise Rejected(
                f"no such endpoint {endpoint}; there are {', '.join(endpoints)}", reason=Reason.UNKNOWN_ENDPOINT
            )
        way_in = credentials(secret)
        budget = budgets.setdefault((endpoint, way_in.name), _full(limits))
        calls = transport(endpoints[endpoint], way_in, limits, observer, ca_file, budget)
        return Account(calls, has_rules=isinstance(way_in, ApplicationKeys))

    return make


def credentials(secret: Mapping[str, str]) -> Credentials:
    """The way in that a Secret's values give; OAuth2 first, which OVHcloud recommends."""
    if "clientId" in secret:
        return ServiceAccount(secret["clientId"], secret["clientSecret"])
    return ApplicationKeys(secret["applicationKey"], secret["applicationSecret"], secret["consumerKey"])


def transport(
    endpoint: Endpoint,
    way_in: Credentials,
    limits: Limits = Limits(),
    observer: Observer | None = None,
    ca_file: str = "",
    budget: Budget | None = None,
) -> Transport:
    """The calls of one credential under its limits."""
    return Transport(
        ClientPool(endpoint, way_in, limits.timeout, ca_file),
        budget or _full(limits),
        # A call and what must come before it; silence within each ends by the timeouts.
        deadline=2 * sum(limits.timeout),
        observer=observer,
    )


class Account:
    """One OVHcloud account under one credential."""

    def __init__(self, calls: Transport, *, has_rules: bool = False) -> None:
        self._calls = calls
        self.rights: Rights = Permissions(calls, has_rules=has_rules)
        self.inventory: Inventory = Listing(calls)
        self._orders = Orders(calls)
        self._kept = Kept()
        self.vracks: Vracks = VrackCalls(calls, self._kept)
        self.zones: Zones = ZoneCalls(calls, self._kept)
        self.power: Power = PowerCalls(calls)

    @property
    def orders(self) -> Orders:
        """Ordering, and the end of services."""
        return self._orders

    @property
    def allowance(self) -> Allowance:
        """What may still be asked: a metric."""
        return self._calls.budget.allowance

    async def _read(self, kind: type[T], where: str, query: Mapping[str, str] | None = None) -> T:
        reply = await self._calls.call("GET", where, query=query)
        return PARSER.read(kind, reply, what=f"OVHcloud GET {where}")

    # -- the bulk read

    async def view(self, began: float, vracks: frozenset[str]) -> AccountView:
        """One read of all servers, one of all vRacks with names and tags, and two per vRack for what is in it.

        A vRack that the credential does not see is absent. How several types go into one query is not documented.
        """
        listed, pages = await self._resources("dedicatedServer")
        servers = {one.name: ServerSummary(one.name, one.urn, one.display_name, one.tags) for one in listed}
        listed, more = await self._resources("vrack") if vracks else ([], 0)
        known = {one.name: one for one in listed}
        views = [await self._vrack(known[name]) for name in sorted(vracks) if name in known]
        tags = {name: one.tags for name, one in known.items()}
        requests = pages + more + 2 * len(views)
        return AccountView(began, servers, {one.name: one for one in views}, tags, requests)

    async def _resources(self, kind: str) -> tuple[list[Resource], int]:
        """All of a kind, and how many pages they were."""
        found: list[Resource] = []
        headers = {"X-Pagination-Size": _PAGE}
        where = "/v2/iam/resource"
        for page in range(1, _MAX_PAGES + 1):
            reply = await self._calls.call("GET", where, query={"resourceType": kind}, headers=headers)
            found += PARSER.read(list[Resource], reply, what=f"OVHcloud GET {where}")
            cursor = reply.headers.get("X-Pagination-Cursor-Next")
            if not cursor:
                return found, page
            headers = {"X-Pagination-Size": _PAGE, "X-Pagination-Cursor": cursor}
        raise Retry(f"more than {_MAX_PAGES} pages", where=f"OVHcloud GET {where}", maybe_done=False)

    async def _vrack(self, resource: Resource) -> VrackView:
        root = path(_VRACK, resource.name)
        members = await self._read(list[Member], f"{root}/dedicatedServerInterfaceDetails")
        blocks = await self._read(list[str], f"{root}/ip")
        return VrackView(
            name=resource.name,
            urn=resource.urn,
            tags=resource.tags,
            interfaces={one.interface: one.server for one in members},
            blocks=frozenset(_block(one) for one in blocks),
        )

    # -- servers

    async def server(self, service_name: str) -> Server:
        found = await self._read(Dedicated, path(_SERVER, service_name))
        return Server(
            service_name=found.name,
            urn=found.iam.urn if found.iam else f"urn:v1:eu:resource:dedicatedServer:{found.name}",
            display_name=(found.iam.display_name if found.iam else "") or found.name,
            tags=found.iam.tags if found.iam else {},
            ip=found.ip,
            region=found.region,
            availability_zone=found.availability_zone,
            datacenter=found.datacenter,
            os=found.os,
            state=found.state,
            power_state=found.power_state,
            monitoring=found.monitoring,
            no_intervention=found.no_intervention,
            commercial_range=found.commercial_range,
            boot=found.boot_id or 0,
        )

    async def interfaces(self, service_name: str) -> tuple[Interface, ...]:
        """Eco servers have none."""
        root = path(f"{_SERVER}/virtualNetworkInterface", service_name)
        ids = await self._read(list[str], root)
        found = [await self._read(VirtualInterface, path(f"{root}/{{}}", uuid)) for uuid in ids]
        return tuple(Interface(one.uuid, one.name, one.mode, one.enabled, one.vrack, one.macs) for one in found)

    async def disk_groups(self, service_name: str) -> tuple[DiskGroup, ...]:
        found = await self._read(Hardware, path(f"{_SERVER}/specifications/hardware", service_name))
        return tuple(DiskGroup(g.id, g.disks, g.size.mebibytes if g.size else 0) for g in found.disk_groups or ())

    async def compatible_systems(self, service_name: str) -> frozenset[str]:
        found = await self._read(Systems, path(f"{_SERVER}/install/compatibleTemplates", service_name))
        return frozenset(found.ovh or ())

    async def template(self, name: str) -> InstallationTemplate:
        found = await self._read(Installable, path("/v1/dedicated/installationTemplate/{}", name))
        return InstallationTemplate(
            name=name,
            inputs=tuple(TemplateInput(one.name, one.mandatory) for one in found.inputs or ()),
            file_systems=frozenset(found.file_systems),
            partitioning=not found.no_partitioning,
            only_mirroring=found.only_mirroring,
        )

    async def reinstall(self, service_name: str, request: Reinstallation) -> int:
        customizations: dict[str, Any] = {}
        if request.hostname:
            customizations["hostname"] = request.hostname
        if request.ssh_key:
            customizations["sshKey"] = request.ssh_key
        if request.post_installation_script:
            script = request.post_installation_script.encode()
            customizations["postInstallationScript"] = base64.b64encode(script).decode()
        order: dict[str, Any] = {"operatingSystem": request.operating_system, "customizations": customizations}
        if request.partitions:
            order["storage"] = [{"partitioning": {"layout": [_partition(one) for one in request.partitions]}}]
        where = path(f"{_SERVER}/reinstall", service_name)
        try:
            reply = await self._calls.call("POST", where, order)
        except Conflict as error:
            running = _RUNNING.match(error.message)
            if running is None:
                raise
            raise AlreadyRunning(error.message, where=error.where, task=int(running[1])) from None
        except Rejected as error:
            # The API may show what it was sent (CustomizationInvalidFormat), in its own words or ours.
            script = customizations.get("postInstallationScript", "")
            if not script or not any(part in error.message for part in (script, script[:_SHOWN], *_secrets(request))):
                raise
            text = (
                "the script of the installation is refused; what the API says of it is not shown, since it repeats it"
            )
            raise Rejected(text, where=error.where, reason=error.reason) from None
        task = PARSER.read(ServerTask, reply, what=f"OVHcloud POST {where}").id
        if task <= 0:
            # Terraform waited five minutes for a task 0 (terraform-provider-ovh #671): it names no task.
            raise Retry("the answer names no task", where=f"OVHcloud POST {where}")
        return task

    async def reinstall_tasks(self, service_name: str) -> tuple[Task, ...]:
        return await tasks_of(self._calls, service_name, _REINSTALL)

    async def install_progress(self, service_name: str) -> tuple[InstallStep, ...]:
        try:
            found = await self._read(Progress, path(f"{_SERVER}/install/status", service_name))
        except (NotFound, Rejected, Conflict):
            # The API answers with an error when no installation runs; which one is not documented.
            return ()
        return tuple(InstallStep(one.comment, one.status, one.error) for one in found.progress or ())

    async def rename(self, service_name: str, display_name: str) -> None:
        query = {"resourceName": service_name, "routes": "/dedicated/server/{serviceName}"}
        ids = await self._read(list[int], "/v1/services", query)
        if not ids:
            raise NotFound(f"no service is named {service_name}", where="OVHcloud GET /v1/services")
        await self._calls.call("PUT", f"/v1/services/{ids[0]}", {"displayName": display_name})

    async def set_monitoring(self, service_name: str, *, monitoring: bool, no_intervention: bool) -> None:
        wanted = {"monitoring": monitoring, "noIntervention": no_intervention}
        await self._calls.call("PUT", path(_SERVER, service_name), wanted)

    # -- tags

    async def tag(self, urn: str, tags: Mapping[str, str]) -> None:
        with self._kept.changing():
            for key, value in tags.items():
                await self._calls.call("POST", path("/v2/iam/resource/{}/tag", urn), {"key": key, "value": value})

    async def untag(self, urn: str, keys: frozenset[str]) -> None:
        # The installation last: until then whoever comes after a crash knows whose the rest is.
        with self._kept.changing():
            for key in sorted(keys, key=lambda k: (k == OVH_INSTALLATION, k)):
                await self._gone(path("/v2/iam/resource/{}/tag/{}", urn, key))

    # -- vRack

    async def attach_interface(self, vrack: str, uuid: str) -> None:
        where = path(f"{_VRACK}/dedicatedServerInterface", vrack)
        await self._joined(vrack, where, {"dedicatedServerInterface": uuid})

    async def detach_interface(self, vrack: str, uuid: str) -> None:
        await self._gone(path(f"{_VRACK}/dedicatedServerInterface/{{}}", vrack, uuid))

    async def block(self, block: str, max_age: float = 0.0) -> IpBlock:
        return await self._kept.answer(f"block {block}", max_age, lambda: self._block_read(block))

    async def _block_read(self, block: str) -> IpBlock:
        found = await self._read(Ip, path("/v1/ip/{}", _block(block)))
        return IpBlock(
            block=_block(found.ip),
            routed_to=found.routed_to.service if found.routed_to else "",
            urn=found.iam.urn if found.iam else f"urn:v1:eu:resource:ip:{found.ip}",
            tags=found.iam.tags if found.iam else {},
            regions=tuple(found.regions or ()),
        )

    async def attach_block(self, vrack: str, block: str, region: str = "") -> None:
        body = {"block": _block(block)} | ({"region": region} if region else {})
        with self._kept.changing():
            await self._joined(vrack, path(f"{_VRACK}/ip", vrack), body)

    async def detach_block(self, vrack: str, block: str) -> None:
        with self._kept.changing():
            await self._gone(path(f"{_VRACK}/ip/{{}}", vrack, _block(block)))

    async def _joined(self, vrack: str, where: str, body: Mapping[str, Any]) -> None:
        try:
            await self._calls.call("POST", where, body)
        except Conflict as error:
            # "Server is already on vRack pn-123456": an earlier call whose answer was lost did it.
            if not error.message.lower().endswith(f"already on vrack {vrack}".lower()):
                raise

    async def _gone(self, where: str) -> None:
        try:
            await self._calls.call("DELETE", where)
        except NotFound:
            return


def _secrets(request: Reinstallation) -> list[str]:
    """The words of the script that may be keys."""
    return re.findall(r"[0-9a-f]{32,}", request.post_installation_script)


def _partition(part: Part) -> dict[str, Any]:
    found: dict[str, Any] = {"mountPoint": part.mount_point, "fileSystem": part.file_system, "size": part.size}
    return found if part.raid is None else {**found, "raidLevel": part.raid}


def _block(text: str) -> str:
    """A block as the API names it: canonical, with a mask also for one address. Raises Rejected."""
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as error:
        raise Rejected(f"{text} is no block of addresses: {error}", reason=Reason.INVALID_BLOCK) from None
