"""What belongs to what: clouds, and the servers, networks, images, instances and Secrets in them. Pure.

By references and ownerReferences, as the operator follows them; instances name networks and images by their names in
OpenNebula, and so they are found here, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

from sovereigncloud.api import (
    BareMetalServer,
    ExitPlan,
    FederatedZone,
    HostedInstance,
    InstanceMigration,
    MachineImage,
    SecurityGroup,
    SovereignCloud,
    Tenant,
    VirtualNetwork,
)
from sovereigncloud.api.common.base import Key
from sovereigncloud.engine.cache.store import AnyResource, Store
from sovereigncloud.engine.loop.evaluate import AnyController
from sovereigncloud.kinds.contract.controller import Uses
from sovereigncloud.kinds.contract.tenancy import key_of
from sovereigncloud.kinds.endpoint.clouds import referred, written_cloud
from sovereigncloud.kinds.hostedinstance.observation import bound_cloud, declared_cloud
from sovereigncloud.kinds.securitygroup.observation import declared_clouds as group_clouds
from sovereigncloud.kinds.securitygroup.observation import known_clouds

CLOUD, SERVER, ZONE, NETWORK, IMAGE, GROUP, TENANT, INSTANCE, MOVE, EXIT = (
    kind.crd.kind
    for kind in (
        SovereignCloud,
        BareMetalServer,
        FederatedZone,
        VirtualNetwork,
        MachineImage,
        SecurityGroup,
        Tenant,
        HostedInstance,
        InstanceMigration,
        ExitPlan,
    )
)
ORDER = {
    kind: number
    for number, kind in enumerate((CLOUD, SERVER, ZONE, NETWORK, IMAGE, GROUP, TENANT, INSTANCE, MOVE, EXIT))
}


class ResourceGraph:
    """Objects of ours and how they are connected.

    Args:
        bodies: as the API server told them; one that this version cannot read is kept by its key alone.
        controllers: know what their kinds refer to.
    """

    def __init__(self, bodies: Iterable[Mapping[str, Any]], controllers: Mapping[str, AnyController]) -> None:
        self._store, self._uses = Store(), dict[Key, Uses]()
        for body in bodies:
            key, _ = self._store.put(body)
            resource = self._store.get(key)
            self._uses[key] = controllers[key.kind].uses(resource) if resource else Uses()
        self._resources = {key: resource for key in self._uses if (resource := self._store.get(key)) is not None}

    def __contains__(self, key: Key) -> bool:
        return key in self._uses

    def everything(self, kind: str = "") -> list[Key]:
        """Everything that is there, or all of a kind, in a stable order."""
        return sorted((k for k in self._uses if kind in {"", k.kind}), key=in_order)

    def get(self, key: Key) -> AnyResource | None:
        """The object; None where there is none, or this version cannot read it."""
        return self._resources.get(key)

    def secrets(self, key: Key) -> tuple[str, ...]:
        """Names of the Secrets that it reads, in its namespace."""
        uses = self._uses.get(key)
        return tuple(secret.name for secret in uses.secrets) if uses else ()

    def clouds_of(self, key: Key) -> tuple[Key, ...]:
        """The clouds that it is in or wanted in, whether they are there or not."""
        resource = self.get(key)
        if resource is None:
            return ()
        namespace = resource.metadata.namespace
        match resource:
            case BareMetalServer():
                owners = resource.metadata.owner_references
                return tuple(Key(CLOUD, namespace, o.name) for o in owners if o.controller and o.kind == CLOUD)
            case VirtualNetwork() | FederatedZone():
                return (referred(resource.spec.cloud_ref, namespace),)
            case MachineImage():
                return tuple(referred(ref, namespace) for ref in resource.spec.cloud_refs)
            case SecurityGroup():
                return tuple(dict.fromkeys((*(group_clouds(resource) or ()), *known_clouds(resource))))
            case Tenant():
                return tuple(key_of(cloud.cloud_ref) for cloud in resource.spec.clouds)
            case InstanceMigration():
                return (referred(resource.spec.to.cloud_ref, namespace),)
            case ExitPlan():
                return self._left_by(resource)
            case HostedInstance():
                return self._clouds_of_instance(resource)
            case _:
                return ()

    def _left_by(self, leaving: ExitPlan) -> tuple[Key, ...]:
        """The clouds that an exit leaves; those of a provider as the operator found them."""
        named = leaving.spec.from_.cloud_ref
        if named is not None:
            return (referred(named, leaving.metadata.namespace),)
        return tuple(cloud for text in leaving.status.clouds or () if (cloud := written_cloud(text)) is not None)

    def _clouds_of_instance(self, instance: HostedInstance) -> tuple[Key, ...]:
        """Where it is, else where it is to be, else the only cloud of its namespace."""
        cloud = bound_cloud(instance) or declared_cloud(instance)
        if cloud is not None:
            return (cloud,)
        alone = [key for key in self.everything(CLOUD) if key.namespace == instance.metadata.namespace]
        return (alone[0],) if len(alone) == 1 else ()

    @cached_property
    def _members(self) -> dict[Key, list[Key]]:
        found: dict[Key, list[Key]] = {}
        for key in self.everything():
            for cloud in self.clouds_of(key):
                found.setdefault(cloud, []).append(key)
        return found

    def members(self, cloud: Key, kind: str = "") -> list[Key]:
        """What is in a cloud, or wanted there."""
        return [key for key in self._members.get(cloud, ()) if kind in {"", key.kind}]

    def clouds(self) -> list[Key]:
        """Every cloud, those too that are only referred to."""
        return sorted({*self.everything(CLOUD), *self._members})

    def loose(self) -> list[Key]:
        """What is in no cloud: servers of nobody, instances that have no place yet, what cannot be read."""
        return [key for key in self.everything() if key.kind != CLOUD and not self.clouds_of(key)]

    def networks_of(self, instance: Key) -> list[tuple[str, Key | None]]:
        """Its networks by their names in OpenNebula, and the object that stands for each, if there is one."""
        resource = self.get(instance)
        if not isinstance(resource, HostedInstance):
            return []
        return [(n.name, self._named(n.name, instance, NETWORK)) for n in resource.spec.networks or ()]

    def image_of(self, instance: Key) -> tuple[str, Key | None] | None:
        """As `networks_of`; None where it is made from a VM template."""
        resource = self.get(instance)
        if not isinstance(resource, HostedInstance) or resource.spec.source.image is None:
            return None
        name = resource.spec.source.image
        return name, self._named(name, instance, IMAGE)

    def groups_of(self, instance: Key) -> list[Key]:
        """The SecurityGroups that filter its cards, those that are there."""
        resource = self.get(instance)
        if not isinstance(resource, HostedInstance):
            return []
        names = {name: None for card in resource.spec.networks or () for name in card.security_groups or ()}
        found = (self._named(name, instance, GROUP) for name in names)
        return [key for key in found if key is not None]

    def _named(self, name: str, instance: Key, kind: str) -> Key | None:
        for cloud in self.clouds_of(instance):
            for key in self.members(cloud, kind):
                resource = self.get(key)
                if resource is not None and resource.outside_name == name:
                    return key
        return None

    def instances_on(self, key: Key) -> list[Key]:
        """The instances that use a network, an image or a security group."""
        found = []
        for instance in self.everything(INSTANCE):
            image = self.image_of(instance)
            used = {k for _, k in self.networks_of(instance)} | ({image[1]} if image else set())
            if key in used or (key.kind == GROUP and key in self.groups_of(instance)):
                found.append(instance)
        return found


def in_order(key: Key) -> tuple[str, int, str]:
    """By namespace, then what others stand on first, then by name."""
    return key.namespace, ORDER.get(key.kind, len(ORDER)), key.name
