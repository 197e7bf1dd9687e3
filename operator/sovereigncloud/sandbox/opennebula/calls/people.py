"""one.user.*, one.group.*, one.acl.* and one.vdc.*."""

import secrets

from sovereigncloud.sandbox.opennebula import quota, render
from sovereigncloud.sandbox.opennebula.access import (
    ADMIN,
    GROUP,
    MANAGE,
    RESOURCES,
    RIGHTS,
    USE,
    Caller,
    authorize,
    authorize_create,
    digest,
    rule_text,
)
from sovereigncloud.sandbox.opennebula.access import ALL as ALL_IDS
from sovereigncloud.sandbox.opennebula.calls.call import Call, Context, Reply
from sovereigncloud.sandbox.opennebula.calls.shared import Kind, info_call, rename_call, update_call, whole_call
from sovereigncloud.sandbox.opennebula.cloud import Cloud
from sovereigncloud.sandbox.opennebula.errors import Code, OneError, internal, not_found, refused
from sovereigncloud.sandbox.opennebula.model import (
    ONEADMIN,
    USERS_GROUP,
    AclRule,
    Group,
    Permissions,
    Token,
    User,
    Vdc,
)
from sovereigncloud.sandbox.opennebula.template import Template, parse

FIRST_FREE_ID = 100
ALL_RESOURCES = -10


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
VDC = Kind(
    kind="VDC",
    prefix="one.vdc",
    root="VDC_POOL",
    pool=lambda cloud: cloud.vdcs,
    show=lambda _, one: render.vdc(one),
    row=lambda _, one: render.vdc(one),
    unique="cloud",
)


def _quotas(cloud: Cloud, one: User | Group) -> str:
    return f"<QUOTAS><ID>{one.oid}</ID>{quota.render(cloud, one)}</QUOTAS>"


def user_info(context: Context, oid: int, _decrypt: bool) -> Reply:
    own = context.caller.uid if oid == -1 else oid
    return USER.show(context.cloud, USER.find(context, own, USE, locks=False))


def group_info(context: Context, oid: int, _decrypt: bool) -> Reply:
    own = context.caller.gid if oid == -1 else oid
    return GROUP_KIND.show(context.cloud, GROUP_KIND.find(context, own, USE, locks=False))


def _with_defaults(call: Call, name: str) -> Call:
    defaults = f"<{name}>{render.NO_QUOTAS}</{name}>"

    def listed(context: Context) -> Reply:
        reply = call.perform(context)
        head, slash, root = str(reply).rpartition("</")
        return f"{head}{defaults}{slash}{root}"

    return Call(call.name, call.signature, listed)


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
    user: User = USER.find(context, oid, ADMIN)
    quota.update(user, parse(text))
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
    add_rule(cloud, AclRule(GROUP | gid, create | ALL_IDS, RIGHTS["CREATE"], ALL_IDS))
    join_vdc(cloud, cloud.vdcs[0], gid)
    return group


def join_vdc(cloud: Cloud, vdc: Vdc, gid: int) -> None:
    """A group may use what is in a VDC."""
    vdc.groups.add(gid)
    _grant(cloud, vdc, gid)


_OF_CLUSTER = (("HOST", "MANAGE"), ("NET", "USE"), ("DATASTORE", "USE"))
_CLUSTER_IDS = 0x800000000
_ONE_ID = 0x100000000


def _rules(vdc: Vdc, gid: int) -> list[AclRule]:
    rules = []
    for zone_id, cluster_id in sorted(vdc.clusters):
        which = ALL_IDS if cluster_id == ALL_RESOURCES else _CLUSTER_IDS | cluster_id
        rules += [
            AclRule(GROUP | gid, RESOURCES[kind] | which, RIGHTS[right], _ONE_ID | zone_id)
            for kind, right in _OF_CLUSTER
        ]
    for kind, right, pairs in (
        ("HOST", "MANAGE", vdc.hosts),
        ("DATASTORE", "USE", vdc.datastores),
        ("NET", "USE", vdc.vnets),
    ):
        rules += [
            AclRule(GROUP | gid, RESOURCES[kind] | _ONE_ID | oid, RIGHTS[right], _ONE_ID | zone_id)
            for zone_id, oid in sorted(pairs)
        ]
    return rules


def _grant(cloud: Cloud, vdc: Vdc, gid: int) -> None:
    for rule in _rules(vdc, gid):
        add_rule(cloud, rule)


def _revoke(cloud: Cloud, vdc: Vdc, gid: int) -> None:
    kept = [
        rule for other in cloud.vdcs.values() if other is not vdc and gid in other.groups for rule in _rules(other, gid)
    ]
    for rule in _rules(vdc, gid):
        if rule not in kept:
            for oid in [oid for oid, one in cloud.acls.items() if one == rule]:
                del cloud.acls[oid]


def add_rule(cloud: Cloud, rule: AclRule) -> int:
    """A rule that is there already keeps its id."""
    for oid, one in cloud.acls.items():
        if one == rule:
            return oid
    oid = cloud.next_id("ACL")
    cloud.acls[oid] = rule
    return oid


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
    group: Group = GROUP_KIND.find(context, oid, ADMIN)
    quota.update(group, parse(text))
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


# -------------------------------------------------------------------------------------------------------------- ACLs


def _require_admin(caller: Caller, right: str, what: str) -> None:
    if not caller.admin:
        raise OneError(Code.AUTHORIZATION, f"User [{caller.uid}] : Not authorized to perform {right} {what}.")


