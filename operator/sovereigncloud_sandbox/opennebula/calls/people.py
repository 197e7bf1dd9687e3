"""one.user.* and one.group.*."""

import secrets

from sovereigncloud_sandbox.opennebula import quota, render
from sovereigncloud_sandbox.opennebula.access import (
    ADMIN,
    ALL,
    GROUP,
    MANAGE,
    RESOURCES,
    RIGHTS,
    USE,
    authorize,
    authorize_create,
    digest,
)
from sovereigncloud_sandbox.opennebula.calls.call import Call, Context, Reply
from sovereigncloud_sandbox.opennebula.calls.rights import add_rule, join_vdc
from sovereigncloud_sandbox.opennebula.calls.shared import ALL as EVERYBODY
from sovereigncloud_sandbox.opennebula.calls.shared import Kind, Listing, page, update_call
from sovereigncloud_sandbox.opennebula.cloud import FIRST_FREE_ID, Cloud
from sovereigncloud_sandbox.opennebula.errors import Code, OneError, internal, not_found, refused
from sovereigncloud_sandbox.opennebula.model import ONEADMIN, Permissions
from sovereigncloud_sandbox.opennebula.model_people import USERS_GROUP, AclRule, Group, Quotas, Token, User
from sovereigncloud_sandbox.opennebula.template import parse


def members(cloud: Cloud, group: Group) -> list[int]:
    return [user.oid for user in cloud.users.values() if group.oid in user.groups]


USER = Kind(
    kind="USER",
    prefix="one.user",
    root="USER_POOL",
    pool=lambda cloud: cloud.users,
    show=lambda cloud, one: render.user(one, quota.render(cloud, one)),
    row=lambda cloud, one: render.user(one) + _quotas(cloud, one),
    unique="cloud",
)
GROUP_KIND = Kind(
    kind="GROUP",
    prefix="one.group",
    root="GROUP_POOL",
    pool=lambda cloud: cloud.groups,
    show=lambda cloud, one: render.group(one, members(cloud, one), quota.render(cloud, one)),
    row=lambda cloud, one: render.group(one, members(cloud, one)) + _quotas(cloud, one) + render.vlan_rules(one),
    unique="cloud",
)


def _quotas(cloud: Cloud, one: User | Group, used: quota.Use | None = None) -> str:
    return f"<QUOTAS><ID>{one.oid}</ID>{quota.render(cloud, one, used)}</QUOTAS>"


def user_pool(context: Context) -> Reply:
    cloud = context.cloud
    found: list[User] = page(cloud, context.caller, cloud.users.values(), Listing(EVERYBODY, -1, -1))
    used = quota.usages(cloud, found)
    rows = [render.user(one) + _quotas(cloud, one, used[one.oid]) for one in found]
    defaults = quota.show(cloud, cloud.default_user_quotas, {})
    return render.pool("USER_POOL", [*rows, f"<DEFAULT_USER_QUOTAS>{defaults}</DEFAULT_USER_QUOTAS>"])


def group_pool(context: Context) -> Reply:
    cloud = context.cloud
    found: list[Group] = page(cloud, context.caller, cloud.groups.values(), Listing(EVERYBODY, -1, -1))
    used = quota.usages(cloud, found)
    rows = [
        render.group(one, members(cloud, one)) + _quotas(cloud, one, used[one.oid]) + render.vlan_rules(one)
        for one in found
    ]
    defaults = quota.show(cloud, cloud.default_group_quotas, {})
    return render.pool("GROUP_POOL", [*rows, f"<DEFAULT_GROUP_QUOTAS>{defaults}</DEFAULT_GROUP_QUOTAS>"])


def user_info(context: Context, oid: int, _decrypt: bool) -> Reply:
    own = context.caller.uid if oid == -1 else oid
    return USER.show(context.cloud, USER.find(context, own, USE, locks=False))


def group_info(context: Context, oid: int, _decrypt: bool) -> Reply:
    own = context.caller.gid if oid == -1 else oid
    return GROUP_KIND.show(context.cloud, GROUP_KIND.find(context, own, USE, locks=False))


def userquota_info(context: Context) -> Reply:
    return (
        f"<DEFAULT_USER_QUOTAS>{quota.show(context.cloud, context.cloud.default_user_quotas, {})}</DEFAULT_USER_QUOTAS>"
    )


def groupquota_info(context: Context) -> Reply:
    shown = quota.show(context.cloud, context.cloud.default_group_quotas, {})
    return f"<DEFAULT_GROUP_QUOTAS>{shown}</DEFAULT_GROUP_QUOTAS>"


