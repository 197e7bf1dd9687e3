"""Where a new machine may be born: the hosts, devices and the VM group that spec names, looked up in its cloud."""

from __future__ import annotations

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.core.outcome import DONE, Outcome, merge
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.hostedinstance.compute.devices import devices_for_a_new_machine
from sovereigncloud.kinds.hostedinstance.compute.hosts import has_several, named_hosts, of_its_cluster
from sovereigncloud.kinds.hostedinstance.compute.scheduling_requirements import requirements
from sovereigncloud.kinds.hostedinstance.compute.steps import CreateGroup
from sovereigncloud.kinds.hostedinstance.compute.vm_group import prepared, role_of
from sovereigncloud.kinds.hostedinstance.creation.template_context import Surroundings
from sovereigncloud.kinds.hostedinstance.observation import InstanceObservation
from sovereigncloud.ports.opennebula.views import CloudView, Membership
from sovereigncloud.ports.opennebula.vm_groups import VmGroup


def born_into(
    resource: HostedInstance, observed: InstanceObservation, cloud: Key, view: CloudView, source: int
) -> tuple[Surroundings | CreateGroup, Outcome]:
    """What to say of it at its creation, or the group that has to be made before; and what stands in the way."""
    spec = resource.spec
    troubles = [devices_for_a_new_machine(spec.pci_devices or (), view, where(cloud))]
    told = _told_to_the_scheduler(resource, observed, cloud, view, source)
    if isinstance(told, Outcome):
        troubles.append(told)
        told = ""
    found = prepared(resource, observed, cloud, view)
    if isinstance(found, CreateGroup):
        return found, merge(troubles)
    if isinstance(found, VmGroup) and spec.group is not None:
        return Surroundings(Membership(found.id, role_of(spec.group)), told), merge(troubles)
    if isinstance(found, Outcome):
        troubles.append(found)
    return Surroundings(requirements=told), merge(troubles) if troubles else DONE


def _told_to_the_scheduler(
    resource: HostedInstance, observed: InstanceObservation, cloud: Key, view: CloudView, source: int
) -> str | Outcome:
    """The hosts that it names, else the cluster that was chosen where there are several; empty: nothing beside what a template
    says.
    """
    spec = resource.spec
    names = spec.placement.hosts if spec.placement is not None else None
    listed = named_hosts(names, view, where(cloud)) if names is not None else ()
    if isinstance(listed, Outcome):
        return listed
    cluster = observed.chosen.cluster if observed.chosen is not None and has_several(view) else None
    if not listed and cluster is None:
        return ""
    template = None if spec.source.image else view.templates.get(source)
    return requirements(template.requirements if template else "", of_its_cluster(listed, view, cluster), cluster)
