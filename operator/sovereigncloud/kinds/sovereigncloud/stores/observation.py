"""The stores of a cloud as OpenNebula has them, and the Secrets that they read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sovereigncloud.api import SovereignCloud
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.api.stores import Store, StoreType
from sovereigncloud.core.identity import Mark
from sovereigncloud.core.outcome import Outcome, blocked
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.identity.part_mark import leaving
from sovereigncloud.kinds.sovereigncloud.stores.template import secret_ref
from sovereigncloud.ports.errors import MissingSecret
from sovereigncloud.ports.opennebula.client import OpenNebula
from sovereigncloud.ports.opennebula.infrastructure import Marketplace
from sovereigncloud.ports.opennebula.views import CloudView, Datastore

FIELD = "stores"
BACKUP = 3


@dataclass(frozen=True, slots=True)
class Kept:
    """A marketplace or a datastore.

    Attributes:
        kind: what a store of it would be; None: a datastore that is not for backups.
        frame: what it is: drivers and type.
        enabled: whether it may be used.
        monitored: whether OpenNebula looked at it yet.
        content: ids of the appliances or images in it.
    """

    kind: StoreType | None
    id: int
    name: str
    owner: int
    frame: Mapping[str, str]
    enabled: bool
    monitored: bool
    content: tuple[int, ...]
    mark: Mark | None
    attributes: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Stores:
    """What was read for the stores of a cloud.

    Attributes:
        there: every marketplace and datastore.
        owner: the user whose stores may be ours; None: not known.
        secrets: attributes from the Secret of each store that reads one, or why there are none, by its name.
        users: who uses stores that are no longer declared, by their ids.
    """

    there: tuple[Kept, ...] = ()
    owner: int | None = None
    secrets: Mapping[str, Mapping[str, str] | Outcome] = field(default_factory=dict, repr=False)
    users: Mapping[tuple[StoreType, int], tuple[str, ...]] = field(default_factory=dict)


def as_kept(thing: Marketplace | Datastore) -> Kept:
    if isinstance(thing, Marketplace):
        frame = {"MARKET_MAD": thing.driver}
        return Kept(
            StoreType.MARKETPLACE, thing.id, thing.name, thing.owner, frame, thing.state == 0, True, thing.apps,
            thing.mark, thing.attributes,
        )  # fmt: skip
    kind = StoreType.BACKUP if thing.type == BACKUP else None
    frame = {"TYPE": thing.attributes.get("TYPE", ""), "DS_MAD": thing.driver, "TM_MAD": thing.transfer}
    return Kept(
        kind, thing.id, thing.name, thing.owner, frame, thing.state == 0, thing.total > 0, thing.images, thing.mark,
        thing.attributes,
    )  # fmt: skip


async def observe_stores(
    cloud: SovereignCloud, view: CloudView, client: OpenNebula, mark: Mark, context: Context
) -> Stores:
    """One call more than the view; appliances are read only where a marketplace is to go."""
    markets = await client.parts.marketplaces()
    there = (*map(as_kept, markets), *map(as_kept, view.datastores.values()))
    declared = [store.name for store in cloud.spec.stores or ()]
    going = [kept for _, kept in leaving(there, FIELD, declared, mark) if kept.kind is not None]
    secrets = {
        store.name: found for store in cloud.spec.stores or () if (found := await _secret(cloud, store, context))
    }
    return Stores(there, view.owner, secrets, await _users(cloud, going, view, client, context))


async def _secret(cloud: SovereignCloud, store: Store, context: Context) -> Mapping[str, str] | Outcome | None:
    reads = secret_ref(store)
    if reads is None:
        return None
    name, keys = reads
    where = f"spec.stores[{store.name}]"
    try:
        values = await context.kubernetes.secret(cloud.metadata.namespace, name)
    except MissingSecret:
        return blocked(f"{where}: there is no Secret {name}; make it with the keys {', '.join(keys.values())}")
    missing = [key for key in keys.values() if not values.get(key, "").strip()]
    if missing:
        return blocked(f"{where}: Secret {name} has no {' and no '.join(missing)}")
    return {attribute: values[key].strip() for attribute, key in keys.items()}


async def _users(
    cloud: SovereignCloud, going: list[Kept], view: CloudView, client: OpenNebula, context: Context
) -> dict[tuple[StoreType, int], tuple[str, ...]]:
    """Names of what is in the stores that are to go, and of the instances that back up there."""
    found: dict[tuple[StoreType, int], tuple[str, ...]] = {}
    apps: dict[int, str] = {}
    if any(kept.kind is StoreType.MARKETPLACE and kept.content for kept in going):
        apps = {app.id: app.name for app in await client.apps()}
    for kept in going:
        if kept.kind is StoreType.MARKETPLACE:
            inside = tuple(f'appliance {one} "{apps.get(one, "?")}"' for one in kept.content)
            found[kept.kind, kept.id] = inside
        elif kept.kind is not None:
            images = {one: view.images[one].name if one in view.images else "?" for one in kept.content}
            inside = tuple(f'backup {one} "{name}"' for one, name in images.items())
            found[kept.kind, kept.id] = (*_instances(cloud, kept.name, context), *inside)
    return found


def _instances(cloud: SovereignCloud, store: str, context: Context) -> tuple[str, ...]:
    return tuple(
        str(user.key)
        for user in context.users(cloud.key, HostedInstance.crd.kind)
        if isinstance(user, HostedInstance)
        and not user.deleting
        and user.spec.backup is not None
        and user.spec.backup.store == store
    )
