"""What the operator would do: its own observe, plan and decide, on objects from files, in a world that only reads.

An object may need what another one brings: an instance needs the endpoint that its cloud answers at, a cloud needs the
address of the server that it composes. So every object is looked at, what the operator would write about it to Kubernetes
is imagined, and all are looked at again until nothing new comes of it. Reads of clouds and accounts are made once.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from sovereigncloud.api import KINDS, SovereignCloud
from sovereigncloud.api.common.base import Key, Management
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.commands.plan.apply_preview import applied, changes
from sovereigncloud.commands.plan.declared import Declared
from sovereigncloud.commands.plan.dry_run_api import ImaginedKubernetes
from sovereigncloud.commands.plan.manifest_validation import server_rules
from sovereigncloud.commands.plan.report import ObjectPlan, PlannedStep, Presence, Report, with_brakes
from sovereigncloud.commands.shared.connections import Cluster, Connections
from sovereigncloud.commands.shared.loading import load
from sovereigncloud.core.change_limits import Limits
from sovereigncloud.core.conditions import timestamp
from sovereigncloud.core.outcome import Outcome, Phase, blocked, stalled, waiting
from sovereigncloud.core.plan import Step, plan_hash
from sovereigncloud.engine.cache.store import AnyResource, Store
from sovereigncloud.engine.loop.context import Shared
from sovereigncloud.engine.loop.evaluate import Evaluation, Subject, evaluate, gate, policy_of, said, status_patch
from sovereigncloud.engine.loop.history import ReconcileHistory
from sovereigncloud.engine.loop.outcomes import outcome_of
from sovereigncloud.engine.loop.read_only_context import (
    ReadOnlyContext,
    Views,
    WriteRefusedError,
    reading_open_nebula,
    reading_ovh,
)
from sovereigncloud.engine.views.clients import Clients
from sovereigncloud.engine.views.cloud_watch import ViewWatch
from sovereigncloud.kinds.endpoint.endpoint import generated_secret
from sovereigncloud.ports.errors import MissingSecret, NotYet, OutsideError
from sovereigncloud.ports.installer.federation import FederationChange
from sovereigncloud.ports.installer.installation import Installation, Installer, InstallState
from sovereigncloud.ports.installer.validation import Validation, ValidationState

Json = dict[str, Any]

_ROUNDS = 8
"""Rounds until nothing new comes; the longest chain today is Secret, server, cloud, network, instance."""
_UNKNOWN_INSTALLATION = "not-installed-yet"
_ORDER = {kind.crd.kind: number for number, kind in enumerate(KINDS)}


class NoInstaller:
    """Without a cluster no Job was ever run."""

    async def state(self, installation: Installation) -> InstallState:  # noqa: ARG002 - none, whatever is asked
        return InstallState("Absent")

    async def start(self, installation: Installation) -> None:
        raise WriteRefusedError(f"the installer of {installation.cloud} is not started here")

    async def validation(self, wanted: Validation) -> ValidationState:  # noqa: ARG002 - as above
        return ValidationState("Absent")

    async def validate(self, wanted: Validation) -> None:
        raise WriteRefusedError(f"the suite for {wanted.installation.cloud} is not started here")

    async def federation(self, change: FederationChange) -> InstallState:  # noqa: ARG002 - as above
        return InstallState("Absent")

    async def federate(self, change: FederationChange) -> None:
        raise WriteRefusedError(f"{change.cloud} is not changed here")


class Planner:
    """Plans what files declare, against a cluster or without one.

    Args:
        doors: to the outside.
        cluster: None: everything that is referred to is in the files.
        contents: of the files.
        strict: unexpected errors are raised, for whoever debugs.
    """

    def __init__(
        self, connections: Connections, cluster: Cluster | None, contents: Declared, *, strict: bool = False
    ) -> None:
        self._doors, self._cluster, self._contents, self._strict = connections, cluster, contents, strict
        self._store = Store()
        self._imagined = ImaginedKubernetes(
            self._store, self._put, contents.secrets, cluster.reads if cluster else None, timestamp(connections.now())
        )
        self._views = Views()
        self._live: dict[Key, Json] = {}
        self._plans: dict[Key, ObjectPlan] = {}
        self._composing: dict[Key, dict[str, Step]] = {}
        self._notes: list[str] = []

    async def report(self) -> Report:
        """Look at everything. Raises CommandError when the cluster cannot be read."""
        await self._load()
        shared = await self._shared()
        for _ in range(_ROUNDS):
            before = self._state()
            for key in self._keys():
                self._plans[key] = await self._look(key, shared)
            if self._state() == before:
                break
        kinds = dict.fromkeys(k.kind for k in self._contents.objects)
        self._note_generated_secrets()
        self._note_brakes()
        return Report(
            cluster=self._cluster.host if self._cluster else "",
            objects=tuple(self._plans[k] for k in self._keys()),
            notes=tuple(self._notes),
            unchecked=() if self._contents.live else tuple(rule for kind in kinds for rule in server_rules(kind)),
        )

    # --- what is there -----------------------------------------------------------------------------------------------

    async def _load(self) -> None:
        if self._cluster:
            self._live = await load(self._cluster.reads, {k.namespace for k in self._contents.objects})
        for body in self._live.values():
            self._put(body)
        for key, document in self._contents.objects.items():
            self._put(applied(key, document.body, self._live.get(key)))
        await self._load_referenced()

    async def _load_referenced(self) -> None:
        """What is referred to in namespaces that may not be listed."""
        if self._cluster is None:
            return
        for key in tuple(self._contents.objects):
            stored = self._store.stored(key)
            uses = (*((stored.uses.cloud,) if stored.uses.cloud else ()), *stored.uses.objects) if stored else ()
            for used in uses:
                if self._store.stored(used) is None:
                    try:
                        body = await self._cluster.reads.object(used)
                    except OutsideError as error:
                        self._notes.append(f"{used} cannot be read: {error}")
                        continue
                    if body is not None:
                        self._put({"kind": used.kind, **body})

    def _put(self, body: Json) -> None:
        key, _ = self._store.put(body)
        resource = self._store.get(key)
        if resource is not None:
            self._store.set_uses(key, self._doors.controllers[key.kind].uses(resource))

    async def _shared(self) -> Shared:
        settings = self._doors.settings
        kubernetes = self._imagined
        return Shared(
            store=self._store,
            tracks=ReconcileHistory(started=0.0, grace=0.0),
            clients=Clients(kubernetes, reading_open_nebula(self._doors.open_nebula), reading_ovh(self._doors.ovh)),
            kubernetes=kubernetes,
            installer=self._installer,
            installation=await self._installation(),
            plain_http_hosts=frozenset(settings.plain_http_hosts),
            now=self._doors.now,
            watch_of_cloud=_no_watch,
            watch_of_account=_no_watch,
            own_namespace=settings.namespace,
        )

    @property
    def _installer(self) -> Installer:
        return self._cluster.installer if self._cluster else NoInstaller()

    async def _installation(self) -> str:
        settings = self._doors.settings
        if settings.installation_id:
            return settings.installation_id
        if self._cluster:
            try:
                kept = await self._cluster.reads.config_map(settings.namespace, self._doors.installation_map)
            except OutsideError:
                kept = None
            if kept and kept.get("id"):
                return kept["id"]
        self._notes.append(
            "the installation id is not known: what carries a mark outside counts as another installation's;"
            " set SOVEREIGN_INSTALLATION_ID to plan as the operator that made it"
        )
        return _UNKNOWN_INSTALLATION

    def _keys(self) -> list[Key]:
        """From files and what those compose, what others need first."""
        declared = {key: number for number, key in enumerate(self._contents.objects)}
        owned = [k for k in self._store.keys("") if k not in declared and self._owner(k) in declared]
        wanted = dict.fromkeys([*declared, *owned, *self._imagined.touched])
        return sorted(wanted, key=lambda k: (_ORDER[k.kind], declared.get(k, len(declared)), k))

    def _owner(self, key: Key) -> Key | None:
        stored = self._store.stored(key)
        references = stored.body()["metadata"].get("ownerReferences") or () if stored else ()
        return next((Key(r["kind"], key.namespace, r["name"]) for r in references if r.get("controller")), None)

    def _state(self) -> dict[Key, Json]:
        """What is known of what is planned. Versions do not count: they change with each imagined write."""
        found = {}
        for key in self._keys():
            stored = self._store.stored(key)
            if stored is not None:
                body = stored.body()
                found[key] = {**body, "metadata": {**body["metadata"], "resourceVersion": ""}}
        return found

    # --- looking -----------------------------------------------------------------------------------------------------

    async def _look(self, key: Key, shared: Shared) -> ObjectPlan:
        base = self._base(key)
        try:
            resource = self._store.parse(key)
        except ValidationError as error:
            fields = "; ".join(f"{'.'.join(str(p) for p in e['loc'])}: {e['msg']}" for e in error.errors()[:5])
            return replace(base, outcome=stalled(Reason.INVALID_SPEC, fields), failed=True)
        if resource is None:
            return replace(base, outcome=blocked(f"{key} would be gone"))
        controller = self._doors.controllers[key.kind]
        uses = controller.uses(resource)
        outcome = gate(resource, uses, self._store)
        missing = uses.cloud is not None and self._store.stored(uses.cloud) is None
        if outcome.phase is not Phase.DONE:
            return replace(base, outcome=outcome, failed=missing)
        try:
            context = ReadOnlyContext(shared, resource, self._views)
            examination = await evaluate(controller, resource, context, self._store)
            await self._imagine(resource, examination, shared)
        except NotYet as error:
            return replace(base, outcome=outcome_of(error))
        except (MissingSecret, OutsideError) as error:
            return replace(base, outcome=outcome_of(error), failed=True)
        except Exception as error:
            if self._strict:
                raise
            return replace(base, outcome=_unexpected(error), failed=True)
        planned = self._planned(base, resource, examination)
        return replace(planned, failed=planned.failed or (missing and planned.outcome.phase is Phase.BLOCKED))

    def _base(self, key: Key) -> ObjectPlan:
        document, live, stored = self._contents.objects.get(key), self._live.get(key), self._store.stored(key)
        changed = changes(live.get("spec"), stored.body()["spec"]) if live and stored else []
        presence = Presence.NEW if live is None else Presence.CHANGED if changed else Presence.UNCHANGED
        if self._cluster is None:
            presence = Presence.UNKNOWN
        owner = self._owner(key)
        return ObjectPlan(
            key,
            document.source if document else "",
            presence,
            Outcome(),
            composed_by=str(owner) if owner and not document else "",
            changed=tuple(changed),
        )

    def _planned(self, base: ObjectPlan, resource: AnyResource, examination: Evaluation) -> ObjectPlan:
        decision, outcome = examination.decision, said(examination)
        composing = self._composing.get(base.key, {})
        outside = [s for s in decision.steps if not s.inside]
        steps = [PlannedStep(s, now=True) for s in (*composing.values(), *outside)]
        why = self._why_held(resource, decision.hash)
        steps += [
            PlannedStep(s, now=False, held=s.needs or why)
            for s in decision.published
            if s not in decision.steps and not s.inside
        ]
        return replace(
            base,
            outcome=outcome,
            steps=tuple(steps),
            differences=examination.plan.drift,
            drift=decision.drift,
            hash=decision.hash,
            failed=outcome.phase in {Phase.STALLED, Phase.RETRY},
        )

    def _why_held(self, resource: AnyResource, digest: str) -> str:
        policy = policy_of(resource, self._doors.controllers[resource.crd.kind].uses(resource), self._store)
        if policy.paused:
            return "paused"
        if policy.management is Management.OBSERVE:
            return "management is Observe"
        if policy.management is Management.APPROVE or policy.adopting:
            return f"spec.approvedPlan: {digest}"
        return "an earlier step waits for consent"

    # --- imagining ---------------------------------------------------------------------------------------------------

    async def _imagine(self, resource: AnyResource, examination: Evaluation, shared: Shared) -> None:
        """What the operator would write to Kubernetes about it: children, generated Secrets, status."""
        facts: dict[str, str] = {}
        imagining = _DryRunContext(shared, resource, self._views, self._imagined)
        for step in examination.decision.steps:
            if step.inside:
                self._composing.setdefault(resource.key, {}).setdefault(plan_hash((step,)), step)
                controller = self._doors.controllers[resource.crd.kind]
                facts |= (await controller.perform(step, resource, imagining)).facts
        self._imagine_status(resource, examination, facts)

    def _imagine_status(self, resource: AnyResource, examination: Evaluation, facts: dict[str, str]) -> None:
        stored = self._store.stored(resource.key)
        if stored is None:
            return
        body = stored.body()
        outcome, spoke_of = said(examination), body["status"].get("observedGeneration")
        if examination.decision.steps and outcome.phase is Phase.DONE:
            first = examination.decision.steps[0]
            outcome = waiting(Reason.PLANNED, f"{first.action} {first.target} comes first", available=True)
        patch = status_patch(
            Subject.of(body), body["status"], outcome, now=self._doors.now(), examination=examination, facts=facts
        )
        status = _patched(body["status"], patch)
        if outcome.phase is not Phase.DONE:
            # Only what is as declared becomes settled: nothing that was found in this plan may turn into drift in it.
            status["observedGeneration"] = spoke_of
        body["status"] = {k: v for k, v in status.items() if v is not None}
        if body["status"] != stored.body()["status"]:
            body["metadata"]["resourceVersion"] = f"{stored.version}+"
            self._put(body)

    # --- notes ------------------------------------------------------------------------------------------------------

    def _note_generated_secrets(self) -> None:
        """What the operator generated is in the cluster alone: without it a cloud that stands looks bereft of it."""
        for key in self._contents.objects if self._cluster is None else ():
            cloud = self._store.get(key)
            hosted = cloud.spec.hosted if isinstance(cloud, SovereignCloud) else None
            if not isinstance(cloud, SovereignCloud) or hosted is None or hosted.open_nebula.install is None:
                continue
            name = generated_secret(cloud)
            if (key.namespace, name) not in self._contents.secrets:
                self._notes.append(
                    f"{key}: Secret {key.namespace}/{name}, which the operator makes for it, is not in the files:"
                    " if the cloud is installed already, add it, or plan against the cluster"
                )

    def _note_brakes(self) -> None:
        """Whether what was observed asks for more at once than the operator would do without being asked to."""
        settings = self._doors.settings
        limits = Limits(settings.brake_objects, settings.brake_fraction)
        by_cloud: dict[Key, list[str]] = {}
        for key, plan in self._plans.items():
            stored = self._store.stored(key)
            cloud = stored.uses.cloud if stored and stored.uses.cloud else key
            by_cloud.setdefault(cloud, []).extend(with_brakes(plan.steps))
        for cloud, dangerous in by_cloud.items():
            allowed = limits.allowed(max(sum(1 for _ in self._store.users(cloud)), 1))
            if len(dangerous) > allowed:
                self._notes.append(
                    f"{cloud}: {len(dangerous)} changes that recreate, delete or disrupt were asked for by what was"
                    f" found; the operator does at most {allowed} at once and would stop with TooManyChanges"
                )


class _DryRunContext(ReadOnlyContext):
    """Steps that stay inside Kubernetes write to memory; the outside stays read-only."""

    def __init__(self, shared: Shared, resource: AnyResource, views: Views, imagined: ImaginedKubernetes) -> None:
        super().__init__(shared, resource, views)
        self._imagined = imagined

    @property
    def kubernetes(self) -> ImaginedKubernetes:
        return self._imagined


def _unexpected(error: Exception) -> Outcome:
    # A ValueError of ours says which value is wrong; any other text may hold anything.
    text = f": {error}" if type(error) is ValueError else ""
    return stalled(
        Reason.CANNOT_PLAN,
        f"{type(error).__name__}{text}: perhaps a rule is broken that only the API server checks"
        " (kubectl apply --dry-run=server); sovereign --debug plan shows where",
    )


def _patched(status: Json, patch: Json) -> Json:
    """A JSON merge patch applied."""
    out = dict(status)
    for key, value in patch.items():
        if value is None:
            out.pop(key, None)
        elif isinstance(value, dict):
            out[key] = _patched(out.get(key) or {}, value)
        else:
            out[key] = value
    return out


def _no_watch(*_: object) -> ViewWatch[Any]:
    raise WriteRefusedError("nothing is watched here")
