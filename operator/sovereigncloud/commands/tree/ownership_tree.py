"""The tree of what belongs to what, as values. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sovereigncloud.api.common.base import Key
from sovereigncloud.commands.shared.condition_summary import Health, State, missing, state_of, unreadable
from sovereigncloud.commands.shared.resource_graph import CLOUD, GROUP, IMAGE, INSTANCE, NETWORK, SERVER, ResourceGraph

Json = dict[str, Any]
SECRET = "Secret"  # noqa: S105 - a kind


class Relation(StrEnum):
    """How a line belongs to the one above it."""

    ROOT = "root"
    COMPOSED = "composed"  # made by the object above, and goes with it
    MEMBER = "member"  # in the cloud above
    USES = "uses"  # the object above cannot do without it
    USED_BY = "usedBy"  # uses the object above


@dataclass(frozen=True, slots=True)
class Node:
    """A line of the tree."""

    key: Key
    relation: Relation
    state: State
    children: tuple[Node, ...] = ()

    def as_json(self) -> Json:
        """With stable keys."""
        return {
            "kind": self.key.kind,
            "namespace": self.key.namespace,
            "name": self.key.name,
            "relation": str(self.relation),
            **self.state.as_json(),
            "children": [child.as_json() for child in self.children],
        }

    def walk(self) -> Iterable[Node]:
        """Itself and everything below."""
        yield self
        for child in self.children:
            yield from child.walk()


def forest(resource_graph: ResourceGraph, secrets: Mapping[tuple[str, str], bool | None]) -> tuple[Node, ...]:
    """All clouds with what is in them, then what is in none.

    Args:
        resource_graph: what is there.
        secrets: (namespace, name) -> whether it is there; None, or absent: it may not be read.
    """
    roots = [tree(cloud, resource_graph, secrets) for cloud in resource_graph.clouds()]
    loose = [tree(key, resource_graph, secrets) for key in resource_graph.loose()]
    return (*roots, *loose)


def tree(key: Key, resource_graph: ResourceGraph, secrets: Mapping[tuple[str, str], bool | None]) -> Node:
    """One object and what belongs to it: a cloud with everything in it; else what it uses and who uses it."""
    build = _Builder(resource_graph, secrets)
    return build.cloud(key) if key.kind == CLOUD else build.other(key)


def needed_secrets(resource_graph: ResourceGraph) -> set[tuple[str, str]]:
    """The Secrets whose presence the tree shows."""
    return {(key.namespace, name) for key in resource_graph.everything() for name in resource_graph.secrets(key)}


class _Builder:
    def __init__(self, resource_graph: ResourceGraph, secrets: Mapping[tuple[str, str], bool | None]) -> None:
        self._landscape, self._secrets = resource_graph, secrets

    def cloud(self, key: Key) -> Node:
        members = [
            self._node(member, self._of_a_member(member, key), self._own_secrets(member, key))
            for kind in (SERVER, NETWORK, IMAGE, GROUP, INSTANCE)
            for member in self._landscape.members(key, kind)
        ]
        return self._node(key, Relation.ROOT, (*members, *self._secret_nodes(key)))

    def other(self, key: Key) -> Node:
        resource_graph = self._landscape
        used = list(resource_graph.clouds_of(key))
        if key.kind == INSTANCE:
            image = resource_graph.image_of(key)
            used += [network for _, network in resource_graph.networks_of(key) if network]
            used += [image[1]] if image and image[1] else []
            used += resource_graph.groups_of(key)
        children = [self._node(one, Relation.USES) for one in used]
        children += self._secret_nodes(key)
        if key.kind in {NETWORK, IMAGE, GROUP}:
            children += [self._node(user, Relation.USED_BY) for user in resource_graph.instances_on(key)]
        return self._node(key, Relation.ROOT, tuple(children))

    def _node(self, key: Key, relation: Relation, children: tuple[Node, ...] = ()) -> Node:
        return Node(key, relation, state_in(self._landscape, key), children)

    def _of_a_member(self, member: Key, cloud: Key) -> Relation:
        resource, above = self._landscape.get(member), self._landscape.get(cloud)
        owners = resource.metadata.owner_references if resource else ()
        composed = above is not None and any(o.controller and o.uid == above.metadata.uid for o in owners)
        return Relation.COMPOSED if composed else Relation.MEMBER

    def _own_secrets(self, member: Key, cloud: Key) -> tuple[Node, ...]:
        """Its Secrets, where the cloud does not show them already."""
        shown = set(self._landscape.secrets(cloud)) if member.namespace == cloud.namespace else set()
        return tuple(node for node in self._secret_nodes(member) if node.key.name not in shown)

    def _secret_nodes(self, key: Key) -> tuple[Node, ...]:
        return tuple(
            Node(Key(SECRET, key.namespace, name), Relation.USES, _secret(self._secrets.get((key.namespace, name))))
            for name in self._landscape.secrets(key)
        )


def state_in(resource_graph: ResourceGraph, key: Key) -> State:
    """Of an object that may not be there."""
    resource = resource_graph.get(key)
    if resource is not None:
        return state_of(resource)
    return unreadable() if key in resource_graph else missing()


def _secret(there: bool | None) -> State:
    if there is None:
        return State(Health.UNKNOWN, reason="MayNotBeRead", message="you may not read it, so nobody knows here")
    if there:
        return State(Health.READY, reason="Exists")
    return State(Health.MISSING, reason="DoesNotExist", message="it is referred to, and not there: create it")
