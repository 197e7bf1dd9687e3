"""What a deleted cloud gives back before its servers go: its hosts in OpenNebula; names and blocks are next (cloud_network).

Only once the cloud noted that this is over (`LET_GO`) may its servers leave: in a foreground deletion they have their
deletionTimestamp from the first second on.
"""

from __future__ import annotations

from collections.abc import Iterable

from sovereigncloud.api import SovereignCloud
from sovereigncloud.api.common.base import DeletionPolicy
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.core.identity import Mark, Ownership, ownership
from sovereigncloud.core.outcome import waiting
from sovereigncloud.core.plan import Action, Plan, Step
from sovereigncloud.kinds.sovereigncloud.hosts.draining import DeleteHost, DisableHost
from sovereigncloud.kinds.sovereigncloud.hosts.hosts import DISABLED, LEAVING_NOTE
from sovereigncloud.ports.opennebula.views import Host

LET_GO = "letGo"
"""In `status.external` of a cloud that is being deleted: hosts and blocks are given back, nothing holds its servers."""

_PATH = "spec.deletionPolicy"
_BY_A_DELETION = "deleted"


def ours(hosts: Iterable[Host], mark: Mark) -> tuple[Host, ...]:
    """The hosts that carry the mark of this cloud; what others registered stays."""
    mine = {Ownership.OURS, Ownership.PREDECESSOR}
    return tuple(sorted((h for h in hosts if ownership(h.mark, mark) in mine), key=lambda h: h.id))


def plan_giving_back(hosts: tuple[Host, ...]) -> Plan:
    """Take its hosts out of OpenNebula."""
    return Plan(steps=tuple(s for host in hosts for s in _unregister(host)))


def _unregister(host: Host) -> tuple[Step, ...]:
    named = f"host {host.id} ({host.name})"
    delete = DeleteHost(action=Action.DELETE, target=named, fields=(_PATH,), host_id=host.id)
    if host.state in DISABLED:
        return (delete,)
    # Disabled first: nothing is placed there between the look that found it empty and its end.
    note = host.notes.get(LEAVING_NOTE) or _BY_A_DELETION
    disable = DisableHost(
        action=Action.UPDATE,
        target=f"{named}, disabled since its cloud is deleted",
        fields=(_PATH,),
        host_id=host.id,
        note=note,
    )
    return disable, delete


def let_go() -> Plan:
    """Noted before any server goes."""
    message = "hosts, names and blocks are given back, the servers go next"
    return Plan(outcome=waiting(Reason.DELETING_CHILDREN, message, after=0.05).with_facts(**{LET_GO: "yes"}))


def gives_back(cloud: SovereignCloud) -> bool:
    """Whether its deletion changes anything outside."""
    return cloud.deletion_policy is DeletionPolicy.DELETE and cloud.spec.hosted is not None


def holds_its_servers(cloud: SovereignCloud) -> bool:
    """Whether a cloud that is being deleted needs its servers, and what is in it, still."""
    return gives_back(cloud) and LET_GO not in cloud.external
