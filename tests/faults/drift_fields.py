"""Every field of the spec of every kind, and of those that have no row in the drift matrix, why."""

import typing

from pydantic import BaseModel

from sovereigncloud.api import KINDS


def _models(annotation):
    if typing.get_origin(annotation) is typing.Annotated:
        yield from _models(typing.get_args(annotation)[0])
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    else:
        for part in typing.get_args(annotation):
            yield from _models(part)


def _walk(model, path):
    for name, field in model.model_fields.items():
        inner = dict.fromkeys(_models(field.annotation))
        here = f"{path}.{field.alias or name}"
        if not inner:
            yield here
        for one in inner:
            yield from _walk(one, here)


def every_field():
    """As "HostedInstance spec.networks.address"."""
    return {path for kind in KINDS for path in _walk(kind.model_fields["spec"].annotation, f"{kind.crd.kind} spec")}


WISH = "it says how the operator behaves: nothing outside has it"
ONCE = "a request that is done once"
FIXED = "nothing outside can change it: OpenNebula has no call for it, or it says which object is meant"
MADE_WITH = "given at creation; a guest keeps, and may change, it for itself"
SECRET = "names a Secret, or the way to a front-end: what is wrong there is told as a condition"
SAID = "what a person says of it; nothing outside tells"
SCHEDULED = "which store a schedule names only one.vm.info tells, which no sweep asks for each machine"
HOSTED = "changed at OVHcloud: told in tests/integration/test_hosted_drift.py and tests/faults/test_ovh_complaints.py"
WHERE = "what changes outside is where a cloud is: told in tests/integration/test_placement.py, and row by row in the tests of the plan"
ONCE_PLACED = "a wish that counts when a machine is placed"
FEDERATED = "changed in the list of zones: told in tests/contract/test_federation_in_opennebula.py and tests/unit/kinds/federatedzone/test_plan.py"
PROMISED = "a goal that what happened is held against: nothing outside has it"
OF = "names what a limit is of, which has a row"
RUN = "how a verification is run"
DONE_ONCE = "what is done once: nothing outside stays as it says"
RULE = "a rule, or a fact that somebody wrote down: nothing outside is made of it"

_EVERYWHERE = {
    "management": WISH, "approvedPlan": WISH, "deletionPolicy": WISH, "driftPolicy.default": WISH,
    "driftPolicy.fields.path": WISH, "driftPolicy.fields.action": WISH,
}  # fmt: skip
_BY_KIND = {
    "HostedInstance": {
        "source.image": FIXED, "source.template": FIXED, "source.backup": FIXED, "adopt.id": FIXED,
        "hotResize.maxVcpu": FIXED, "hotResize.maxMemory": FIXED, "group.policy": "OpenNebula changes no role that has machines",
        "backup.store": SCHEDULED, "backup.request": ONCE, "snapshot.request": ONCE,
        "snapshot.keepLast": "what a request leaves of those before it", "restore.request": ONCE, "restore.backup": ONCE,
        "restore.increment": ONCE, "restore.disk": ONCE, "sshAuthorizedKeys": MADE_WITH,
        "sshAuthorizedKeysSecretRef.name": MADE_WITH, "sshAuthorizedKeysSecretRef.key": MADE_WITH,
        "cloudInit.userDataSecretRef.name": MADE_WITH, "cloudInit.userDataSecretRef.key": MADE_WITH,
        "placement.cloudRef.name": FIXED, "placement.cloudRef.namespace": FIXED, "recovery": WISH,
        "placement.countries": WHERE, "placement.labels": WHERE, "placement.spread.by": ONCE_PLACED,
        "placement.spread.matchLabels": ONCE_PLACED,
        "continuity.rpo": PROMISED, "continuity.rto": PROMISED, "continuity.tolerationSeconds": WISH,
        "updatePolicy.powerCycle": WISH, "updatePolicy.replace": WISH, "updatePolicy.move": WISH,
    },
    "VirtualNetwork": {
        "cloudRef.name": FIXED, "cloudRef.namespace": FIXED, "adopt.id": FIXED, "reservation.from": FIXED,
        "publicBlock": "says which ranges and which gateway there are, which have rows of their own",
    },
    "MachineImage": {
        "cloudRefs.name": FIXED, "cloudRefs.namespace": FIXED, "cloudRefs.adopt.id": FIXED, "cloudRefs.datastore": FIXED,
        "source.marketplaceApp": FIXED, "source.url": FIXED, "source.checksum": "looked at once, when it is copied",
        "datastore": FIXED,
    },
    "SecurityGroup": {"cloudRefs.name": FIXED, "cloudRefs.namespace": FIXED, "cloudRefs.adopt.id": FIXED},
    "SovereignCloud": {
        "name": SAID, "existing.endpoint": SECRET, "existing.credentialsSecretRef.name": SECRET, "existing.caSecretRef.name": SECRET,
        "providerRef.name": SAID, "existing.location.datacenter": SAID, "existing.location.clusters.name": SAID,
        "existing.location.clusters.datacenter": SAID, "stores.type": FIXED, "stores.location.country": SAID, "stores.location.datacenter": SAID,
        "stores.s3.credentialsSecretRef.name": SECRET, "stores.restic.passwordSecretRef.name": SECRET,
        "hosts.vmm": FIXED, "hosts.im": FIXED, "datastores.type": FIXED, "datastores.transfer": FIXED, "datastores.driver": FIXED,
    },
    "BareMetalServer": {},
    "Tenant": {
        "clouds.cloudRef.name": FIXED, "clouds.cloudRef.namespace": FIXED, "clouds.quota.networks.name": OF,
        "clouds.quota.images.name": OF, "clouds.quota.datastores.name": OF,
        "externalUsers.subject": "whom a driver means: OpenNebula keeps it as a password, which it does not tell",
    },
}  # fmt: skip
_UNDER = {
    "SovereignCloud spec.hosted.": HOSTED,
    "SovereignCloud spec.verification.": RUN,
    "SovereignCloud spec.fencing.": SAID,
    "SovereignCloud spec.existing.ssh.": SECRET,
    "BareMetalServer spec.": HOSTED,
    "FederatedZone spec.": FEDERATED,
    "SovereigntyPolicy spec.": RULE,
    "ProviderProfile spec.": RULE,
    "InstanceMigration spec.": DONE_ONCE,
    "ExitPlan spec.": DONE_ONCE,
}


def exempt(path):
    """Why a field has no row; empty: it must have one."""
    kind, _, rest = path.partition(" spec.")
    found = _EVERYWHERE.get(rest) or _BY_KIND[kind].get(rest) if kind in _BY_KIND else ""
    return found or next((why for prefix, why in _UNDER.items() if path.startswith(prefix)), "")


def needless():
    """Exemptions of fields that are not there."""
    there = every_field()
    return [
        f"{kind} spec.{rest}" for kind, some in _BY_KIND.items() for rest in some if f"{kind} spec.{rest}" not in there
    ]
