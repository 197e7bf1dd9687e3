"""Adoption of existing OpenNebula resources by their ID."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from sovereigncloud.api.common.base import WORDS, Model

OutsideId = Annotated[
    str,
    Field(
        pattern=r"^(0|[1-9][0-9]{0,9})$",
        max_length=10,
        json_schema_extra={WORDS: 'must be a number in quotes as OpenNebula shows it, for example "42"'},
    ),
]
"""A number that OpenNebula gave."""


class Adopt(Model):
    """Existing OpenNebula resource to adopt. It must not carry another object's mark; the operator marks it."""

    id: OutsideId = Field(description='OpenNebula ID of the resource, in quotes, for example "42".')


ADOPTED_FACT = "adopted"
"""In `status.external`: "yes" of what was there before."""


def was_there_before(external: Mapping[str, str], key: str, adopt: Adopt | None) -> bool:
    """Return whether the object's external resource was adopted or will be; a later replacement does not count.

    `key`: entry of `external` with the resource's ID.
    """
    number = external.get(key)
    return external.get(ADOPTED_FACT) == "yes" or (adopt is not None and number in {None, "", adopt.id})
