"""The rights that the operator needs in its cluster: what the charts grant is made from this."""

from __future__ import annotations

from dataclasses import dataclass

from sovereigncloud.api import KINDS
from sovereigncloud.api.common.base import GROUP
from sovereigncloud.kinds.sovereigntypolicy.admission import ADMISSION_POLICIES
from sovereigncloud.providers.kubernetes.api import ADMISSION_GROUP, HOLDINGS_CONFIG_MAP, INSTALLATION_CONFIG_MAP


@dataclass(frozen=True, slots=True)
class RbacRule:
    """A right that the operator needs; the roles of the Helm chart are generated from these (`commands/generate/files.py`).

    Attributes:
        group: API group, empty for the core one.
        resource: plural, with its subresource.
        verbs: on it.
        own_namespace: only in the namespace that the operator runs in.
        names: only on objects of these names; not possible for list, watch and create.
        cluster_kind: objects of it are in no namespace, so that a Role cannot grant it.
        narrowed: only needed by an operator that watches some namespaces, not the cluster.
        wide: only given to one that watches the whole cluster: what is in no namespace is nobody else's to act upon.
    """

    group: str
    resource: str
    verbs: tuple[str, ...]
    own_namespace: bool = False
    names: tuple[str, ...] = ()
    cluster_kind: bool = False
    narrowed: bool = False
    wide: bool = False


RBAC = (
    *(RbacRule(GROUP, k.crd.plural, ("list", "watch", "patch"), wide=not k.crd.namespaced) for k in KINDS),
    *(RbacRule(GROUP, f"{k.crd.plural}/status", ("patch",), wide=not k.crd.namespaced) for k in KINDS),
    *(RbacRule(GROUP, plural, ("create", "delete")) for plural in ("baremetalservers", "virtualnetworks")),
    # A machine that has to leave, one whose cloud is lost, an exit: each makes the InstanceMigration that moves it.
    RbacRule(GROUP, "instancemigrations", ("create", "delete")),
    # Children carry blockOwnerDeletion: where the admission plugin OwnerReferencesPermissionEnforcement is on (OpenShift),
    # that takes the right to set the owner's finalizers.
    RbacRule(GROUP, "sovereignclouds/finalizers", ("update",)),
    # Kopf watches them: a kind whose CRD comes later is taken up without a restart (kopf/_core/reactor/observation.py, 1.45).
    RbacRule("apiextensions.k8s.io", "customresourcedefinitions", ("get", "list", "watch"), cluster_kind=True),
    # And namespaces, where only some are watched: one that is made later is taken up as well.
    RbacRule("", "namespaces", ("list", "watch"), cluster_kind=True, narrowed=True),
    # Whom a SovereigntyPolicy binds, labels of namespaces say; it is enforced by bindings, and who binds to it must be able to
    # read it (apiserver, validatingadmissionpolicybinding/authz.go).
    RbacRule("", "namespaces", ("list", "watch"), wide=True),
    RbacRule(GROUP, "sovereigntypolicies", ("get",), wide=True),
    RbacRule(ADMISSION_GROUP, "validatingadmissionpolicies", ("get",), wide=True, names=ADMISSION_POLICIES),
    RbacRule(ADMISSION_GROUP, "validatingadmissionpolicybindings", ("get", "create", "update", "delete"), wide=True),
    RbacRule("", "secrets", ("get", "create", "patch", "delete")),
    RbacRule("", "events", ("create", "patch")),  # patch: what is said again counts up
    RbacRule("batch", "jobs", ("get", "list", "create")),
    RbacRule("", "pods", ("list",)),  # which task of the installer failed, told by its pod at its end
    RbacRule("", "configmaps", ("get",), own_namespace=True, names=(INSTALLATION_CONFIG_MAP,)),
    RbacRule("", "configmaps", ("create",), own_namespace=True),
    RbacRule("", "configmaps", ("get", "patch"), own_namespace=True, names=(HOLDINGS_CONFIG_MAP,)),
    RbacRule("coordination.k8s.io", "leases", ("get", "create", "update"), own_namespace=True),
)
