"""metadata.labels as one attribute of a machine in OpenNebula."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from sovereigncloud.api.common.base import GROUP
from sovereigncloud.core.outcome import Outcome, done
from sovereigncloud.kinds.hostedinstance.machine.step import CLEARED, LABELS, VmStep
from sovereigncloud.ports.opennebula.client import OpenNebula

LABELS_PATH = "metadata.labels"
_OWN = f"{GROUP}/"
LABELS_FACT = "labels"
"""In `status.external`: names the labels that were last written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetLabels(VmStep):
    labels: str


def labels_text(labels: Mapping[str, str]) -> str:
    """app=web,tier=database: neither a label's name nor its value can hold = or a comma. The operator's own are left out."""
    return _text(tuple(labels.items()))


@lru_cache(maxsize=1024)
def _text(labels: tuple[tuple[str, str], ...]) -> str:
    """Thousands of machines have the same few."""
    return ",".join([f"{name}={value}" for name, value in sorted(labels) if not name.startswith(_OWN)])


def labels_digest(text: str) -> str:
    """Short; empty for none."""
    return hashlib.sha256(text.encode()).hexdigest()[:8] if text else ""


async def write_labels(step: SetLabels, client: OpenNebula) -> Outcome:
    """Merged into what else is there."""
    await client.update_vm(step.vm, {LABELS: step.labels or CLEARED})
    return done().with_facts(**{LABELS_FACT: labels_digest(step.labels)})
