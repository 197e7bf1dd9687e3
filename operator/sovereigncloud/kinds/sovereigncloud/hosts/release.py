"""Unregister the hosts of a cloud that is deleted.

Its DNS names and IP blocks are next (`network`).

Its servers are released only after the cloud recorded `RELEASED`: in a foreground deletion they have a deletionTimestamp
from the first second on.
"""

from __future__ import annotations

from collections.abc import Iterable

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.core.identity import Mark, Ownership, ownership
from sovereigncloud.core.outcome import waiting
from sovereigncloud.core.plan import Action, Plan, Step
from sovereigncloud.kinds.endpoint.deletion import RELEASED
from sovereigncloud.kinds.sovereigncloud.hosts.draining import DeleteHost, DisableHost
from sovereigncloud.kinds.sovereigncloud.hosts.hosts import DISABLED, LEAVING_NOTE
from sovereigncloud.ports.opennebula.views import Host

_PATH = "spec.deletionPolicy"
_DELETED = "deleted"


def own_hosts(hosts: Iterable[Host], mark: Mark) -> tuple[Host, ...]:
    """Return the hosts that carry the mark of this cloud, ordered by id."""
    mine = {Ownership.OURS, Ownership.PREDECESSOR}
    return tuple(sorted((h for h in hosts if ownership(h.mark, mark) in mine), key=lambda h: h.id))


def plan_unregistration(hosts: tuple[Host, ...]) -> Plan:
    """Plan to disable and delete the hosts in OpenNebula."""
    return Plan(steps=tuple(s for host in hosts for s in _unregister(host)))


def _unregister(host: Host) -> tuple[Step, ...]:
    named = f"host {host.id} ({host.name})"
    delete = DeleteHost(action=Action.DELETE, target=named, fields=(_PATH,), host_id=host.id)
    if host.state in DISABLED:
        return (delete,)
    # Disabled first, so that no VM is placed there between the check and the deletion.
    note = host.notes.get(LEAVING_NOTE) or _DELETED
    disable = DisableHost(
        action=Action.UPDATE,
        target=f"{named}, disabled since its cloud is deleted",
        fields=(_PATH,),
        host_id=host.id,
        note=note,
    )
    return disable, delete


def record_release() -> Plan:
    """Record RELEASED, before any server is deleted."""
    message = "hosts, names and IP blocks are released; the servers are deleted next"
    return Plan(outcome=waiting(Reason.DELETING_CHILDREN, message, after=0.05).with_facts(**{RELEASED: "yes"}))
