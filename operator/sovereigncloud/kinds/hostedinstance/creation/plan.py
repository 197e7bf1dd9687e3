"""The plan of a machine that is not there: what it is to be made from, and why it cannot be yet."""

from __future__ import annotations

from sovereigncloud.api.common.base import Consent, Key
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.hostedinstance import HostedInstance, Source
from sovereigncloud.core.outcome import DONE, Outcome, Phase, merge, stalled, waiting
from sovereigncloud.core.plan import LOST_PATH, Action, Cause, Drift, Plan
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.hostedinstance.compute.steps import CreateGroup
from sovereigncloud.kinds.hostedinstance.creation.guest_configuration import cannot_be_given
from sovereigncloud.kinds.hostedinstance.creation.initial_placement import born_into
from sovereigncloud.kinds.hostedinstance.machine.capacity import Declared, size
from sovereigncloud.kinds.hostedinstance.network.nic_requirements import needed
from sovereigncloud.kinds.hostedinstance.network.steps import NewCard
from sovereigncloud.kinds.hostedinstance.observation import InstanceObservation, bound_cloud, declared_cloud
from sovereigncloud.kinds.hostedinstance.placement.placement import CLUSTER_FACT
from sovereigncloud.kinds.hostedinstance.placement.quota import taken, within_quota
from sovereigncloud.kinds.hostedinstance.steps import NO_CHOICE, BindInstance, ChosenPlace, CreateVm
from sovereigncloud.kinds.hostedinstance.storage.from_backup import from_backup, last_backup
from sovereigncloud.kinds.hostedinstance.storage.image_checks import is_of_another_namespace
from sovereigncloud.kinds.identity.name_resolution import resolve
from sovereigncloud.kinds.identity.usage_rights import may_be_made, not_shared, usable_images, usable_templates
from sovereigncloud.kinds.securitygroup.names import Place
from sovereigncloud.ports.opennebula.image_states import BOOTABLE_TYPES, ready_for_a_machine
from sovereigncloud.ports.opennebula.views import CloudView, Image


def creation(
    resource: HostedInstance,
    observed: InstanceObservation,
    sizes: Declared,
    cause: Cause,
    replaced: int | None = None,
) -> Plan:
    """One step, or what stands in its way. `replaced`: the machine that was lost."""
    cloud, view = observed.cloud, observed.view
    if cloud is None or view is None:
        return Plan(outcome=observed.problem or DONE)
    if (unable := _cannot_be_made(resource, observed)) is not None:
        return Plan(outcome=unable)
    # Decided once and recorded, so that the cloud is watched for it, and a second cloud in the namespace changes nothing.
    declared = declared_cloud(resource)
    own = declared is not None and declared.namespace == resource.metadata.namespace
    bind = () if _is_bound(resource, observed, cloud) or own else (_bind(cloud, observed),)
    if (not_yet := may_be_made(observed.tenancy)) is not None:
        return Plan(steps=bind, outcome=not_yet)
    restored = from_backup(resource, observed, cloud, view, replaced)
    if restored is not None and restored.template is None:
        return Plan(steps=(*bind, *restored.steps), outcome=restored.outcome)
    if restored is not None and restored.template is not None:
        source, trouble = restored.template.id, DONE
    else:
        source, trouble = _source(resource, observed, view, where(cloud), sizes)
    cards, network_trouble = _cards(resource, observed, cloud, view)
    surroundings, other_trouble = born_into(resource, observed, cloud, view, source)
    trouble = merge((trouble, network_trouble, other_trouble))
    if trouble.phase is Phase.DONE:
        trouble = within_quota(observed.tenancy, view, taken(resource, view, sizes, source, cards))
    if trouble.phase is not Phase.DONE:
        return Plan(steps=bind, outcome=trouble)
    if isinstance(surroundings, CreateGroup):
        return Plan(
            steps=(*bind, surroundings), outcome=waiting(Reason.CREATING, f"{surroundings.target} is to be made")
        )
    step = CreateVm(
        action=Action.CREATE,
        target=f'VM "{resource.outside_name}" in {where(cloud)}',
        cause=cause,
        # driftPolicy decides about a machine that was lost, never about one that was not made yet.
        fields=() if cause is Cause.DECLARED else (LOST_PATH,),
        cloud=cloud,
        image=source if resource.spec.source.image and restored is None else None,
        template=None if resource.spec.source.image and restored is None else source,
        restored=restored.disks if restored is not None else (),
        forgets=tuple(sorted(restored.template.notes)) if restored is not None and restored.template else (),
        cards=cards,
        surroundings=surroundings,
        place=place_of(observed),
    )
    return Plan(steps=(*bind, step), outcome=waiting(Reason.CREATING, f"{step.target} is to be made"))


