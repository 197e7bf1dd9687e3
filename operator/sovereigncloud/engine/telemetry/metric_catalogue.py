"""What the operator measures: each family with its labels. `docs/reference/metrics.md` is made from this.

Names follow Prometheus: base units, `_total` for what only grows, times of day as `_timestamp_seconds`. No label holds
the name of an object, and every value comes from a closed set, so that the number of series does not grow with the
number of objects. `account`, and `from` and `to`, are the exceptions: they grow with the clouds and OVHcloud accounts, and a
cloud's series go with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from sovereigncloud.api import KINDS
from sovereigncloud.core.outcome import Phase
from sovereigncloud.core.plan import Action


class Shape(StrEnum):
    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Api(StrEnum):
    """Whom the operator asks."""

    KUBERNETES = "kubernetes"
    OPENNEBULA = "opennebula"
    OVH = "ovh"


@dataclass(frozen=True, slots=True)
class Family:
    """One metric.

    Attributes:
        name: as it is exposed, without `_bucket` and the like.
        shape: what it is.
        help: a sentence.
        labels: in order.
        buckets: upper bounds of a histogram, in its unit.
    """

    name: str
    shape: Shape
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


OTHER, STANDALONE = "Other", "standalone"
OUTCOMES = (*(phase.name.lower() for phase in Phase), "gone", "error")
CONDITIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "Ready": ("True", "False", "Unknown"),
        "Reconciling": ("True", "False"),
        "Stalled": ("True", "False"),
        "Drifted": ("True", "False", "Unknown"),
        "Paused": ("True", "False"),
    }
)
COMPLIANCE = ("True", "False", "Unknown")
LABELS: Mapping[str, str] = MappingProxyType(
    {
        "account": "Whose calls: the SovereignCloud (OpenNebula) or the Secret (OVHcloud), as namespace/name; "
        "standalone: servers in no cloud.",
        "action": "What a step does: " + ", ".join(Action) + ".",
        "api": "Who is asked: " + ", ".join(Api) + ".",
        "code": "What was answered: a status of HTTP, OpenNebula's word for it (success, authentication, authorization, "
        "no_exists, action, xml_rpc_api, internal, allocate, locked, replication, fault), or none.",
        "compliant": "Whether objects meet all that the policies that bind them ask for: "
        + ", ".join(COMPLIANCE)
        + ".",
        "condition": "A type of condition: " + ", ".join(CONDITIONS) + ".",
        "endpoint": "Which endpoint, without names and ids: a verb and a resource of Kubernetes, a method of OpenNebula, "
        "a method and a path of OVHcloud with {} for what it names.",
        "from": "Whose front-end asks: a SovereignCloud, as namespace/name.",
        "kind": "A kind of this group: " + ", ".join(kind.crd.kind for kind in KINDS) + ".",
        "lane": "user (somebody changed an object) or recheck.",
        "outcome": "What a reconcile came to: " + ", ".join(OUTCOMES) + ".",
        "ready": "Whether it could be done now: True or False.",
        "reason": "Of the condition Stalled: one of those in Troubleshooting, or Other.",
        "resource": "A resource of Kubernetes, with its subresource.",
        "result": "done or failed.",
        "server": "Number of a server in its zone; -1: it is the only one.",
        "status": "Of a condition: True, False or Unknown. A condition that is not there counts as False.",
        "to": "Which SovereignCloud answers, as namespace/name.",
        "verb": "Of a request to Kubernetes: create, update, patch, delete.",
        "version": "Of the operator.",
    }
)

_RECONCILE = (0.005, 0.02, 0.1, 0.5, 2, 10, 60)
_STEP = (0.05, 0.2, 1, 5, 30, 120)
_REQUEST = (0.02, 0.1, 0.5, 2, 10, 60)
_WAIT = (0.01, 0.1, 0.5, 2, 10, 60)
_SWEEP = (0.01, 0.1, 0.5, 2, 10, 60)

BUILD = Family("sovereign_build_info", Shape.GAUGE, "Which version runs. Always 1.", ("version",))
LEASE = Family(
    "sovereign_lease_held", Shape.GAUGE, "1 where this process holds the Lease, so that it is the one that writes."
)
WATCHED = Family(
    "sovereign_watch_last_event_timestamp_seconds", Shape.GAUGE, "When the API server last told something."
)
RECONCILES = Family(
    "sovereign_reconcile_duration_seconds",
    Shape.HISTOGRAM,
    "Time of one reconcile, by what it came to.",
    ("kind", "outcome"),
    _RECONCILE,
)
IN_FLIGHT = Family("sovereign_reconciles_in_flight", Shape.GAUGE, "Reconciles that are under way.")
OLDEST = Family(
    "sovereign_reconcile_oldest_seconds",
    Shape.GAUGE,
    "How long the oldest reconcile that is under way has taken so far.",
)
QUEUE = Family("sovereign_queue_depth", Shape.GAUGE, "Objects that wait to be reconciled.", ("lane",))
QUEUE_WAIT = Family(
    "sovereign_queue_wait_seconds", Shape.HISTOGRAM, "How long an object waited to be reconciled.", ("lane",), _WAIT
)
STEPS = Family(
    "sovereign_steps_total", Shape.COUNTER, "Steps of plans that were performed.", ("kind", "action", "result")
)
STEP_TIME = Family(
    "sovereign_step_duration_seconds", Shape.HISTOGRAM, "Time of one step of a plan.", ("kind", "action"), _STEP
)
REQUESTS = Family(
    "sovereign_external_requests_total",
    Shape.COUNTER,
    "Requests that were sent, by what was answered.",
    ("api", "endpoint", "code"),
)
RETRIES = Family(
    "sovereign_external_retries_total", Shape.COUNTER, "Requests that were sent again within one call.", ("api",)
)
REQUEST_TIME = Family(
    "sovereign_external_request_duration_seconds",
    Shape.HISTOGRAM,
    "Time of one request, without the wait for its turn.",
    ("api", "endpoint"),
    _REQUEST,
)
WRITES = Family(
    "sovereign_kubernetes_writes_total",
    Shape.COUNTER,
    "Writes to the API server that it took. At rest only Leases grow.",
    ("verb", "resource"),
)
BUDGET = Family(
    "sovereign_external_budget_requests",
    Shape.GAUGE,
    "Requests that an account may still make at once. Negative: so many wait for their turn.",
    ("api", "account"),
)
BUDGET_SIZE = Family(
    "sovereign_external_budget_limit_requests",
    Shape.GAUGE,
    "Requests that an account may make at most at once.",
    ("api", "account"),
)
HELD_OFF = Family(
    "sovereign_external_held_off_seconds",
    Shape.GAUGE,
    "For how long an account is not asked, since its API said so (429, Retry-After).",
    ("api", "account"),
)
BREAKER = Family(
    "sovereign_external_breaker_open",
    Shape.GAUGE,
    "1 where the API of an account is down, so that it is only tried now and then.",
    ("api", "account"),
)
SWEEPS = Family(
    "sovereign_sweep_duration_seconds",
    Shape.HISTOGRAM,
    "Time of comparing every object of an account with what was read.",
    ("api",),
    _SWEEP,
)
SWEPT = Family(
    "sovereign_sweep_last_success_timestamp_seconds",
    Shape.GAUGE,
    "When every object of an account was last compared with reality; its start until then.",
    ("api", "account"),
)
FAILED_READS = Family(
    "sovereign_sweep_failed_reads", Shape.GAUGE, "How often in a row an account could not be read.", ("api", "account")
)
LATENCY = Family(
    "sovereign_cloud_latency_seconds",
    Shape.GAUGE,
    "The quickest of the last small calls to a cloud, from where the operator runs.",
    ("account",),
)
SITE_LATENCY = Family(
    "sovereign_site_latency_seconds",
    Shape.GAUGE,
    "One round trip from the front-end of a cloud to where another one of its namespace answers. Absent where the operator may not"
    " log in at the first, or sshd there forwards nothing.",
    ("from", "to"),
)
BRAKES = Family(
    "sovereign_brakes_held_changes",
    Shape.GAUGE,
    "Changes of an account that the brakes hold until a person approves them.",
    ("account",),
)
ZONE_TERM = Family(
    "sovereign_zone_raft_term",
    Shape.GAUGE,
    "Term of a server among those of its zone: it grows with each election.",
    ("account", "server"),
)
ZONE_LOG = Family(
    "sovereign_zone_raft_log_index",
    Shape.GAUGE,
    "Last record in the log of a server. Above its commit index for long, it has no majority.",
    ("account", "server"),
)
ZONE_COMMIT = Family(
    "sovereign_zone_raft_commit_index", Shape.GAUGE, "Last record that a majority has.", ("account", "server")
)
ZONE_FEDLOG = Family(
    "sovereign_zone_federation_log_index",
    Shape.GAUGE,
    "Last record of the federation that a server has; -1: it is in none.",
    ("account", "server"),
)
ZONE_LAG = Family(
    "sovereign_zone_lag_records",
    Shape.GAUGE,
    "Records of the federation that a slave lacked when it was read last.",
    ("account",),
)
MACHINES = Family(
    "sovereign_cloud_machines", Shape.GAUGE, "Machines in a cloud, those that people made included.", ("account",)
)
MOVABLE = Family(
    "sovereign_cloud_movable_machines",
    Shape.GAUGE,
    "Machines of a cloud that could leave it now, within policies, quotas and room.",
    ("account",),
)
OBJECTS = Family("sovereign_objects", Shape.GAUGE, "Objects that the operator keeps.", ("kind",))
BY_CONDITION = Family(
    "sovereign_object_conditions", Shape.GAUGE, "Objects by condition.", ("kind", "condition", "status")
)
STALLED = Family(
    "sovereign_stalled_objects", Shape.GAUGE, "Objects that wait for a person, by why.", ("kind", "reason")
)
DRIFT = Family(
    "sovereign_drift_fields", Shape.GAUGE, "Fields that differ from what is declared and are not ignored.", ("kind",)
)
DRIFT_SINCE = Family(
    "sovereign_drift_oldest_timestamp_seconds",
    Shape.GAUGE,
    "Since when the oldest difference stands that the operator is to correct. Absent where there is none.",
    ("kind",),
)
FAILOVER_READY = Family(
    "sovereign_failover_machines",
    Shape.GAUGE,
    "Machines with spec.continuity, by whether they could start elsewhere were their cloud lost.",
    ("ready",),
)
COPY_AGE = Family(
    "sovereign_instance_copy_age_seconds",
    Shape.GAUGE,
    "Of the machines with spec.continuity that have a copy outside their cloud: the age of the newest copy of the one whose is"
    " oldest. Absent where there is none.",
)
FAILED_OVER = Family(
    "sovereign_instance_last_failover_timestamp_seconds",
    Shape.GAUGE,
    "When a machine was last started elsewhere, since its cloud was lost. Absent where none was.",
)
POLICY_OBJECTS = Family(
    "sovereign_policy_objects",
    Shape.GAUGE,
    "Objects that a SovereigntyPolicy binds, by whether they meet all that is asked of them.",
    ("kind", "compliant"),
)

FAMILIES = (
    BUILD, LEASE, WATCHED,
    RECONCILES, IN_FLIGHT, OLDEST, QUEUE, QUEUE_WAIT,
    STEPS, STEP_TIME,
    REQUESTS, RETRIES, REQUEST_TIME, WRITES, BUDGET, BUDGET_SIZE, HELD_OFF, BREAKER,
    SWEEPS, SWEPT, FAILED_READS, LATENCY, SITE_LATENCY, BRAKES,
    ZONE_TERM, ZONE_LOG, ZONE_COMMIT, ZONE_FEDLOG, ZONE_LAG,
    MACHINES, MOVABLE,
    OBJECTS, BY_CONDITION, STALLED, DRIFT, DRIFT_SINCE, POLICY_OBJECTS,
    FAILOVER_READY, COPY_AGE, FAILED_OVER,
)  # fmt: skip
