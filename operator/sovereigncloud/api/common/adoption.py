"""What a person made and an object is to take over, named by its number outside."""

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
    """Which thing of the cloud it is. It carries nobody's mark, and the object's own once it is adopted."""

    id: OutsideId = Field(description='Its number in OpenNebula, in quotes, for example "42".')


ADOPTED_FACT = "adopted"
"""In `status.external`: "yes" of what was there before."""


def was_there_before(external: Mapping[str, str], key: str, adopt: Adopt | None) -> bool:
    """Whether what an object has outside was adopted, or is to be. Not what took the place of such a one. `key`: of
    `external`, for its number.
    """
    number = external.get(key)
    return external.get(ADOPTED_FACT) == "yes" or (adopt is not None and number in {None, "", adopt.id})
