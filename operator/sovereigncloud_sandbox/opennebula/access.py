"""Authentication and authorization: passwords, login tokens, permission bits, ACL rules, locks."""

import hashlib
import hmac
from dataclasses import dataclass

from sovereigncloud_sandbox.opennebula.cloud import Cloud
from sovereigncloud_sandbox.opennebula.errors import Code, OneError, unauthorized
from sovereigncloud_sandbox.opennebula.model import ONEADMIN, ONEADMIN_GROUP, PoolObject
from sovereigncloud_sandbox.opennebula.model_people import AclRule, User

USE, MANAGE, ADMIN, CREATE = "USE", "MANAGE", "ADMIN", "CREATE"

RIGHTS = {USE: 1, MANAGE: 2, ADMIN: 4, CREATE: 8}
_BIT = {USE: "u", MANAGE: "m", ADMIN: "a"}
# Which rights a lock of each level takes away, from oneadmin too.
_LOCKED = {1: {USE, MANAGE, ADMIN}, 2: {MANAGE, ADMIN}, 3: {ADMIN}}

# OpenNebula's encoding of ACL rules: the kind in the upper bits, then how the id is meant, then the id.
RESOURCES = {
    "VM": 0x1000000000,
    "HOST": 0x2000000000,
    "NET": 0x4000000000,
    "IMAGE": 0x8000000000,
    "USER": 0x10000000000,
    "TEMPLATE": 0x20000000000,
    "GROUP": 0x40000000000,
    "DATASTORE": 0x100000000000,
    "CLUSTER": 0x200000000000,
    "DOCUMENT": 0x400000000000,
    "ZONE": 0x800000000000,
    "SECGROUP": 0x1000000000000,
    "VDC": 0x2000000000000,
    "VROUTER": 0x4000000000000,
    "MARKETPLACE": 0x8000000000000,
    "MARKETPLACEAPP": 0x10000000000000,
    "VMGROUP": 0x20000000000000,
    "VNTEMPLATE": 0x40000000000000,
    "BACKUPJOB": 0x100000000000000,
}
INDIVIDUAL, GROUP, ALL, CLUSTER = 0x100000000, 0x200000000, 0x400000000, 0x800000000
_ID = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated user."""

    user: User
    groups: frozenset[int]

    @property
    def uid(self) -> int:
        return self.user.oid

    @property
    def gid(self) -> int:
        return self.user.gid

    @property
    def admin(self) -> bool:
        """oneadmin, or in oneadmin's group."""
        return self.uid == ONEADMIN or ONEADMIN_GROUP in self.groups


def digest(password: str) -> str:
    return hashlib.sha256(password.encode()).hexdigest()


def authenticate(cloud: Cloud, session: str) -> Caller:
    """The user of "name:password" or "name:token".

    Raises:
        OneError: 0x100, whatever is wrong with it.
    """
    name, colon, secret = session.partition(":")
    user = cloud.named(cloud.users, name) if colon else None
    if user is not None and user.enabled:
        if user.driver == "core" and hmac.compare_digest(user.password, digest(secret)):
            return Caller(user, frozenset(user.groups))
        for token in user.tokens:
            if token.token == secret and (token.expires == -1 or token.expires > cloud.now):
                groups = user.groups if token.egid == -1 else {token.egid}
                return Caller(user, frozenset(groups))
    raise OneError(Code.AUTHENTICATION, "User couldn't be authenticated, aborting call.")


def authorize(cloud: Cloud, caller: Caller, right: str, one: PoolObject, *, locks: bool = True) -> None:
    """Let the call go on.

    Raises:
        OneError: 0x200 "User [2] : Not authorized to perform USE VM [0]." or "User [0] : VM is locked. [10]."
    """
    if caller.admin:
        if locks and one.lock is not None and right in _LOCKED[one.lock.level]:
            raise unauthorized(caller.uid, f"{one.kind} is locked. [{one.oid}]")
        return
    locked = locks and one.lock is not None and right in _LOCKED[one.lock.level]
    if locked or not permitted(cloud, caller, right, one):
        raise unauthorized(caller.uid, f"Not authorized to perform {right} {one.kind} [{one.oid}]")


def permitted(cloud: Cloud, caller: Caller, right: str, one: PoolObject) -> bool:
    """By the object's permission bits or by an ACL rule; locks aside."""
    if caller.admin:
        return True
    bit = _BIT[right]
    granted = one.permissions
    return bool(
        (one.uid == caller.uid and getattr(granted, f"owner_{bit}"))
        or (one.gid in caller.groups and getattr(granted, f"group_{bit}"))
        or getattr(granted, f"other_{bit}")
        or by_rule(cloud, caller, right, one.kind, one)
    )


def authorize_create(cloud: Cloud, caller: Caller, kind: str) -> None:
    """Let something be made.

    Raises:
        OneError: 0x200.
    """
    if not caller.admin and not by_rule(cloud, caller, CREATE, kind, None):
        raise unauthorized(caller.uid, f"Not authorized to perform CREATE {kind}")


def by_rule(cloud: Cloud, caller: Caller, right: str, kind: str, one: PoolObject | None) -> bool:
    """By an ACL rule alone: what the scheduler looks at."""
    return any(
        rule.rights & RIGHTS[right]
        and rule.resource & RESOURCES[kind]
        and _means_zone(rule, cloud.federation.zone_id)
        and _means_user(rule, caller)
        and _means_object(rule, one)
        for rule in cloud.acls.values()
    )


def _means_zone(rule: AclRule, zone_id: int) -> bool:
    return bool(rule.zone & ALL) or rule.zone & _ID == zone_id


def _means_user(rule: AclRule, caller: Caller) -> bool:
    oid = rule.user & _ID
    if rule.user & ALL:
        return True
    if rule.user & GROUP:
        return oid in caller.groups
    return oid == caller.uid


def _means_object(rule: AclRule, one: PoolObject | None) -> bool:
    if rule.resource & ALL:
        return True
    if one is None:
        return False
    oid = rule.resource & _ID
    if rule.resource & GROUP:
        return one.gid == oid
    if rule.resource & CLUSTER:
        return oid in getattr(one, "clusters", ()) or getattr(one, "cluster_id", None) == oid
    return one.oid == oid


def rule_text(rule: AclRule) -> str:
    """A rule as people write it: "@1 NET/* USE #0"."""

    def subject(value: int) -> str:
        if value & ALL:
            return "*"
        sign = "@" if value & GROUP else "%" if value & CLUSTER else "#"
        return f"{sign}{value & _ID}"

    kinds = "+".join(kind for kind, bit in RESOURCES.items() if rule.resource & bit)
    rights = "+".join(right for right, bit in RIGHTS.items() if rule.rights & bit)
    return f"{subject(rule.user)} {kinds}/{subject(rule.resource)} {rights} {subject(rule.zone)}"