def _cannot_be_made(resource: HostedInstance, observed: InstanceObservation) -> Outcome | None:
    """Neither here nor elsewhere."""
    if observed.chosen is not None and observed.chosen.outcome is not None:
        return observed.chosen.outcome
    if resource.spec.source == Source():
        message = "spec.source is needed to make a machine anew: set an image or a template of the cloud"
        return stalled(Reason.INVALID_SPEC, message)
    return cannot_be_given(resource)


def _is_bound(resource: HostedInstance, observed: InstanceObservation, cloud: Key) -> bool:
    """Whether that was recorded already: cloud and cluster."""
    chosen = observed.chosen.cluster if observed.chosen is not None else None
    same = chosen is None or resource.external.get(CLUSTER_FACT) == str(chosen)
    return bound_cloud(resource) == cloud and same


def _bind(cloud: Key, observed: InstanceObservation) -> BindInstance:
    return BindInstance(
        action=Action.UPDATE,
        target=f"placement in {where(cloud)}",
        inside=True,
        cloud=cloud,
        place=place_of(observed),
    )


def place_of(observed: InstanceObservation) -> ChosenPlace:
    """What was chosen, for the record."""
    chosen = observed.chosen
    return ChosenPlace(chosen.cluster, chosen.demand) if chosen is not None else NO_CHOICE


def lost(resource: HostedInstance, observed: InstanceObservation, sizes: Declared, missing: int) -> Plan:
    """The recorded machine is not in the view."""
    what = f"VM {missing}" + (f" in {where(observed.cloud)}" if observed.cloud else "")
    if observed.denied:
        return Plan(outcome=stalled(Reason.FOREIGN_OPEN_NEBULA, observed.denied))
    if not observed.terminated:
        return Plan(
            absent=True,
            outcome=waiting(
                Reason.CONFIRMING_ABSENCE, f"{what} is missing in the last view; it is asked for", available=True
            ),
        )
    drift = (Drift(LOST_PATH, f'VM "{resource.outside_name}"', f"VM {missing} was terminated"),)
    policy = resource.spec.update_policy
    backup = last_backup(observed, observed.view, missing) if observed.view is not None else None
    how = f'from its last backup "{backup.name}"' if backup is not None else "with an empty root disk"
    if policy is None or policy.replace is not Consent.ALLOW:
        return Plan(
            drift=drift,
            outcome=stalled(
                Reason.EXTERNALLY_DELETED,
                f"{what} was terminated by somebody; set spec.updatePolicy.replace: Allow to have it made anew {how}, or"
                " delete this object",
            ),
        )
    again = creation(resource, observed, sizes, Cause.OBSERVED, missing)
    return Plan(drift=drift, steps=again.steps, outcome=again.outcome)


def _source(
    resource: HostedInstance, observed: InstanceObservation, view: CloudView, place: str, sizes: Declared
) -> tuple[int, Outcome]:
    source = resource.spec.source
    if source.image is None:
        candidates = usable_templates(view, observed.tenancy)
        template = resolve("template", source.template or "", candidates, (), place)
        return (-1, template) if isinstance(template, Outcome) else (template.id, DONE)
    namespace = resource.metadata.namespace
    images = [
        image
        for image in usable_images(view, observed.tenancy)
        if image.type in BOOTABLE_TYPES and not is_of_another_namespace(image, namespace)
    ]
    image = resolve("image", source.image, images, observed.on_their_way, place)
    if isinstance(image, Outcome):
        return -1, not_shared(source.image, view, observed.tenancy, place) or image
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


def _cards(
    resource: HostedInstance, observed: InstanceObservation, cloud: Key, view: CloudView
) -> tuple[tuple[NewCard, ...] | None, Outcome]:
    if resource.spec.networks is None:
        return None, DONE
    place = Place(cloud, view, observed.mark, observed.on_their_way, owners=observed.owners)
    cards = [needed(wanted, place) for wanted in resource.spec.networks]
    troubles = merge(card for card in cards if isinstance(card, Outcome))
    return tuple(card for card in cards if isinstance(card, NewCard)), troubles
