"""The data of the simulator: accounts, credentials, servers, vRacks, IP blocks, tasks; JSON serializable.

Attributes with the API's own names live in `document` as they are sent; what the API derives (the members of a vRack,
the route of a block) is kept once: a vRack's interfaces are the VNIs that name it, its blocks those routed to it.
"""

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from pydantic import TypeAdapter

from sovereigncloud_sandbox.ovh.wire import Json


@dataclass(slots=True)
class Timing:
    """How long things take, in seconds. Of the real API: a reinstallation 11 minutes (ovhcloud-cli issue 253), a vRack
    task minutes, moving a block one minute, a display name up to ten (Terraform provider, services.go).
    """

    reinstall: float = 2.0
    reboot: float = 0.5
    vrack_task: float = 0.3
    ip_task: float = 0.3
    task_visible_after: float = 0.1  # a task is answered 404 right after it was made: regions replicate
    task_purged_after: float = 600.0  # a finished server or IP task is forgotten
    display_name_after: float = 0.0  # a new display name shows up late
    eligible_services: float = 0.1  # how long the vRack's eligibility is computed
    token: float = 3599.0  # life of an OAuth2 token
    cart_listed_after: float = 0.1  # a new cart is missing in the list, not by its id
    cart_life: float = 365 * 86400.0  # at most, whatever is asked for
    order_listed_after: float = 0.1  # a new order is missing in the list, not by its number
    order_life: float = 14 * 86400.0  # an unpaid order is void afterwards
    payment: float = 0.2  # until a paid order no longer says notPaid: a second payment meanwhile is taken, too
    check: float = 0.2  # how long the payment is checked
    delivery: float = 1.0  # from there until the server is there; the real API: hours, or days


@dataclass(slots=True)
class Account:
    """A customer; `nichandle` is its name everywhere."""

    nichandle: str
    organisation: str = "Example"
    country: str = "FR"
    subsidiary: str = "FR"


@dataclass(slots=True)
class AccessRule:
    """What an application key may call: a method and a path in which ``*`` stands for anything."""

    method: str
    path: str


@dataclass(slots=True)
class ApplicationKey:
    """Application key, its secret and one consumer key: the signed way in."""

    account: str
    application_key: str
    application_secret: str
    consumer_key: str
    rules: list[AccessRule] = field(default_factory=list)
    status: str = "validated"
    application_id: int = 1
    credential_id: int = 1
    created: float = 0.0
    expires: float | None = None


@dataclass(slots=True)
class Grant:
    """A statement of an IAM policy: actions on resources, ``*`` as a wildcard; a deny beats every allow."""

    allow: list[str] = field(default_factory=lambda: ["*"])
    deny: list[str] = field(default_factory=list)
    resources: list[str] = field(default_factory=lambda: ["*"])


@dataclass(slots=True)
class ServiceAccount:
    """An OAuth2 client. Without grants it may do nothing, as a new one of the real API."""

    account: str
    client_id: str
    client_secret: str
    grants: list[Grant] = field(default_factory=list)


@dataclass(slots=True)
class Token:
    """A bearer token that was given out."""

    client_id: str
    expires: float


@dataclass(slots=True)
class Resource:
    """What IAM knows of a service."""

    id: str
    urn: str
    type: str
    name: str
    display_name: str
    tags: dict[str, str] = field(default_factory=dict)
    state: str = "OK"

    def metadata(self) -> Json:
        """The ``iam`` block of the service."""
        return {
            "id": self.id,
            "urn": self.urn,
            "displayName": self.display_name,
            "state": self.state,
            "tags": dict(self.tags),
        }


@dataclass(slots=True)
class Install:
    """One reinstallation as it was asked for: what an installer of the sandbox needs to play its part."""

    task_id: int
    operating_system: str
    customizations: Json
    storage: list[Json]
    started: float
    finished: float | None = None
    status: str = "doing"  # doing, done, customerError, ovhError, cancelled


@dataclass(slots=True)
class Server:
    """A dedicated server. `document` is a ``dedicated.server.Dedicated``, `vnis` and `nics` as the API lists them."""

    account: str
    resource: Resource
    document: Json
    nics: list[Json]
    vnis: list[Json]
    hardware: Json
    network: Json
    orderable: Json
    service_id: int
    compatible: list[str]
    created: float
    expires: float
    installs: list[Install] = field(default_factory=list)
    technician_visits: int = 0
    ends: bool = False  # not renewed: it ends at its expiration
    engaged_until: float | None = None
    renew_period: int = 1
    runs: bool = True  # its own system does: neither without power nor in rescue
    rekeyed: int = 0  # how often somebody gave its sshd another host key

    @property
    def name(self) -> str:
        return self.resource.name

    @property
    def has_public_interface(self) -> bool:
        """False where all NICs are in one private aggregation (OLA): no netboot, so no reinstallation."""
        if not self.vnis:
            return True
        return any(vni["enabled"] and str(vni["mode"]).startswith("public") for vni in self.vnis)


@dataclass(slots=True)
class Vrack:
    """A private network; `document` is a ``vrack.vrack``."""

    account: str
    resource: Resource
    document: Json
    service_id: int
    created: float
    expires: float

    @property
    def name(self) -> str:
        return self.resource.name


