"""Copy of metadata.labels in one attribute of the VM in OpenNebula."""

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
"""Key in `status.external` for the digest of the labels that were last written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetLabels(VmStep):
    """Write the labels to the VM; `labels` as formatted by `labels_text`."""

    labels: str


def labels_text(labels: Mapping[str, str]) -> str:
    """Format labels as "app=web,tier=database", without those of the operator itself.

    Names and values of labels contain neither = nor a comma.
    """
    return _text(tuple(labels.items()))


@lru_cache(maxsize=1024)
def _text(labels: tuple[tuple[str, str], ...]) -> str:
    """Format with a cache: thousands of VMs share a few sets of labels."""
    return ",".join([f"{name}={value}" for name, value in sorted(labels) if not name.startswith(_OWN)])


def labels_digest(text: str) -> str:
    """Return a short digest of formatted labels; empty for no labels."""
    return hashlib.sha256(text.encode()).hexdigest()[:8] if text else ""


async def write_labels(step: SetLabels, client: OpenNebula) -> Outcome:
    """Write the labels attribute and keep the other attributes of the VM."""
    await client.update_vm(step.vm, {LABELS: step.labels or CLEARED})
    return done().with_facts(**{LABELS_FACT: labels_digest(step.labels)})
