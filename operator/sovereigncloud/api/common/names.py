"""Names that a person gives to what stands inside an object."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from sovereigncloud.api.common.base import WORDS


def label(example: str, most: int) -> Any:
    """A field for a short name of a person's own, `most` characters long."""
    return Field(
        min_length=1,
        max_length=most,
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        json_schema_extra={WORDS: f"must be lower case letters, digits and -, for example {example}"},
    )


def host_name(example: str) -> Any:
    """A field for the name or address of a machine that the operator, a front-end or a host reaches."""
    return Field(
        min_length=1,
        max_length=253,
        pattern=r"^[A-Za-z0-9]([-.:A-Za-z0-9]*[A-Za-z0-9])?$",
        json_schema_extra={WORDS: f"must be the name or address of a machine: for example {example}"},
    )


def unix_user(example: str) -> Any:
    """A field for who logs in at a machine."""
    return Field(
        min_length=1,
        max_length=32,
        pattern=r"^[a-z_][-a-z0-9_]*$",
        json_schema_extra={WORDS: f"must be the name of a Unix user, for example {example}"},
    )