@dataclass(slots=True)
class IpBlock:
    """An address or a block; `document` is an ``ip.Ip``."""

    account: str
    resource: Resource
    document: Json
    reverses: dict[str, str] = field(default_factory=dict)
    announced_in: str | None = None  # the region asked for when it was added to a vRack

    @property
    def block(self) -> str:
        return self.resource.name

    @property
    def routed_to(self) -> str | None:
        routed: Json | None = self.document["routedTo"]
        return None if routed is None else routed["serviceName"]

    @property
    def home(self) -> str:
        regions: list[str] | None = self.document["regions"]
        return regions[0] if regions else ""


@dataclass(slots=True)
class DnsRecord:
    """A record as it stands in the zone, published or not."""

    subdomain: str
    type: str
    target: str
    ttl: int = 0


@dataclass(slots=True)
class DnsZone:
    """A DNS zone. `seen` is what the world sees of it: "fieldType subDomain target", since it was refreshed."""

    account: str
    resource: Resource
    records: dict[int, DnsRecord] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)
    updated: float = 0.0

    @property
    def name(self) -> str:
        return self.resource.name

    def publish(self, now: float) -> None:
        """Let the world see what stands in it."""
        self.seen = [f"{one.type} {one.subdomain} {one.target}" for one in self.records.values()]
        self.updated = now


class TaskKind(StrEnum):
    """The three task models of the API."""

    SERVER = "server"
    VRACK = "vrack"
    IP = "ip"


class Effect(StrEnum):
    """What is true once a task is done."""

    INSTALLED = "installed"
    ATTACHED = "attached"
    DETACHED = "detached"
    ROUTED = "routed"
    REBOOTED = "rebooted"


@dataclass(slots=True)
class Task:
    """An order under way: it is `init`, then `doing` from `doing_at`, and `done` at `ends`, when the effect happens."""

    id: int
    kind: TaskKind
    service: str  # server, vRack or block
    function: str
    effect: Effect
    subject: str  # VNI uuid, block, or operating system
    value: str | None
    created: float
    visible_at: float
    doing_at: float
    ends: float
    status: str = "init"
    updated: float | None = None
    finished: float | None = None
    comment: str = ""

    @property
    def active(self) -> bool:
        return self.finished is None


@dataclass(slots=True)
class CartItem:
    """A plan in a cart, or an option of one: then `parent` is its item."""

    id: int
    plan: str
    duration: str
    pricing_mode: str
    quantity: int
    parent: int | None = None
    configurations: dict[int, list[str]] = field(default_factory=dict)  # label, value


@dataclass(slots=True)
class Cart:
    """A shopping cart; nobody's until it is assigned."""

    id: str
    subsidiary: str
    description: str
    created: float
    expires: float
    account: str = ""
    items: list[CartItem] = field(default_factory=list)
    read_only: bool = False


@dataclass(slots=True)
class Order:
    """An order of one server. `payments` are the times that money was taken; more than one is a loss.

    What is not paid is void after `expires`; what is paid is checked, then delivered.
    """

    id: int
    account: str
    cart: str
    created: float
    expires: float
    items: list[CartItem]
    price: float
    payments: list[float] = field(default_factory=list)
    status: str = "notPaid"
    domain: str = ""  # the server, once it is delivered


@dataclass(slots=True)
class Renaming:
    """A display name that has been accepted and is not shown yet."""

    urn: str
    display_name: str
    due: float


@dataclass(slots=True)
class State:
    """Everything, for the state file and the admin door."""

    timing: Timing = field(default_factory=Timing)
    accounts: list[Account] = field(default_factory=list)
    application_keys: list[ApplicationKey] = field(default_factory=list)
    service_accounts: list[ServiceAccount] = field(default_factory=list)
    tokens: dict[str, Token] = field(default_factory=dict)
    servers: dict[str, Server] = field(default_factory=dict)
    vracks: dict[str, Vrack] = field(default_factory=dict)
    ips: dict[str, IpBlock] = field(default_factory=dict)
    zones: dict[str, DnsZone] = field(default_factory=dict)
    names: dict[str, list[str]] = field(default_factory=dict)  # names that others serve, and where they lead
    tasks: dict[int, Task] = field(default_factory=dict)
    renamings: list[Renaming] = field(default_factory=list)
    carts: dict[str, Cart] = field(default_factory=dict)
    orders: dict[int, Order] = field(default_factory=dict)
    payment_methods: dict[int, str] = field(default_factory=lambda: {4711: "xx1111-ovh"})
    stock: dict[str, str] = field(default_factory=dict)  # availability by plan code, where it is not the usual
    price_factor: float = 1.0  # what the catalogue asks for, changed behind everybody's back
    eligible_since: dict[str, float] = field(default_factory=dict)
    ineligible: list[str] = field(
        default_factory=list
    )  # uuids of interfaces that may join no vRack, for whatever reason
    next_id: int = 559_351_769

    def to_json(self) -> Json:
        """As it goes into the state file."""
        return asdict(self)


_STATE = TypeAdapter(State)


def parse_state(document: Any) -> State:
    """Read a state file or the body of a seed.

    Raises:
        ValueError: it is not one.
    """
    return _STATE.validate_python(document)
