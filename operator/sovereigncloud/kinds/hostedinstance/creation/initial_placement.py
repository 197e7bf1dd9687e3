"""Initial placement of a new VM in its cloud: hosts or cluster, PCI devices and VM group."""

from __future__ import annotations

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.core.outcome import DONE, Outcome, merge
from sovereigncloud.kinds.contract.cloud_keys import where
from sovereigncloud.kinds.hostedinstance.compute.devices import check_devices
from sovereigncloud.kinds.hostedinstance.compute.hosts import has_several_clusters, hosts_in_cluster, named_hosts
from sovereigncloud.kinds.hostedinstance.compute.scheduling_requirements import requirements
from sovereigncloud.kinds.hostedinstance.compute.steps import CreateGroup
from sovereigncloud.kinds.hostedinstance.compute.vm_group import find_or_create_group, role_of
from sovereigncloud.kinds.hostedinstance.creation.template_context import TemplateContext
from sovereigncloud.kinds.hostedinstance.machine.observed import InstanceObservation
from sovereigncloud.ports.opennebula.views import CloudView, Membership
from sovereigncloud.ports.opennebula.vm_groups import VmGroup


def initial_placement(
    resource: HostedInstance, observed: InstanceObservation, cloud: Key, view: CloudView, source: int
) -> tuple[TemplateContext | CreateGroup, Outcome]:
    """Return the template context of a new VM, and what blocks its creation.

    If its VM group does not exist yet, return the step that creates the group instead of the context.
    """
    spec = resource.spec
    troubles = [check_devices(spec.pci_devices or (), view, where(cloud))]
    told = _scheduling_requirements(resource, observed, cloud, view, source)
    if isinstance(told, Outcome):
        troubles.append(told)
        told = ""
    found = find_or_create_group(resource, observed, cloud, view)
    if isinstance(found, CreateGroup):
        return found, merge(troubles)
    if isinstance(found, VmGroup) and spec.group is not None:
        return TemplateContext(Membership(found.id, role_of(spec.group)), told), merge(troubles)
    if isinstance(found, Outcome):
        troubles.append(found)
    return TemplateContext(requirements=told), merge(troubles) if troubles else DONE


def _scheduling_requirements(
    resource: HostedInstance, observed: InstanceObservation, cloud: Key, view: CloudView, source: int
) -> str | Outcome:
    """Return SCHED_REQUIREMENTS for the listed hosts, else for the cluster if one of several.

    Empty if only the requirements of the template apply.
    """
    spec = resource.spec
    names = spec.placement.hosts if spec.placement is not None else None
    listed = named_hosts(names, view, where(cloud)) if names is not None else ()
    if isinstance(listed, Outcome):
        return listed
    cluster = observed.chosen.cluster if observed.chosen is not None and has_several_clusters(view) else None
    if not listed and cluster is None:
        return ""
    template = None if spec.source.image else view.templates.get(source)
    return requirements(template.requirements if template else "", hosts_in_cluster(listed, view, cluster), cluster)
