"""A task of OVHcloud: an operation that ends later."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Task:
    """A task of a dedicated server: init, todo, doing, done, cancelled, customerError, ovhError."""

    id: int
    function: str
    status: str
    comment: str
