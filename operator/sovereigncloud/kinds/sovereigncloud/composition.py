"""The objects that a SovereignCloud composes: a BareMetalServer for each server, a VirtualNetwork for each network.

They are applied server-side, so that fields which the cloud does not set (driftPolicy, approvedPlan) stay whoever set
them. Each child has its own status line; the cloud only waits for them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sovereigncloud.api import BareMetalServer, SovereignCloud, VirtualNetwork
from sovereigncloud.api.common.base import API_VERSION, GROUP, DeletionPolicy, Key
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.hosted import HostedNetwork, HostedServer
from sovereigncloud.core.outcome import stalled
from sovereigncloud.core.plan import Action, Plan, Step
from sovereigncloud.kinds.contract.controller import AnyResource
from sovereigncloud.kinds.endpoint.endpoint import child_name, owner_of, server_key

CLOUD_LABEL = f"{GROUP}/cloud"
GENERATED_LABEL = f"{GROUP}/generated"
"""On generated Secrets, so that a backup finds them (docs/adr/0005)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyChild(Step):
    manifest: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteChild(Step):
    key: Key


def network_key(cloud: SovereignCloud, network: HostedNetwork) -> Key:
    return Key("VirtualNetwork", cloud.metadata.namespace, child_name(cloud, network.name))


def is_composed(cloud: SovereignCloud, child: AnyResource) -> bool:
    """Whether the cloud made it. With `--cascade=orphan` the reference goes and the label stays."""
    return owner_of(child) == cloud.key or child.metadata.labels.get(CLOUD_LABEL) == cloud.metadata.name


def plan_children(
    cloud: SovereignCloud,
    servers: Mapping[str, BareMetalServer],
    networks: Mapping[str, VirtualNetwork],
    dropped: Iterable[AnyResource],
) -> Plan:
    """Apply what is missing or differs, delete what spec no longer lists."""
    wanted: list[tuple[Mapping[str, object], AnyResource | None]] = []
    wanted += [(m, servers.get(name)) for name, m in server_manifests(cloud).items()]
    wanted += [(m, networks.get(name)) for name, m in network_manifests(cloud).items()]
    twice = [n for n, count in Counter(_name(m) for m, _ in wanted).items() if count > 1]
    if twice:
        message = f"two entries of spec.hosted would become one object {twice[0]}; choose names that differ in more than _ and -"
        return Plan(outcome=stalled(Reason.AMBIGUOUS_NAMES, message))
    steps: list[Step] = []
    for manifest, child in wanted:
        if child is not None and owner_of(child) not in {None, cloud.key}:
            message = f"{child.key} belongs to {owner_of(child)}; rename the entry in spec.hosted"
            return Plan(outcome=stalled(Reason.NAME_TAKEN, message, after=60.0))
        if child is None or (not child.deleting and differs(manifest, child)):
            steps.append(_apply(manifest, Action.CREATE if child is None else Action.UPDATE))
    for gone in dropped:
        steps += remove(cloud, gone, _policy_of_dropped(cloud, gone))
    return Plan(steps=tuple(steps))


def remove(cloud: SovereignCloud, child: AnyResource, policy: DeletionPolicy) -> list[Step]:
    """The steps that delete a child, with the policy that says what becomes of the thing outside."""
    if child.deleting:
        return []
    steps: list[Step] = []
    if child.deletion_policy is not policy and owner_of(child) == cloud.key:
        steps.append(_apply(_as_is(cloud, child, policy), Action.UPDATE))
    steps.append(DeleteChild(action=Action.DELETE, target=str(child.key), inside=True, key=child.key))
    return steps


def differs(manifest: Mapping[str, object], child: AnyResource) -> bool:
    """Whether a field that the cloud sets is another one on the child, or the child is not yet the cloud's."""
    wanted = manifest["spec"]
    found = child.spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    fields = _SERVER_FIELDS if isinstance(child, BareMetalServer) else _NETWORK_FIELDS
    assert isinstance(wanted, Mapping)  # noqa: S101 - written a few lines below
    if wanted.get("driftPolicy") and wanted["driftPolicy"]["default"] != found.get("driftPolicy", {}).get("default"):
        return True
    return owner_of(child) is None or any(wanted.get(f) != found.get(f) for f in fields)


_WHICH_MACHINE = {"service_name", "tag_selector", "order"}
_SERVER_FIELDS = ("name", "management", "deletionPolicy", "ovh", "roles", "reinstall")
_NETWORK_FIELDS = ("name", "management", "deletionPolicy", "cloudRef", "publicBlock", "vlanID", "addressRanges")


