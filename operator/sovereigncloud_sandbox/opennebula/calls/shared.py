"""The verbs that most kinds of objects have: info, update, rename, chmod, chown, lock, and listing a pool."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from sovereigncloud_sandbox.opennebula import quota, render
from sovereigncloud_sandbox.opennebula.access import MANAGE, USE, Caller, authorize, permitted
from sovereigncloud_sandbox.opennebula.calls.call import Call, Context, Reply
from sovereigncloud_sandbox.opennebula.cloud import Cloud, invalid_name
from sovereigncloud_sandbox.opennebula.errors import SPOKEN, Code, OneError, internal, refused
from sovereigncloud_sandbox.opennebula.model import ONEADMIN, ONEADMIN_GROUP, PERMISSION_BITS, Lock, PoolObject
from sovereigncloud_sandbox.opennebula.template import Template, parse

ALL, MINE_AND_GROUPS, MINE, GROUP = -2, -1, -3, -4


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of object as the shared verbs see it."""

    kind: str
    prefix: str  # one.vn
    root: str  # VNET_POOL
    pool: Callable[[Cloud], dict[int, Any]]
    show: Callable[[Cloud, Any], str]
    row: Callable[[Cloud, Any], str]
    unique: str = "owner"  # per "owner", in the "cloud", or "" not at all
    changed: Callable[[Cloud, Any, Template], None] | None = None  # takes over an updated template
    renamed: Callable[[Cloud, Any], None] | None = None
    takes: Callable[[Any], quota.Use] | None = None  # of its owner's quotas

    def find(self, context: Context, oid: int, right: str, *, locks: bool = True) -> Any:
        """The object, if the caller has this right to it.

        Raises:
            OneError: 0x400 or 0x200.
        """
        one = context.cloud.find(self.pool(context.cloud), oid, self.kind)
        authorize(context.cloud, context.caller, right, one, locks=locks)
        return one


def touch(one: PoolObject) -> None:
    """Something about it changed."""
    forget = getattr(one, "touch", None)
    if forget is not None:
        forget()


def info_call(kind: Kind) -> Call:
    def info(context: Context, oid: int, _decrypt: bool) -> Reply:
        return kind.show(context.cloud, kind.find(context, oid, USE, locks=False))

    return Call(f"{kind.prefix}.info", "i b=0", info)


def update_call(kind: Kind) -> Call:
    def update(context: Context, oid: int, text: str, append: int) -> Reply:
        one = kind.find(context, oid, MANAGE)
        template = updated(one.template, text, append)
        if kind.changed is None:
            one.template = template
        else:
            try:
                kind.changed(context.cloud, one, template)
            except OneError as error:
                raise internal(f"Cannot update template. {error.message}") from error
        touch(one)
        return oid

    return Call(f"{kind.prefix}.update", "i s i=0", update)


def updated(current: Template, text: str, append: int) -> Template:
    """A template after an update: 0 replaces all, 1 merges by top-level key.

    Raises:
        OneError: 0x2000 where the text is no template, 0x1000 where `append` is neither.
    """
    if append not in {0, 1}:
        raise OneError(Code.RPC_API, "Wrong update type")
    try:
        change = parse(text)
    except OneError as error:
        raise internal(f"Cannot update template. {error.message}") from error
    if append == 0:
        return change
    merged = current.copy()
    merged.merge(change)
    return merged


def rename_call(kind: Kind) -> Call:
    def rename(context: Context, oid: int, name: str) -> Reply:
        one = kind.find(context, oid, MANAGE)
        if one.name == name:
            return oid
        owner = one.uid if kind.unique == "owner" else None
        other = context.cloud.named(kind.pool(context.cloud), name, owner) if kind.unique else None
        if other is not None:
            spoken = SPOKEN[kind.kind]
            raise refused(f"{spoken} cannot be renamed to {name} because it collides with {spoken} {other.oid}")
        if reason := invalid_name(name, kind.kind):
            raise refused(reason)
        one.name = name
        if kind.renamed is not None:
            kind.renamed(context.cloud, one)
        touch(one)
        return oid

    return Call(f"{kind.prefix}.rename", "i s", rename)


def chmod_call(kind: Kind) -> Call:
    def chmod(context: Context, oid: int, *bits: int) -> Reply:
        one = kind.find(context, oid, MANAGE)
        for name, bit in zip(PERMISSION_BITS, bits, strict=False):
            if bit in {0, 1}:
                setattr(one.permissions, name, bit)
        touch(one)
        return oid

    return Call(f"{kind.prefix}.chmod", "i " + " ".join("i" * 9), chmod)


