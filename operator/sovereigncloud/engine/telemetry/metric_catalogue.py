"""Catalogue of all metrics with their labels. `docs/reference/metrics.md` is generated from it.

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
    """External API that the operator calls."""

    KUBERNETES = "kubernetes"
    OPENNEBULA = "opennebula"
    OVH = "ovh"


@dataclass(frozen=True, slots=True)
class Family:
    """Metric family: name, type, help text and labels.

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
        "account": "SovereignCloud (OpenNebula) or Secret (OVHcloud), as namespace/name; standalone: servers in no cloud.",
        "action": "Action of a step: " + ", ".join(Action) + ".",
        "api": "API that is called: " + ", ".join(Api) + ".",
        "code": "Response: an HTTP status, an OpenNebula result (success, authentication, authorization, "
        "no_exists, action, xml_rpc_api, internal, allocate, locked, replication, fault), or none (no response).",
        "compliant": "Whether objects comply with the policies that apply to them: " + ", ".join(COMPLIANCE) + ".",
        "condition": "Condition type: " + ", ".join(CONDITIONS) + ".",
        "endpoint": "Endpoint without names and ids: verb and resource of Kubernetes, method of OpenNebula, method and path of "
        "OVHcloud with {} for each name.",
        "from": "SovereignCloud whose front-end measures, as namespace/name.",
        "kind": "Kind of this API group: " + ", ".join(kind.crd.kind for kind in KINDS) + ".",
        "lane": "Queue lane: user (an object was changed) or recheck.",
        "outcome": "Outcome of a reconcile: " + ", ".join(OUTCOMES) + ".",
        "ready": "Whether a failover is possible now: True or False.",
        "reason": "Reason of the condition Stalled, as listed in Troubleshooting, or Other.",
        "resource": "Kubernetes resource, with its subresource.",
        "result": "Result of a step: done or failed.",
        "server": "Server id in its zone; -1: the only server.",
        "status": "Condition status: True, False or Unknown. A missing condition counts as False.",
        "to": "SovereignCloud that is measured, as namespace/name.",
        "verb": "Verb of a Kubernetes request: create, update, patch, delete.",
        "version": "Version of the operator.",
    }
)

_RECONCILE = (0.005, 0.02, 0.1, 0.5, 2, 10, 60)
_STEP = (0.05, 0.2, 1, 5, 30, 120)
_REQUEST = (0.02, 0.1, 0.5, 2, 10, 60)
_WAIT = (0.01, 0.1, 0.5, 2, 10, 60)
_SWEEP = (0.01, 0.1, 0.5, 2, 10, 60)

