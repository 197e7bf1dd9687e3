"""one.acl.* and one.vdc.*: who may use what."""

from dataclasses import dataclass

from sovereigncloud_sandbox.opennebula import render, scheduler
from sovereigncloud_sandbox.opennebula.access import (
    ADMIN,
    ALL,
    CLUSTER,
    GROUP,
    INDIVIDUAL,
    RESOURCES,
    RIGHTS,
    Caller,
    authorize_create,
    rule_text,
)
from sovereigncloud_sandbox.opennebula.calls.call import Call, Context, Reply
from sovereigncloud_sandbox.opennebula.calls.shared import Kind, unowned_calls
from sovereigncloud_sandbox.opennebula.cloud import FIRST_FREE_ID, Cloud
from sovereigncloud_sandbox.opennebula.errors import Code, OneError, internal, refused
from sovereigncloud_sandbox.opennebula.model_people import AclRule, Vdc
from sovereigncloud_sandbox.opennebula.template import Template, parse

ALL_RESOURCES = -10

VDC = Kind(
    kind="VDC",
    prefix="one.vdc",
    root="VDC_POOL",
    pool=lambda cloud: cloud.vdcs,
    show=lambda _, one: render.vdc(one),
    row=lambda _, one: render.vdc(one),
    unique="cloud",
)


def join_vdc(cloud: Cloud, vdc: Vdc, gid: int) -> None:
    """A group may use what is in a VDC."""
    vdc.groups.add(gid)
    _grant(cloud, vdc, gid)


_OF_CLUSTER = (("HOST", "MANAGE"), ("NET", "USE"), ("DATASTORE", "USE"))


def _rules(vdc: Vdc, gid: int) -> list[AclRule]:
    rules = []
    for zone_id, cluster_id in sorted(vdc.clusters):
        which = ALL if cluster_id == ALL_RESOURCES else CLUSTER | cluster_id
        rules += [
            AclRule(GROUP | gid, RESOURCES[kind] | which, RIGHTS[right], INDIVIDUAL | zone_id)
            for kind, right in _OF_CLUSTER
        ]
    for kind, right, pairs in (
        ("HOST", "MANAGE", vdc.hosts),
        ("DATASTORE", "USE", vdc.datastores),
        ("NET", "USE", vdc.vnets),
    ):
        rules += [
            AclRule(GROUP | gid, RESOURCES[kind] | INDIVIDUAL | oid, RIGHTS[right], INDIVIDUAL | zone_id)
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


# -------------------------------------------------------------------------------------------------------------- ACLs


def _require_admin(caller: Caller, right: str, what: str) -> None:
    if not caller.admin:
        raise OneError(Code.AUTHORIZATION, f"User [{caller.uid}] : Not authorized to perform {right} {what}.")


def acl_addrule(context: Context, user: str, resource: str, rights: str, zone: str) -> Reply:
    _require_admin(context.caller, "MANAGE", "ACL")
    try:
        numbers = [int(text, 16) for text in (user, resource, rights, zone or f"{ALL:x}")]
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
        raise internal(f"Group {gid} is already assigned to the VDC {oid}")
    join_vdc(context.cloud, vdc, gid)
    return oid


def vdc_delgroup(context: Context, oid: int, gid: int) -> Reply:
    vdc: Vdc = VDC.find(context, oid, ADMIN)
    if gid not in vdc.groups:
        raise internal(f"Group {gid} is not assigned to the VDC {oid}")
    _revoke(context.cloud, vdc, gid)
    vdc.groups.discard(gid)
    return oid


@dataclass(frozen=True, slots=True)
class _Member:
    """Something that a VDC may hold, of some zone."""

    kind: str
    zone_id: int
    oid: int

    @property
    def pair(self) -> tuple[int, int]:
        return (self.zone_id, self.oid)

    @property
    def spoken(self) -> str:
        return f"{self.kind} {self.oid} from Zone {self.zone_id}"


def _add(cloud: Cloud, pairs: set[tuple[int, int]], member: _Member) -> None:
    cloud.find(cloud.zones, member.zone_id, "ZONE")
    if member.oid != ALL_RESOURCES and member.zone_id == cloud.federation.zone_id:  # nobody looks into another zone
        cloud.find(cloud.pools[member.kind], member.oid, member.kind)
    if member.pair in pairs:
        raise internal(f"{member.spoken} is already assigned to the VDC")
    if member.oid == ALL_RESOURCES:  # the single ones of that zone are in it
        pairs -= {one for one in pairs if one[0] == member.zone_id}
    pairs.add(member.pair)


def _remove(pairs: set[tuple[int, int]], member: _Member) -> None:
    if member.pair not in pairs:
        raise internal(f"{member.spoken} is not assigned to the VDC")
    pairs.discard(member.pair)


def _vdc_member_calls(verb: str, kind: str) -> list[Call]:
    def change(context: Context, oid: int, member: _Member, *, add: bool) -> Reply:
        cloud = context.cloud
        vdc: Vdc = VDC.find(context, oid, ADMIN)
        pairs: set[tuple[int, int]] = set(getattr(vdc, f"{verb}s"))
        if add:
            _add(cloud, pairs, member)
        else:
            _remove(pairs, member)
        for gid in vdc.groups:
            _revoke(cloud, vdc, gid)
        setattr(vdc, f"{verb}s", pairs)
        for gid in vdc.groups:
            _grant(cloud, vdc, gid)
        scheduler.arm(cloud)
        return oid

    def add(context: Context, oid: int, zone_id: int, member: int) -> Reply:
        return change(context, oid, _Member(kind, zone_id, member), add=True)

    def remove(context: Context, oid: int, zone_id: int, member: int) -> Reply:
        return change(context, oid, _Member(kind, zone_id, member), add=False)

    return [Call(f"one.vdc.add{verb}", "i i i", add), Call(f"one.vdc.del{verb}", "i i i", remove)]


CALLS = (
    Call("one.acl.addrule", "s s s s=", acl_addrule),
    Call("one.acl.delrule", "i", acl_delrule),
    Call("one.acl.info", "", acl_info),
    Call("one.vdc.allocate", "s", vdc_allocate),
    Call("one.vdc.delete", "i", vdc_delete),
    Call("one.vdc.addgroup", "i i", vdc_addgroup),
    Call("one.vdc.delgroup", "i i", vdc_delgroup),
    *_vdc_member_calls("cluster", "CLUSTER"),
    *_vdc_member_calls("host", "HOST"),
    *_vdc_member_calls("datastore", "DATASTORE"),
    *_vdc_member_calls("vnet", "NET"),
    *unowned_calls(VDC),
)
