"""A network that was there before: which one spec names by its id, and how it is let go without a trace."""

from __future__ import annotations

from datetime import timedelta

from sovereigncloud.api.common.base import DeletionPolicy, Key
from sovereigncloud.api.virtualnetwork import VirtualNetwork
from sovereigncloud.core.identity import Mark
from sovereigncloud.core.outcome import Outcome
from sovereigncloud.core.plan import Action, Plan
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.identity.adoption import OWNER_FACT, asked, identify_asked, may_adopt, releasing
from sovereigncloud.kinds.identity.identification import Identified, identify
from sovereigncloud.kinds.virtualnetwork.reservation import has_its_parents_mark
from sovereigncloud.kinds.virtualnetwork.steps import MarkNetwork, ReleaseNetwork
from sovereigncloud.ports.opennebula.views import CloudView, Network

_PATIENCE = timedelta(minutes=10)


def which(resource: VirtualNetwork, cloud: Key, view: CloudView, owner: int, mark: Mark) -> Identified[Network]:
    """The one that spec names; else the one that was recorded, or carries the mark."""
    recorded, adopt = resource.external.get("network"), resource.spec.adopt
    if adopt is not None:
        among = may_adopt(cloud, resource.metadata.namespace, None)
        return identify_asked(asked(adopt, resource.external, recorded, among), view.networks, owner, mark, "network")
    there = view.networks.get(int(recorded)) if recorded and recorded.isdigit() else None
    if there is not None and resource.external.get(OWNER_FACT) == str(there.owner):
        owner = there.owner  # whose it was when it was adopted
    marked = {number: one for number, one in view.networks.items() if not has_its_parents_mark(one, view)}
    return identify(recorded, marked, owner, mark, "network")


def adoption(network: Network, cloud: Key) -> MarkNetwork:
    """The step that makes it this object's."""
    what = f'network {network.id} "{network.name}" in {where(cloud)}'
    return MarkNetwork(
        action=Action.MARK, target=what, cloud=cloud, network=network.id, adopting=True, owner=network.owner
    )


def is_let_go(resource: VirtualNetwork) -> bool:
    """Whether its deletion takes nothing away but what the operator wrote on a network that was there before."""
    return resource.deleting and resource.adopted and resource.deletion_policy is DeletionPolicy.RETAIN


def has_waited_enough(resource: VirtualNetwork, context: Context) -> bool:
    """A cloud that does not come back must not hold what is only to be let go: then the mark stays on the network."""
    since = resource.metadata.deletion_timestamp
    return is_let_go(resource) and since is not None and context.now - since > _PATIENCE


def release(problem: Outcome | None, found: Identified[Network], cloud: Key | None) -> Plan:
    """One step; nothing where the network is gone, or is not this object's (any more)."""
    if problem is not None:
        return Plan(outcome=problem)
    network = found.thing
    if network is None or cloud is None or found.adoptable:
        return Plan()
    what = f'marks of network {network.id} "{network.name}" in {where(cloud)}'
    step = ReleaseNetwork(action=Action.UPDATE, target=what, cloud=cloud, network=network.id)
    return releasing(step)
