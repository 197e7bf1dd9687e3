"""Names of Kubernetes objects for things whose names are free text, one each; and text for comments."""

from __future__ import annotations

import re
import unicodedata

_NOT_IN_A_NAME = re.compile(r"[^a-z0-9]+")
_LONGEST = 63


def object_name(name: str, number: int, noun: str, taken: set[str], longest: int = _LONGEST) -> str:
    """As near to the name as may be; with the number where two would be the same. It is added to `taken`."""
    plain = unicodedata.normalize("NFKD", name.casefold()).encode("ascii", "ignore").decode()
    wished = _NOT_IN_A_NAME.sub("-", plain).strip("-")[:longest].strip("-")
    shorter = wished[: longest - 1 - len(str(number))].strip("-")
    wishes = [wished, f"{shorter}-{number}" if shorter else "", f"{noun}-{number}"]
    wishes += [f"{noun}-{number}-{again}" for again in range(2, 1000)]
    found = next(one for one in wishes if one and one not in taken)
    taken.add(found)
    return found


def one_line(text: str) -> str:
    """For a comment: what a person called something must not end it."""
    return "".join(character if character.isprintable() else " " for character in text)
