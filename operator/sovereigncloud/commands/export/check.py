"""What is written must be what stands: each manifest is planned against it, as the operator would, and what differs is left
out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from pydantic import ValidationError

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.sovereigncloud import SovereignCloud
from sovereigncloud.core.identity import Mark
from sovereigncloud.core.outcome import Outcome, Phase
from sovereigncloud.core.plan import Plan
from sovereigncloud.engine.loop.evaluate import AnyController
from sovereigncloud.engine.loop.read_only_context import only_reads
from sovereigncloud.kinds.contract.controller import AnyResource, Context
from sovereigncloud.kinds.contract.reservations import Reservation
from sovereigncloud.kinds.exit_readiness.facts import InstanceFacts
from sovereigncloud.ports.errors import NotYet
from sovereigncloud.ports.installer.installation import Installer
from sovereigncloud.ports.kubernetes import Kubernetes
from sovereigncloud.ports.opennebula.client import OpenNebula
from sovereigncloud.ports.opennebula.views import CloudView
from sovereigncloud.ports.ovh.account import AccountView, Ovh
from sovereigncloud.sovereignty.rules import Rules
from sovereigncloud.sovereignty.verdict import Judged

Json = dict[str, Any]
_FIELD = re.compile(r"\bspec\.([A-Za-z]+)")
_NEEDED = frozenset({"adopt", "cloudRef", "cloudRefs", "placement", "management"})
_SPEC_IS_WRONG = frozenset({Reason.INVALID_SPEC, Reason.CANNOT_SHRINK, Reason.NO_ROOT_DISK})
_TRIES = 20
_PARTS = {"networks": ("securityGroups", "address")}
"""What can be left out of the entries of a field before it is left out as a whole."""


class Standing(Context):
    """The world of a kind that looks at one cloud, which is there and answers, and at nothing else.

    Args:
        cloud: with an endpoint.
        seen: what is in it.
        client: of it, which only reads.
        now: for what is planned.
    """

    def __init__(self, cloud: SovereignCloud, seen: CloudView, client: OpenNebula, now: datetime) -> None:
        self.cloud, self.seen, self._client, self._now = cloud, seen, client, now

    @property
    def now(self) -> datetime:
        return self._now

    @property
    def admitted(self) -> bool:
        return True

    @property
    def own_namespace(self) -> str:
        return ""

    @property
    def kubernetes(self) -> Kubernetes:
        return only_reads(cast("Kubernetes", None), frozenset(), "Kubernetes")

    @property
    def installer(self) -> Installer:
        return only_reads(cast("Installer", None), frozenset(), "the installer")

    def mark(self, resource: AnyResource) -> Mark:
        metadata = resource.metadata
        return Mark("export", f"{resource.crd.kind}/{metadata.namespace}/{metadata.name}", metadata.uid)

    def clouds(self, namespace: str) -> tuple[Key, ...]:
        return (self.cloud.key,) if namespace == self.cloud.metadata.namespace else ()

    def silent_since(self, cloud: Key) -> None:  # noqa: ARG002 - it answers
        return None

    def tenancy(self, namespace: str, cloud: Key) -> None:
        """Objects are written beside their cloud: nobody needs a Tenant."""

    def policies(self, namespace: str, cloud: Key) -> tuple[Rules, ...]:  # noqa: ARG002 - what stands is written down as it is
        return ()

    def judged(self, policy: str) -> tuple[Judged, ...]:  # noqa: ARG002 - no policy is written down
        return ()

    def beside(self, policy: str) -> tuple[tuple[Rules, ...], ...]:  # noqa: ARG002
        return ()

    def everything(self, kind: str) -> tuple[AnyResource, ...]:  # noqa: ARG002 - nothing is in the cluster yet
        return ()

    def inhabitants(self, cloud: Key) -> tuple[InstanceFacts, ...]:  # noqa: ARG002 - as above
        return ()

    def promise(self, cloud: Key, promise: Reservation) -> None:
        """Nothing is made."""

    def promised(self, cloud: Key, began: float) -> tuple[Reservation, ...]:  # noqa: ARG002 - as above
        return ()

    def distance(self, one: Key, other: Key) -> None:
        """There is one."""

    def get(self, key: Key) -> AnyResource | None:
        return self.cloud if key == self.cloud.key else None

    def users(self, key: Key, *kinds: str) -> Iterable[AnyResource]:  # noqa: ARG002 - nothing is in the cluster yet
        return ()

    async def has_secret(self, namespace: str, name: str) -> bool | None:  # noqa: ARG002 - nobody looks
        return None

    async def view(self, cloud: Key) -> CloudView:  # noqa: ARG002 - there is one
        return self.seen

    async def open_nebula(self, cloud: Key) -> OpenNebula:  # noqa: ARG002 - there is one
        return self._client

    async def open_nebula_with(self, cloud: Key, secret: str) -> OpenNebula:  # noqa: ARG002 - there is one
        return self._client

    async def open_nebula_for(
        self,
        cloud: Key,  # noqa: ARG002 - there is one
        namespace: str,  # noqa: ARG002
        vm: int | None = None,  # noqa: ARG002
        security_group: int | None = None,  # noqa: ARG002
        *,
        anew: bool = False,  # noqa: ARG002
    ) -> OpenNebula:
        return self._client

    async def ovh(self, endpoint: str, namespace: str, secret: str) -> Ovh:
        raise NotYet(f"{endpoint} {namespace} {secret}", after=0.0)

    async def account(self, endpoint: str, namespace: str, secret: str, vrack: str) -> AccountView:
        raise NotYet(f"{endpoint} {namespace} {secret} {vrack}", after=0.0)

    async def greeting(self, address: str, within: float) -> None:
        """Nobody asks."""

    def allows_plain_http(self, host: str) -> bool:  # noqa: ARG002 - it was asked already
        return True


@dataclass(frozen=True, slots=True)
class Checked:
    """A manifest that is what stands, or None; and what had to be left out, or why nothing is written."""

    document: Json | None
    comments: tuple[str, ...] = ()


async def checked(document: Json, controllers: Mapping[str, AnyController], context: Standing) -> Checked:
    """Plan it; leave out the field that differs; plan again."""
    controller = controllers[document["kind"]]
    spec, comments = dict(document["spec"]), list[str]()
    for _ in range(_TRIES):
        try:
            resource = controller.resource.model_validate({**document, "spec": spec, "status": {}})
        except ValidationError as error:
            where = ".".join(str(part) for part in error.errors()[0]["loc"])
            return Checked(None, (f"{where}: {error.errors()[0]['msg']}",))
        try:
            plan = controller.plan(resource, await controller.observe(resource, context), context.now)
        except ValueError as error:  # a value that none of ours would have
            return Checked(None, (*comments, str(error)))
        differs = _differs(plan)
        if differs is None:
            told = plan.outcome.message if plan.outcome.phase is Phase.STALLED else ""
            return Checked({**document, "spec": spec}, (*comments, *((told,) if told else ())))
        name, why = differs
        if name not in spec or name in _NEEDED:
            return Checked(None, (*comments, why))
        part = _less(spec, name)
        comments.append(f"spec.{name}{part} is left out: {why}")
    return Checked(None, tuple(comments))


def _less(spec: Json, name: str) -> str:
    """Leave out one thing of each entry, else the whole field; which thing it was."""
    entries = spec[name]
    for part in _PARTS.get(name, ()):
        if any(part in entry for entry in entries):
            spec[name] = [{key: value for key, value in entry.items() if key != part} for entry in entries]
            return f"[].{part}"
    del spec[name]
    return ""


def _differs(plan: Plan) -> tuple[str, str] | None:
    """The field of spec that is not what stands, and in what; None: nothing would be done."""
    for drift in plan.drift:
        return _field(drift.path), f"{drift.path} would be {drift.desired}, and is {drift.observed}"
    for step in plan.steps:
        if not step.inside and not step.only_marks:
            return _field(step.fields[0] if step.fields else ""), f"it would take: {step.action} {step.target}"
    outcome: Outcome = plan.outcome
    if outcome.phase is Phase.STALLED and (outcome.reason in _SPEC_IS_WRONG or _FIELD.match(outcome.message)):
        return _field(outcome.message), outcome.message
    return None


def _field(text: str) -> str:
    found = _FIELD.search(text)
    return found.group(1) if found else ""