def server_manifests(cloud: SovereignCloud) -> dict[str, dict[str, object]]:
    """By the server's name in spec."""
    ovh = cloud.spec.hosted.ovh if cloud.spec.hosted else None
    return {
        s.name: _manifest(cloud, server_key(cloud, s), _server_spec(cloud, s)) for s in (ovh.servers if ovh else ())
    }


def network_manifests(cloud: SovereignCloud) -> dict[str, dict[str, object]]:
    """By the network's name in spec."""
    networks = (cloud.spec.hosted.networks if cloud.spec.hosted else None) or ()
    return {n.name: _manifest(cloud, network_key(cloud, n), _network_spec(cloud, n)) for n in networks}


def _server_spec(cloud: SovereignCloud, server: HostedServer) -> dict[str, object]:
    hosted = cloud.spec.hosted
    ovh = hosted.ovh if hosted else None
    if hosted is None or ovh is None:
        return {}
    spec: dict[str, object] = {
        "name": server.display_name or server.name,
        "ovh": {
            "endpoint": ovh.endpoint,
            "credentialsSecretRef": {"name": ovh.credentials_secret_ref.name},
            "vrack": ovh.vrack,
            **({"moveFrom": server.move_from} if server.move_from else {}),
            **server.model_dump(mode="json", by_alias=True, exclude_none=True, include=_WHICH_MACHINE),
        },
        "roles": [str(r) for r in server.roles],
    }
    # A cloud that a person built is never reinstalled, whatever spec says.
    if server.reinstall is not None and hosted.open_nebula.install is not None:
        spec["reinstall"] = server.reinstall.model_dump(mode="json", by_alias=True, exclude_none=True)
    return spec


def _network_spec(cloud: SovereignCloud, network: HostedNetwork) -> dict[str, object]:
    kept = {"move_from", "reverse_dns"}  # the cloud's own business with the provider
    spec = network.model_dump(mode="json", by_alias=True, exclude_none=True, exclude=kept)
    spec["cloudRef"] = {"name": cloud.metadata.name}
    return spec


def _manifest(cloud: SovereignCloud, key: Key, spec: Mapping[str, object]) -> dict[str, object]:
    shared: dict[str, object] = {"deletionPolicy": str(cloud.deletion_policy)}
    if cloud.spec.management is not None:
        shared["management"] = str(cloud.spec.management)
    if cloud.spec.drift_policy and cloud.spec.drift_policy.default:
        # What to do about drift in general holds for all of the cloud; its list of fields speaks of its own spec.
        shared["driftPolicy"] = {"default": str(cloud.spec.drift_policy.default)}
    return {
        "apiVersion": API_VERSION,
        "kind": key.kind,
        "metadata": {
            "name": key.name,
            "namespace": key.namespace,
            "labels": {CLOUD_LABEL: cloud.metadata.name},
            "ownerReferences": [
                {
                    "apiVersion": API_VERSION,
                    "kind": cloud.crd.kind,
                    "name": cloud.metadata.name,
                    "uid": cloud.metadata.uid,
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "spec": {**spec, **shared},
    }


def _as_is(cloud: SovereignCloud, child: AnyResource, policy: DeletionPolicy) -> dict[str, object]:
    """The child as it stands, with another deletion policy: server-side apply drops what is not said again."""
    fields = _SERVER_FIELDS if isinstance(child, BareMetalServer) else _NETWORK_FIELDS
    found = child.spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    manifest = _manifest(cloud, child.key, {})
    manifest["spec"] = {**{f: found[f] for f in fields if f in found}, "deletionPolicy": str(policy)}
    return manifest


def _policy_of_dropped(cloud: SovereignCloud, child: AnyResource) -> DeletionPolicy:
    """An entry taken off the list: what the operator made goes, what a person built or bought stays, unless the cloud
    says. A server is not cancelled because a line was deleted.
    """
    if cloud.spec.deletion_policy is not None:
        return cloud.spec.deletion_policy
    hosted = cloud.spec.hosted
    made = hosted is not None and hosted.open_nebula.install is not None and not isinstance(child, BareMetalServer)
    return DeletionPolicy.DELETE if made else DeletionPolicy.RETAIN


def _apply(manifest: Mapping[str, object], action: Action) -> ApplyChild:
    return ApplyChild(action=action, target=_name(manifest), inside=True, manifest=manifest)


def _name(manifest: Mapping[str, object]) -> str:
    metadata = manifest["metadata"]
    return f"{manifest['kind']} {metadata['name']}" if isinstance(metadata, Mapping) else ""
