"""Numbers with their nouns. Pure."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """1 field, 2 fields."""
    return f"{number} {noun}" + ("" if number == 1 else "s")
