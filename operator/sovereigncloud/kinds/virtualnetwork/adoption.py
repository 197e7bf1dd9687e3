"""Adoption and release of an existing network."""

from __future__ import annotations

from datetime import timedelta

from sovereigncloud.api.common.base import DeletionPolicy, Key
from sovereigncloud.api.virtualnetwork import VirtualNetwork
from sovereigncloud.core.identity import Mark
from sovereigncloud.core.outcome import Outcome
from sovereigncloud.core.plan import Action, Plan
from sovereigncloud.kinds.contract.cloud_keys import where
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.identity.adoption import OWNER_FACT, asked, identify_asked, may_adopt, releasing
from sovereigncloud.kinds.identity.identification import Identified, identify
from sovereigncloud.kinds.virtualnetwork.reservation import has_copied_mark
from sovereigncloud.kinds.virtualnetwork.steps import MarkNetwork, ReleaseNetwork
from sovereigncloud.ports.opennebula.views import CloudView, Network

_PATIENCE = timedelta(minutes=10)


def which(resource: VirtualNetwork, cloud: Key, view: CloudView, owner: int, mark: Mark) -> Identified[Network]:
    """Find the network: the adopted id, else the recorded id or the mark."""
    recorded, adopt = resource.external.get("network"), resource.spec.adopt
    if adopt is not None:
        among = may_adopt(cloud, resource.metadata.namespace, None)
        return identify_asked(asked(adopt, resource.external, recorded, among), view.networks, owner, mark, "network")
    there = view.networks.get(int(recorded)) if recorded and recorded.isdigit() else None
    if there is not None and resource.external.get(OWNER_FACT) == str(there.owner):
        owner = there.owner  # whose it was when it was adopted
    marked = {number: one for number, one in view.networks.items() if not has_copied_mark(one, view)}
    return identify(recorded, marked, owner, mark, "network")


def adoption(network: Network, cloud: Key) -> MarkNetwork:
    """Build the step that adopts a network."""
    what = f'network {network.id} "{network.name}" in {where(cloud)}'
    return MarkNetwork(
        action=Action.MARK, target=what, cloud=cloud, network=network.id, adopting=True, owner=network.owner
    )


def is_let_go(resource: VirtualNetwork) -> bool:
    """Whether deletion only removes the operator's marks from an adopted network."""
    return resource.deleting and resource.adopted and resource.deletion_policy is DeletionPolicy.RETAIN


def release_timed_out(resource: VirtualNetwork, context: Context) -> bool:
    """Whether an unreachable cloud has delayed a release long enough; the mark then stays."""
    since = resource.metadata.deletion_timestamp
    return is_let_go(resource) and since is not None and context.now - since > _PATIENCE


def plan_release(problem: Outcome | None, found: Identified[Network], cloud: Key | None) -> Plan:
    """Plan the release of an adopted network; empty where it is gone or not this object's."""
    if problem is not None:
        return Plan(outcome=problem)
    network = found.thing
    if network is None or cloud is None or found.adoptable:
        return Plan()
    what = f'marks of network {network.id} "{network.name}" in {where(cloud)}'
    step = ReleaseNetwork(action=Action.UPDATE, target=what, cloud=cloud, network=network.id)
    return releasing(step)