def _set_defaults(context: Context, quotas: Quotas, text: str) -> None:
    if context.caller.uid != ONEADMIN:
        what = "The default quotas can only be updated by oneadmin"
        raise OneError(Code.AUTHORIZATION, f"User [{context.caller.uid}] : {what}.")
    quota.set_limits(context.cloud, quotas, parse(text))


def userquota_update(context: Context, text: str) -> Reply:
    _set_defaults(context, context.cloud.default_user_quotas, text)
    return userquota_info(context)


def groupquota_update(context: Context, text: str) -> Reply:
    _set_defaults(context, context.cloud.default_group_quotas, text)
    return groupquota_info(context)


# ------------------------------------------------------------------------------------------------------------- users


def new_user(cloud: Cloud, name: str, password: str, groups: list[int]) -> User:
    """A user with the SHA-256 of a password; the first group is the primary one."""
    oid = cloud.next_id("USER")
    gid = groups[0] if groups else USERS_GROUP
    user = User(
        oid,
        name,
        uid=oid,
        gid=gid,
        uname=name,
        gname=cloud.groups[gid].name,
        permissions=Permissions(),
        password=digest(password),
        groups=set(groups) or {USERS_GROUP},
    )
    user.template.put("TOKEN_PASSWORD", secrets.token_hex(32))
    cloud.users[oid] = user
    return user


def user_allocate(context: Context, name: str, password: str, driver: str, groups: list[int]) -> Reply:
    cloud = context.cloud
    authorize_create(cloud, context.caller, "USER")
    for gid in groups:
        cloud.find(cloud.groups, gid, "GROUP")
    cloud.claim_name(cloud.users, "USER", name)
    if not password:
        raise internal("Empty password. Please provide a password.")
    user = new_user(cloud, name, password, groups)
    user.driver = driver or "core"
    return user.oid


def user_passwd(context: Context, oid: int, password: str) -> Reply:
    user: User = USER.find(context, oid, MANAGE)
    if not password:
        raise refused("Invalid password, it cannot be empty")
    user.password = digest(password)
    return oid


def user_chauth(context: Context, oid: int, driver: str, password: str) -> Reply:
    user: User = USER.find(context, oid, ADMIN)
    user.driver = driver
    if password:
        user.password = digest(password)
    return oid


def user_login(context: Context, name: str, token: str, valid: int, egid: int) -> Reply:
    cloud, caller = context.cloud, context.caller
    user = cloud.named(cloud.users, name)
    if user is None:
        raise not_found("USER", -1)
    authorize(cloud, caller, MANAGE, user)
    if valid == 0:
        kept = [one for one in user.tokens if token and one.token != token]
        if token and len(kept) == len(user.tokens):
            raise OneError(Code.RPC_API, f"Could not find token: {token}")
        user.tokens = kept
        return ""
    if valid < -1:
        raise OneError(Code.RPC_API, "Wrong valid period for token")
    if egid != -1 and not caller.admin and egid not in user.groups:
        raise OneError(Code.RPC_API, "EGID is not in user group list")
    if egid == -1 and frozenset(user.groups) != caller.groups:
        # The only case of 0x1000 that was observed: oneadmin asking for somebody else's token.
        raise OneError(Code.RPC_API, "Cannot create a full token with a specific group token")
    made = token or secrets.token_hex(32)
    user.tokens.append(Token(made, -1 if valid == -1 else cloud.second + valid, egid))
    return made


def user_delete(context: Context, oid: int) -> Reply:
    USER.find(context, oid, ADMIN)
    if oid == ONEADMIN:
        raise refused("Cannot delete user. oneadmin cannot be deleted.")
    del context.cloud.users[oid]  # machines and networks of the user stay (observed)
    return oid


def user_enable(context: Context, oid: int, enable: bool) -> Reply:
    user: User = USER.find(context, oid, ADMIN)
    if oid == ONEADMIN:
        raise refused("Cannot enable/disable oneadmin user")
    user.enabled = enable
    return oid


def user_quota(context: Context, oid: int, text: str) -> Reply:
    cloud = context.cloud
    user: User = USER.find(context, oid, ADMIN)
    quota.update(cloud, user, parse(text))
    return oid


def user_chgrp(context: Context, oid: int, gid: int) -> Reply:
    user: User = USER.find(context, oid, ADMIN)
    group = context.cloud.find(context.cloud.groups, gid, "GROUP")
    user.groups.discard(user.gid)
    user.groups.add(gid)
    user.gid, user.gname = gid, group.name
    return oid


