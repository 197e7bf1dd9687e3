"""The fields of OVHcloud's replies that the operator reads. Unknown fields and unknown words of enums are let through:
the schema changed dozens of both within six months, and null is allowed almost everywhere.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from sovereigncloud.ports.errors import Retry
from sovereigncloud.providers.ovh.transport import Reply

Text = Annotated[str, BeforeValidator(lambda value: "" if value is None else value)]
"""A string; null counts as empty."""
Tags = Annotated[dict[str, str], BeforeValidator(lambda value: {} if value is None else value)]


class _Reply(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class Iam(_Reply):
    """``iam.ResourceMetadata``."""

    urn: str
    display_name: Text = Field(default="", alias="displayName")
    tags: Tags = {}


class Details(_Reply):
    """``auth.Details``."""

    account: Text
    identities: tuple[str, ...] | None = None


class Rule(_Reply):
    """``auth.AccessRule``."""

    method: Text
    path: Text


class Credential(_Reply):
    """``auth.ApiCredential``."""

    rules: tuple[Rule, ...] | None = None


class Authorization(_Reply):
    """``iam.AuthorizeBatchResponse``."""

    urn: str = Field(alias="resourceURN")
    refused: tuple[str, ...] | None = Field(default=None, alias="unauthorizedActions")


class Resource(_Reply):
    """``iam.resource.Resource``."""

    urn: str
    name: str
    type: str
    display_name: Text = Field(default="", alias="displayName")
    tags: Tags = {}


class Dedicated(_Reply):
    """``dedicated.server.DedicatedWithIAM``."""

    name: str
    ip: str
    region: Text = ""
    availability_zone: Text = Field(default="", alias="availabilityZone")
    datacenter: Text = ""
    os: Text = ""
    state: Text = ""
    power_state: Text = Field(default="", alias="powerState")
    monitoring: bool
    no_intervention: bool = Field(alias="noIntervention")
    boot_id: int | None = Field(default=None, alias="bootId")
    commercial_range: Text = Field(default="", alias="commercialRange")
    iam: Iam | None = None


class VirtualInterface(_Reply):
    """``dedicated.virtualNetworkInterface.VirtualNetworkInterface``."""

    uuid: str
    name: Text = ""
    mode: Text = ""
    enabled: bool = True
    vrack: Text = ""
    macs: tuple[str, ...] = Field(default=(), alias="networkInterfaceController")


class ServerTask(_Reply):
    """``dedicated.server.Task`` and the shorter ``task.Response``."""

    id: int = Field(alias="taskId")
    function: Text = ""
    status: Text = ""
    comment: Text = ""


class Step(_Reply):
    """``dedicated.server.InstallationProgressSteps``."""

    comment: Text = ""
    status: Text = ""
    error: Text = ""


class Progress(_Reply):
    """``dedicated.server.InstallationProgressStatus``."""

    progress: tuple[Step, ...] | None = None


class Capacity(_Reply):
    """``complexType.UnitAndValue<long>``. Makers of disks count in powers of ten."""

    unit: Text = ""
    value: int = 0

    @property
    def mebibytes(self) -> int:
        """0 for a unit that nobody described."""
        return int(self.value * _BYTES.get(self.unit.upper(), 0) / 2**20)


_BYTES: Final = {"MB": 10**6, "GB": 10**9, "TB": 10**12}


class Disks(_Reply):
    """``dedicated.server.HardwareSpecificationsDisk``."""

    id: int = Field(default=0, alias="diskGroupId")
    disks: int = Field(default=0, alias="numberOfDisks")
    size: Capacity | None = Field(default=None, alias="diskSize")


class Hardware(_Reply):
    """``dedicated.server.HardwareSpecifications``."""

    disk_groups: tuple[Disks, ...] | None = Field(default=None, alias="diskGroups")


class Input(_Reply):
    """``dedicated.TemplateOsInput``."""

    name: Text = ""
    mandatory: bool = False


class Installable(_Reply):
    """``dedicated.installationTemplate.Templates``."""

    inputs: tuple[Input, ...] | None = None
    file_systems: tuple[str, ...] = Field(default=(), alias="filesystems")
    no_partitioning: bool = Field(default=False, alias="noPartitioning")
    only_mirroring: bool = Field(default=False, alias="softRaidOnlyMirroring")


class Systems(_Reply):
    """``dedicated.server.InstallTemplate``."""

    ovh: tuple[str, ...] | None = None


class Member(_Reply):
    """``vrack.AllowedDedicatedServerInterfaces``: an interface in a vRack."""

    server: str = Field(alias="dedicatedServer")
    interface: str = Field(alias="dedicatedServerInterface")


class Route(_Reply):
    """``ip.RoutedTo``."""

    service: Text = Field(default="", alias="serviceName")


class Ip(_Reply):
    """``ip.IpWithIAM``."""

    ip: str
    routed_to: Route | None = Field(default=None, alias="routedTo")
    regions: tuple[str, ...] | None = None
    iam: Iam | None = None


class Eligible(_Reply):
    """``vrack.EligibleServices``: null while it is being worked out, whatever word `status` has."""

    interfaces: tuple[Member, ...] | None = Field(default=None, alias="dedicatedServerInterface")


class EligibleServices(_Reply):
    """``vrack.EligibleServicesResponse``."""

    result: Eligible | None = None
    errors: tuple[str, ...] | None = None


class Reverse(_Reply):
    """``ip.ReverseIp``."""

    name: str = Field(alias="reverse")


class ZoneReply(_Reply):
    """``domain.ZoneWithIAM``."""

    name: str
    iam: Iam | None = None


class ZoneRecord(_Reply):
    """``domain.zone.Record``."""

    id: int
    type: str = Field(alias="fieldType")
    subdomain: Text = Field(default="", alias="subDomain")
    target: str


T = TypeVar("T")


class Parser:
    """Readers by type, each built once."""

    def __init__(self) -> None:
        self._adapters: dict[Any, TypeAdapter[Any]] = {}

    def read(self, kind: type[T], reply: Reply, *, what: str) -> T:
        """The body as `kind`. An answer of another shape is an ill API, not the user's fault. Raises Retry."""
        adapter = self._adapters.setdefault(kind, TypeAdapter(kind))
        try:
            value: T = adapter.validate_python(reply.body)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            place = ".".join(str(one) for one in first["loc"]) or "body"
            raise Retry(f"unexpected answer: {place}: {first['msg']}", where=what) from None
        return value


PARSER: Final = Parser()