def chown_call(kind: Kind) -> Call:
    def chown(context: Context, oid: int, uid: int, gid: int) -> Reply:
        cloud = context.cloud
        user = cloud.find(cloud.users, uid, "USER") if uid > -1 else None
        group = cloud.find(cloud.groups, gid, "GROUP") if gid > -1 else None
        one = kind.find(context, oid, MANAGE)
        for subject in (user, group):
            if subject is not None:
                authorize(cloud, context.caller, MANAGE if subject is user else USE, subject)
        if kind.takes is not None:
            new_uid = user.oid if user is not None and user.oid != one.uid else ONEADMIN
            new_gid = group.oid if group is not None and group.oid != one.gid else ONEADMIN_GROUP
            quota.check(cloud, context.caller, quota.Owner(new_uid, new_gid), kind.takes(one))
        if user is not None and user.oid != one.uid:
            other = cloud.named(kind.pool(cloud), one.name, user.oid) if kind.unique == "owner" else None
            if other is not None:
                raise internal(f"user [{uid}] already owns {SPOKEN[kind.kind]} [{other.oid}] with NAME {one.name}")
            one.uid, one.uname = user.oid, user.name
        if group is not None:
            one.gid, one.gname = group.oid, group.name
        touch(one)
        return oid

    return Call(f"{kind.prefix}.chown", "i i i", chown)


def lock_calls(kind: Kind) -> list[Call]:
    def lock(context: Context, oid: int, level: int, _test: bool) -> Reply:
        one = kind.find(context, oid, MANAGE, locks=False)
        if level not in {1, 2, 3, 4}:
            raise refused("Wrong lock level specified")
        one.lock = Lock(level=level if level < 4 else 1, owner=context.caller.uid, since=context.cloud.second)
        touch(one)
        return oid

    def unlock(context: Context, oid: int) -> Reply:
        one = kind.find(context, oid, MANAGE, locks=False)
        if one.lock is not None and one.lock.owner != context.caller.uid and not context.caller.admin:
            raise refused("Cannot unlock: Lock is owned by another user")
        one.lock = None
        touch(one)
        return oid

    return [Call(f"{kind.prefix}.lock", "i i b=0", lock), Call(f"{kind.prefix}.unlock", "i", unlock)]


def listed_call(kind: Kind) -> Call:
    """A pool whose members have owners: filter flag, first and last."""

    def listed(context: Context, flag: int, start: int, end: int) -> Reply:
        cloud = context.cloud
        members = page(cloud, context.caller, kind.pool(cloud).values(), Listing(flag, start, end))
        return render.pool(kind.root, [kind.row(cloud, one) for one in members])

    return Call(f"{kind.prefix}pool.info", "i i i", listed)


def whole_call(kind: Kind) -> Call:
    """A pool that is always given whole."""

    def whole(context: Context) -> Reply:
        cloud = context.cloud
        members = page(cloud, context.caller, kind.pool(cloud).values(), Listing(ALL, -1, -1))
        return render.pool(kind.root, [kind.row(cloud, one) for one in members])

    return Call(f"{kind.prefix}pool.info", "", whole)


@dataclass(frozen=True, slots=True)
class Listing:
    """Whose objects, and which: ids start..end; or with end < -1 a page of -end objects after `start` others."""

    flag: int
    start: int
    end: int


def page(cloud: Cloud, caller: Caller, members: Iterable[Any], listing: Listing) -> list[Any]:
    """The objects that a pool call gives, newest first as oned lists them.

    Raises:
        OneError: 0x1000, there is no such filter.
    """
    if listing.flag < GROUP:
        raise OneError(Code.RPC_API, "Incorrect filter_flag")
    chosen = [one for one in members if _chosen(cloud, caller, one, listing.flag)]
    chosen.sort(key=lambda one: one.oid, reverse=True)
    if listing.end < -1:
        first = max(0, listing.start)
        return chosen[first : first - listing.end]
    if listing.start >= 0:
        last = listing.end if listing.end >= 0 else float("inf")
        return [one for one in chosen if listing.start <= one.oid <= last]
    return chosen


def _chosen(cloud: Cloud, caller: Caller, one: Any, flag: int) -> bool:
    mine = one.uid == caller.uid
    match flag:
        case -2:  # ALL
            meant = True
        case -3:  # MINE
            meant = mine
        case -1:  # MINE_AND_GROUPS
            meant = mine or one.gid in caller.groups
        case -4:  # GROUP
            meant = one.gid == caller.gid
        case _:
            meant = one.uid == flag
    return meant and (caller.admin or mine or permitted(cloud, caller, USE, one))


def unowned_calls(kind: Kind) -> list[Call]:
    """All shared verbs of a kind whose objects have no owners."""
    return [info_call(kind), update_call(kind), rename_call(kind), whole_call(kind)]


def owned_calls(kind: Kind, pool: Callable[[Kind], Call] = listed_call) -> list[Call]:
    """All shared verbs of a kind whose objects have owners; locks, which not every such kind has, are `lock_calls`."""
    return [info_call(kind), update_call(kind), rename_call(kind), chmod_call(kind), chown_call(kind), pool(kind)]
