"""Field types for user-chosen names inside an object."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from sovereigncloud.api.common.base import WORDS


def label(example: str, most: int) -> Any:
    """Return the field definition of a short user-chosen name of at most `most` characters."""
    return Field(
        min_length=1,
        max_length=most,
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        json_schema_extra={WORDS: f"must be lower case letters, digits and -, for example {example}"},
    )


def host_name(example: str) -> Any:
    """Return the field definition of a host's DNS name or address."""
    return Field(
        min_length=1,
        max_length=253,
        pattern=r"^[A-Za-z0-9]([-.:A-Za-z0-9]*[A-Za-z0-9])?$",
        json_schema_extra={WORDS: f"must be the name or address of a machine: for example {example}"},
    )


def unix_user(example: str) -> Any:
    """Return the field definition of a Unix user name."""
    return Field(
        min_length=1,
        max_length=32,
        pattern=r"^[a-z_][-a-z0-9_]*$",
        json_schema_extra={WORDS: f"must be the name of a Unix user, for example {example}"},
    )