BUILD = Family("sovereign_build_info", Shape.GAUGE, "Version of the running operator. Always 1.", ("version",))
LEASE = Family("sovereign_lease_held", Shape.GAUGE, "1 if this process holds the Lease and may write.")
WATCHED = Family(
    "sovereign_watch_last_event_timestamp_seconds", Shape.GAUGE, "Time of the last watch event from the API server."
)
RECONCILES = Family(
    "sovereign_reconcile_duration_seconds",
    Shape.HISTOGRAM,
    "Duration of reconciles, by outcome.",
    ("kind", "outcome"),
    _RECONCILE,
)
IN_FLIGHT = Family("sovereign_reconciles_in_flight", Shape.GAUGE, "Number of running reconciles.")
OLDEST = Family(
    "sovereign_reconcile_oldest_seconds",
    Shape.GAUGE,
    "Duration so far of the oldest running reconcile.",
)
QUEUE = Family("sovereign_queue_depth", Shape.GAUGE, "Objects waiting in the queue.", ("lane",))
QUEUE_WAIT = Family(
    "sovereign_queue_wait_seconds", Shape.HISTOGRAM, "Time that objects waited in the queue.", ("lane",), _WAIT
)
STEPS = Family("sovereign_steps_total", Shape.COUNTER, "Plan steps executed.", ("kind", "action", "result"))
STEP_TIME = Family(
    "sovereign_step_duration_seconds", Shape.HISTOGRAM, "Duration of plan steps.", ("kind", "action"), _STEP
)
REQUESTS = Family(
    "sovereign_external_requests_total",
    Shape.COUNTER,
    "External requests sent, by response code.",
    ("api", "endpoint", "code"),
)
RETRIES = Family(
    "sovereign_external_retries_total", Shape.COUNTER, "Retries of external requests within one call.", ("api",)
)
REQUEST_TIME = Family(
    "sovereign_external_request_duration_seconds",
    Shape.HISTOGRAM,
    "Duration of external requests, without the wait for the rate limit.",
    ("api", "endpoint"),
    _REQUEST,
)
WRITES = Family(
    "sovereign_kubernetes_writes_total",
    Shape.COUNTER,
    "Successful writes to the API server. While nothing changes only Lease writes grow.",
    ("verb", "resource"),
)
BUDGET = Family(
    "sovereign_external_budget_requests",
    Shape.GAUGE,
    "Requests available at once in the rate limit of an account. Negative: number of waiting requests.",
    ("api", "account"),
)
BUDGET_SIZE = Family(
    "sovereign_external_budget_limit_requests",
    Shape.GAUGE,
    "Maximum burst of requests of an account.",
    ("api", "account"),
)
HELD_OFF = Family(
    "sovereign_external_held_off_seconds",
    Shape.GAUGE,
    "Remaining pause of an account after a rate-limit response (429, Retry-After).",
    ("api", "account"),
)
BREAKER = Family(
    "sovereign_external_breaker_open",
    Shape.GAUGE,
    "1 if the circuit breaker of an account is open, because its API is down.",
    ("api", "account"),
)
SWEEPS = Family(
    "sovereign_sweep_duration_seconds",
    Shape.HISTOGRAM,
    "Duration of sweeps, which compare every object of an account with its view.",
    ("api",),
    _SWEEP,
)
SWEPT = Family(
    "sovereign_sweep_last_success_timestamp_seconds",
    Shape.GAUGE,
    "Time of the last complete sweep of an account; start of its watch before the first one.",
    ("api", "account"),
)
FAILED_READS = Family(
    "sovereign_sweep_failed_reads", Shape.GAUGE, "Consecutive failed reads of an account.", ("api", "account")
)
LATENCY = Family(
    "sovereign_cloud_latency_seconds",
    Shape.GAUGE,
    "Fastest of the last small API calls from the operator to a cloud.",
    ("account",),
)
SITE_LATENCY = Family(
    "sovereign_site_latency_seconds",
    Shape.GAUGE,
    "Round-trip time from the front-end of a cloud to the endpoint of another cloud in its namespace. Absent if the operator cannot"
    " log in at the front-end or its sshd forwards no connections.",
    ("from", "to"),
)
BRAKES = Family(
    "sovereign_brakes_held_changes",
    Shape.GAUGE,
    "Changes of an account that the change limits hold until a person approves them.",
    ("account",),
)
ZONE_TERM = Family(
    "sovereign_zone_raft_term",
    Shape.GAUGE,
    "Raft term of a server in its zone; it grows with each election.",
    ("account", "server"),
)
ZONE_LOG = Family(
    "sovereign_zone_raft_log_index",
    Shape.GAUGE,
    "Last index in the Raft log of a server. If it stays above the commit index, there is no majority.",
    ("account", "server"),
)
ZONE_COMMIT = Family(
    "sovereign_zone_raft_commit_index", Shape.GAUGE, "Last Raft index that a majority has.", ("account", "server")
)
ZONE_FEDLOG = Family(
    "sovereign_zone_federation_log_index",
    Shape.GAUGE,
    "Last index of the federation log of a server; -1: not federated.",
    ("account", "server"),
)
ZONE_LAG = Family(
    "sovereign_zone_lag_records",
    Shape.GAUGE,
    "Federation log records by which a slave lagged at the last read.",
    ("account",),
)
MACHINES = Family(
    "sovereign_cloud_machines",
    Shape.GAUGE,
    "VMs in a cloud, including those not created by the operator.",
    ("account",),
)
MOVABLE = Family(
    "sovereign_cloud_movable_machines",
    Shape.GAUGE,
    "VMs of a cloud that could move elsewhere now, within policies, quotas and free capacity.",
    ("account",),
)
OBJECTS = Family("sovereign_objects", Shape.GAUGE, "Custom resources known to the operator.", ("kind",))
BY_CONDITION = Family(
    "sovereign_object_conditions", Shape.GAUGE, "Custom resources by condition status.", ("kind", "condition", "status")
)
STALLED = Family(
    "sovereign_stalled_objects", Shape.GAUGE, "Custom resources that need a person, by reason.", ("kind", "reason")
)
DRIFT = Family(
    "sovereign_drift_fields", Shape.GAUGE, "Fields that differ from their spec and are not ignored.", ("kind",)
)
DRIFT_SINCE = Family(
    "sovereign_drift_oldest_timestamp_seconds",
    Shape.GAUGE,
    "Time since which the oldest drift to be corrected exists. Absent without drift.",
    ("kind",),
)
FAILOVER_READY = Family(
    "sovereign_failover_machines",
    Shape.GAUGE,
    "Instances with spec.continuity, by whether a failover is possible if their cloud is lost.",
    ("ready",),
)
COPY_AGE = Family(
    "sovereign_instance_copy_age_seconds",
    Shape.GAUGE,
    "Highest age of the newest copy outside the cloud, over all instances with spec.continuity and such a copy. Absent without"
    " copies.",
)
FAILED_OVER = Family(
    "sovereign_instance_last_failover_timestamp_seconds",
    Shape.GAUGE,
    "Time of the last failover of an instance. Absent before the first.",
)
POLICY_OBJECTS = Family(
    "sovereign_policy_objects",
    Shape.GAUGE,
    "Custom resources to which a SovereigntyPolicy applies, by compliance.",
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
