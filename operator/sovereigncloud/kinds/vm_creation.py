"""The plan of a machine that is not there: what it is to be made from, and why it cannot be yet."""

from __future__ import annotations

from sovereigncloud.api.base import Consent, Key
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.api.reasons import Reason
from sovereigncloud.core.outcome import DONE, Outcome, Phase, merge, stalled, waiting
from sovereigncloud.core.plan import LOST_PATH, Action, Cause, Drift, Plan
from sovereigncloud.kinds.clouds import where
from sovereigncloud.kinds.image_states import BOOTABLE_TYPES, ready_for_a_machine
from sovereigncloud.kinds.names import resolve
from sovereigncloud.kinds.ports import CloudView, Image, Network
from sovereigncloud.kinds.vm_capacity import Declared, size
from sovereigncloud.kinds.vm_observation import InstanceObservation, bound_cloud, declared_cloud
from sovereigncloud.kinds.vm_steps import BindInstance, CreateVm

_NETWORK_READY = 1
_NETWORK_BROKEN = {5: "Error", 6: "UpdateFailure"}


def creation(resource: HostedInstance, observed: InstanceObservation, sizes: Declared, cause: Cause) -> Plan:
    """One step, or what stands in its way."""
    cloud, view = observed.cloud, observed.view
    if cloud is None or view is None:
        return Plan(outcome=observed.problem or DONE)
    # Decided once and recorded, so that the cloud is watched for it, and a second cloud in the namespace changes nothing.
    bind = () if bound_cloud(resource) == cloud or declared_cloud(resource) is not None else (_bind(cloud),)
    source, trouble = _source(resource, observed, view, where(cloud), sizes)
    networks, network_trouble = _networks(resource, observed, view, where(cloud))
    trouble = merge((trouble, network_trouble))
    if trouble.phase is not Phase.DONE:
        return Plan(steps=bind, outcome=trouble)
    step = CreateVm(
        action=Action.CREATE,
        target=f'VM "{resource.outside_name}" in {where(cloud)}',
        cause=cause,
        # driftPolicy decides about a machine that was lost, never about one that was not made yet.
        fields=() if cause is Cause.DECLARED else (LOST_PATH,),
        cloud=cloud,
        image=source if resource.spec.source.image else None,
        template=None if resource.spec.source.image else source,
        networks=networks,
    )
    return Plan(steps=(*bind, step), outcome=waiting(Reason.CREATING, f"{step.target} is to be made"))


def _bind(cloud: Key) -> BindInstance:
    return BindInstance(action=Action.UPDATE, target=f"placement in {where(cloud)}", inside=True, cloud=cloud)


def lost(resource: HostedInstance, observed: InstanceObservation, sizes: Declared, missing: int) -> Plan:
    """The recorded machine is not in the view."""
    what = f"VM {missing}" + (f" in {where(observed.cloud)}" if observed.cloud else "")
    if observed.denied:
        return Plan(outcome=stalled(Reason.NOT_OUR_OPEN_NEBULA, observed.denied))
    if not observed.terminated:
        return Plan(
            absent=True,
            outcome=waiting(
                Reason.CONFIRMING_ABSENCE, f"{what} is missing in the last view; it is asked for", available=True
            ),
        )
    drift = (Drift(LOST_PATH, f'VM "{resource.outside_name}"', f"VM {missing} was terminated"),)
    policy = resource.spec.update_policy
    if policy is None or policy.replace is not Consent.ALLOW:
        return Plan(
            drift=drift,
            outcome=stalled(
                Reason.EXTERNALLY_DELETED,
                f"{what} was terminated by somebody; set spec.updatePolicy.replace: Allow to have it made anew with empty"
                " disks, or delete this object",
            ),
        )
    again = creation(resource, observed, sizes, Cause.OBSERVED)
    return Plan(drift=drift, steps=again.steps, outcome=again.outcome)


def _source(
    resource: HostedInstance, observed: InstanceObservation, view: CloudView, place: str, sizes: Declared
) -> tuple[int, Outcome]:
    source = resource.spec.source
    if source.image is None:
        template = resolve("template", source.template or "", view.templates.values(), (), place)
        return (-1, template) if isinstance(template, Outcome) else (template.id, DONE)
    candidates = [image for image in view.images.values() if image.type in BOOTABLE_TYPES]
    image = resolve("image", source.image, candidates, observed.on_their_way, place)
    if isinstance(image, Outcome):
        return -1, image
    return image.id, merge((ready_for_a_machine(image, place), _fits(image, sizes)))


def _fits(image: Image, sizes: Declared) -> Outcome:
    if sizes.memory is None:
        return stalled(Reason.INVALID_SPEC, "spec.memory is needed with spec.source.image, for example 4Gi")
    if sizes.root_size is not None and sizes.root_size < image.size:
        return stalled(
            Reason.CANNOT_SHRINK,
            f'spec.disks[root].size {size(sizes.root_size)} is less than image "{image.name}" needs, {size(image.size)};'
            " set at least that, or take it out",
        )
    return DONE


def _networks(
    resource: HostedInstance, observed: InstanceObservation, view: CloudView, place: str
) -> tuple[tuple[int, ...] | None, Outcome]:
    if resource.spec.networks is None:
        return None, DONE
    ids: list[int] = []
    troubles: list[Outcome] = []
    for wanted in resource.spec.networks:
        network = resolve("network", wanted.name, view.networks.values(), observed.on_their_way, place)
        if isinstance(network, Outcome):
            troubles.append(network)
        else:
            ids.append(network.id)
            troubles.append(usable(network, place))
    return tuple(ids), merge(troubles)


def usable(network: Network, place: str) -> Outcome:
    """Whether a machine can be attached to it now."""
    what = f'network {network.id} "{network.name}" in {place}'
    if network.state == _NETWORK_READY:
        return DONE
    if broken := _NETWORK_BROKEN.get(network.state):
        return stalled(
            Reason.NETWORK_ERROR, f"{what} is in state {broken}; recover it there (onevnet recover {network.id})"
        )
    return waiting(Reason.NETWORK_NOT_READY, f"{what} is not ready yet")