def acl_addrule(context: Context, user: str, resource: str, rights: str, zone: str) -> Reply:
    _require_admin(context.caller, "MANAGE", "ACL")
    try:
        numbers = [int(text, 16) for text in (user, resource, rights, zone or f"{ALL_IDS:x}")]
    except ValueError as error:
        raise internal("Wrong ACL rule: not hexadecimal") from error
    return add_rule(context.cloud, AclRule(*numbers))


def acl_delrule(context: Context, oid: int) -> Reply:
    _require_admin(context.caller, "MANAGE", "ACL")
    if oid not in context.cloud.acls:
        raise internal(f"Rule {oid} does not exist")
    del context.cloud.acls[oid]
    return oid


def acl_info(context: Context) -> Reply:
    _require_admin(context.caller, "MANAGE", "ACL")
    rows = [
        f"<ACL><ID>{oid}</ID><USER>{rule.user:x}</USER><RESOURCE>{rule.resource:x}</RESOURCE>"
        f"<RIGHTS>{rule.rights:x}</RIGHTS><ZONE>{rule.zone:x}</ZONE><STRING>{rule_text(rule)}</STRING></ACL>"
        for oid, rule in sorted(context.cloud.acls.items())
    ]
    return render.pool("ACL_POOL", rows)


# -------------------------------------------------------------------------------------------------------------- VDCs


def vdc_allocate(context: Context, text: str) -> Reply:
    cloud = context.cloud
    template: Template = parse(text)
    authorize_create(cloud, context.caller, "VDC")
    name = template.take("NAME")
    cloud.claim_name(cloud.vdcs, "VDC", name)
    vdc = Vdc(cloud.next_id("VDC"), name, template=template)
    cloud.vdcs[vdc.oid] = vdc
    return vdc.oid


def vdc_delete(context: Context, oid: int) -> Reply:
    cloud = context.cloud
    vdc: Vdc = VDC.find(context, oid, ADMIN)
    if oid < FIRST_FREE_ID:
        raise refused("Cannot delete VDC. System VDCs (ID < 100) cannot be deleted.")
    for gid in vdc.groups:
        _revoke(cloud, vdc, gid)
    del cloud.vdcs[oid]
    return oid


def vdc_addgroup(context: Context, oid: int, gid: int) -> Reply:
    vdc: Vdc = VDC.find(context, oid, ADMIN)
    context.cloud.find(context.cloud.groups, gid, "GROUP")
    if gid in vdc.groups:
        raise internal(f"Group ID {gid} is already assigned to VDC {oid}")
    join_vdc(context.cloud, vdc, gid)
    return oid


def vdc_delgroup(context: Context, oid: int, gid: int) -> Reply:
    vdc: Vdc = VDC.find(context, oid, ADMIN)
    if gid not in vdc.groups:
        raise internal(f"Group ID {gid} is not assigned to VDC {oid}")
    _revoke(context.cloud, vdc, gid)
    vdc.groups.discard(gid)
    return oid


def _vdc_member_calls(verb: str) -> list[Call]:
    def change(context: Context, oid: int, zone_id: int, member: int, *, add: bool) -> Reply:
        cloud = context.cloud
        vdc: Vdc = VDC.find(context, oid, ADMIN)
        cloud.find(cloud.zones, zone_id, "ZONE")
        for gid in vdc.groups:
            _revoke(cloud, vdc, gid)
        pairs: set[tuple[int, int]] = getattr(vdc, f"{verb}s")
        if add:
            pairs.add((zone_id, member))
        else:
            pairs.discard((zone_id, member))
        for gid in vdc.groups:
            _grant(cloud, vdc, gid)
        return oid

    def add(context: Context, oid: int, zone_id: int, member: int) -> Reply:
        return change(context, oid, zone_id, member, add=True)

    def remove(context: Context, oid: int, zone_id: int, member: int) -> Reply:
        return change(context, oid, zone_id, member, add=False)

    return [Call(f"one.vdc.add{verb}", "i i i", add), Call(f"one.vdc.del{verb}", "i i i", remove)]


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
    _with_defaults(whole_call(USER), "DEFAULT_USER_QUOTAS"),
    Call("one.group.allocate", "s", group_allocate),
    Call("one.group.info", "i b=0", group_info),
    Call("one.group.delete", "i", group_delete),
    Call("one.group.quota", "i s", group_quota),
    Call("one.group.addadmin", "i i", group_addadmin),
    Call("one.group.deladmin", "i i", group_deladmin),
    update_call(GROUP_KIND),
    _with_defaults(whole_call(GROUP_KIND), "DEFAULT_GROUP_QUOTAS"),
    Call("one.acl.addrule", "s s s s=", acl_addrule),
    Call("one.acl.delrule", "i", acl_delrule),
    Call("one.acl.info", "", acl_info),
    Call("one.vdc.allocate", "s", vdc_allocate),
    Call("one.vdc.delete", "i", vdc_delete),
    Call("one.vdc.addgroup", "i i", vdc_addgroup),
    Call("one.vdc.delgroup", "i i", vdc_delgroup),
    *_vdc_member_calls("cluster"),
    *_vdc_member_calls("host"),
    *_vdc_member_calls("datastore"),
    *_vdc_member_calls("vnet"),
    info_call(VDC),
    update_call(VDC),
    rename_call(VDC),
    whole_call(VDC),
)