def user_addgroup(context: Context, oid: int, gid: int) -> Reply:
    user: User = USER.find(context, oid, MANAGE)
    context.cloud.find(context.cloud.groups, gid, "GROUP")
    if gid in user.groups:
        raise refused("User is already in this group")
    user.groups.add(gid)
    return oid


def user_delgroup(context: Context, oid: int, gid: int) -> Reply:
    user: User = USER.find(context, oid, MANAGE)
    if gid not in user.groups:
        raise refused("User is not part of this group")
    if gid == user.gid:
        raise refused("Cannot remove user from the primary group")
    user.groups.discard(gid)
    return oid


# ------------------------------------------------------------------------------------------------------------ groups


def new_group(cloud: Cloud, name: str, oid: int | None = None) -> Group:
    """A group, in the default VDC as every new one is, with the rights that its members get."""
    gid = cloud.next_id("GROUP") if oid is None else oid
    group = Group(gid, name, gid=gid, permissions=Permissions(group_u=1))
    cloud.groups[gid] = group
    kinds = ("VM", "IMAGE", "TEMPLATE", "DOCUMENT", "SECGROUP", "VMGROUP", "BACKUPJOB")
    create = sum(RESOURCES[kind] for kind in kinds)
    add_rule(cloud, AclRule(GROUP | gid, create | ALL, RIGHTS["CREATE"], ALL))
    join_vdc(cloud, cloud.vdcs[0], gid)
    return group


def group_allocate(context: Context, name: str) -> Reply:
    cloud = context.cloud
    authorize_create(cloud, context.caller, "GROUP")
    cloud.claim_name(cloud.groups, "GROUP", name)
    return new_group(cloud, name).oid


def group_delete(context: Context, oid: int) -> Reply:
    cloud = context.cloud
    group: Group = GROUP_KIND.find(context, oid, ADMIN)
    if oid < FIRST_FREE_ID:
        raise refused("Cannot delete group. System Groups (ID < 100) cannot be deleted.")
    if members(cloud, group):
        raise refused(f"Cannot delete group. Group {oid} is not empty, it contains {len(members(cloud, group))} users.")
    for vdc in cloud.vdcs.values():
        vdc.groups.discard(oid)
    for rule_id in [one for one, rule in cloud.acls.items() if rule.user == GROUP | oid]:
        del cloud.acls[rule_id]
    del cloud.groups[oid]
    return oid


def group_quota(context: Context, oid: int, text: str) -> Reply:
    cloud = context.cloud
    group: Group = GROUP_KIND.find(context, oid, ADMIN)
    quota.update(cloud, group, parse(text))
    return oid


def group_addadmin(context: Context, oid: int, uid: int) -> Reply:
    group: Group = GROUP_KIND.find(context, oid, ADMIN)
    user = context.cloud.find(context.cloud.users, uid, "USER")
    if oid not in user.groups:
        raise refused("Group admins have to be in the group")
    group.admins.add(uid)
    return oid


def group_deladmin(context: Context, oid: int, uid: int) -> Reply:
    group: Group = GROUP_KIND.find(context, oid, ADMIN)
    group.admins.discard(uid)
    return oid


CALLS = (
    Call("one.user.allocate", "s s s a=", user_allocate),
    Call("one.user.info", "i b=0", user_info),
    Call("one.user.passwd", "i s", user_passwd),
    Call("one.user.chauth", "i s s", user_chauth),
    Call("one.user.login", "s s i i=-1", user_login),
    Call("one.user.delete", "i", user_delete),
    Call("one.user.enable", "i b", user_enable),
    Call("one.user.quota", "i s", user_quota),
    Call("one.user.chgrp", "i i", user_chgrp),
    Call("one.user.addgroup", "i i", user_addgroup),
    Call("one.user.delgroup", "i i", user_delgroup),
    update_call(USER),
    Call("one.userpool.info", "", user_pool),
    Call("one.userquota.info", "", userquota_info),
    Call("one.userquota.update", "s", userquota_update),
    Call("one.group.allocate", "s", group_allocate),
    Call("one.group.info", "i b=0", group_info),
    Call("one.group.delete", "i", group_delete),
    Call("one.group.quota", "i s", group_quota),
    Call("one.group.addadmin", "i i", group_addadmin),
    Call("one.group.deladmin", "i i", group_deladmin),
    update_call(GROUP_KIND),
    Call("one.grouppool.info", "", group_pool),
    Call("one.groupquota.info", "", groupquota_info),
    Call("one.groupquota.update", "s", groupquota_update),
)
