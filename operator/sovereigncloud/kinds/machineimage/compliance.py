"""The condition Compliant of a MachineImage: whether it may lie where the datastores are that it is in, in each of its clouds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from sovereigncloud.api import SovereignCloud
from sovereigncloud.api.common.base import Key
from sovereigncloud.api.machineimage import MachineImage
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.location.facts import facts_of_images
from sovereigncloud.kinds.sovereigncloud.location.observation import profile_of
from sovereigncloud.sovereignty.evaluation import Result, compliance, evaluate
from sovereigncloud.sovereignty.facts import Facts


def judged_images(
    resource: MachineImage, kept: Iterable[tuple[Key, str]], context: Context
) -> Mapping[str, str] | None:
    """The condition; None where no policy binds it, or it is nowhere yet.

    Args:
        resource: the image, for its exceptions.
        kept: its clouds, each with the datastore that it is in.
        context: what is known of the clouds.
    """
    results = [result for cloud, datastore in kept for result in _judged_in(resource, cloud, datastore, context)]
    return compliance(results)


def _judged_in(resource: MachineImage, key: Key, datastore: str, context: Context) -> list[Result]:
    rules, cloud = context.policies(resource.metadata.namespace, key), context.get(key)
    if not rules or not isinstance(cloud, SovereignCloud):
        return []
    facts = facts_of_images(cloud, profile_of(cloud, context), datastores=[datastore])
    if len(resource.spec.cloud_refs) > 1:
        facts = _named(facts, key)
    namespace, name = resource.metadata.namespace, resource.metadata.name
    return [result for one in rules for result in evaluate(one, facts, namespace=namespace, name=name)]


def _named(facts: Facts, cloud: Key) -> Facts:
    """Of several clouds each may have a datastore of that name."""
    named = {
        part: tuple(replace(place, what=f"{place.what} of {where(cloud)}") for place in places)
        for part, places in facts.places.items()
    }
    return replace(facts, places=named)
