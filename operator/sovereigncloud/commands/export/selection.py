"""Which of the things in a zone are meant."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.api.machineimage import MachineImage
from sovereigncloud.api.securitygroup import SecurityGroup
from sovereigncloud.api.sovereigncloud import SovereignCloud
from sovereigncloud.api.virtualnetwork import VirtualNetwork
from sovereigncloud.commands.shared.errors import CommandError
from sovereigncloud.kinds.identity.identification import Marked
from sovereigncloud.ports.opennebula.details import Particulars

_OURS = "SOVEREIGNCLOUD_LABELS"
_THEIRS = "LABELS"
KINDS = tuple(kind.crd.kind for kind in (SovereignCloud, VirtualNetwork, SecurityGroup, MachineImage, HostedInstance))


@dataclass(frozen=True, slots=True)
class Wanted:
    """All that is given must hold; of several values of one, any.

    Attributes:
        kinds: of objects; none: all.
        names: patterns with * and ?, upper and lower case told apart.
        owners: users of OpenNebula, by name or number.
        groups: by name.
        networks: by name or number: machines with a card in one, and the network itself.
        labels: NAME=VALUE: an attribute or a label of the operator; NAME: a label as Sunstone writes them.
    """

    kinds: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    ids: tuple[int, ...] = ()
    owners: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for kind in self.kinds:
            if kind not in KINDS:
                raise CommandError(f"there is no kind {kind} to write: choose of {', '.join(KINDS)}")

    def has(self, kind: str) -> bool:
        return not self.kinds or kind in self.kinds

    def takes(self, thing: Marked, about: Particulars, networks: Iterable[tuple[int, str]]) -> bool:
        """Whether it is meant. `networks`: those that it is in, or is."""
        known = {text for number, name in networks for text in (str(number), name)}
        return (
            (not self.names or any(fnmatchcase(thing.name, pattern) for pattern in self.names))
            and (not self.ids or thing.id in self.ids)
            and (not self.owners or bool({about.owner, str(thing.owner)} & set(self.owners)))
            and (not self.groups or about.group in self.groups)
            and (not self.networks or bool(known & set(self.networks)))
            and (not self.labels or any(_labelled(about, label) for label in self.labels))
        )


def _labelled(about: Particulars, label: str) -> bool:
    name, equals, value = label.partition("=")
    if not equals:
        return label in _listed(about.attributes.get(_THEIRS, ""))
    return about.attributes.get(name.upper()) == value or label in _listed(about.attributes.get(_OURS, ""))


def _listed(text: str) -> list[str]:
    return [one.strip() for one in text.split(",")]
