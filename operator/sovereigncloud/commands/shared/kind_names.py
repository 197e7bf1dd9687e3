"""Kinds as a person types them: HostedInstance, hostedinstances, hinst, with or without the group."""

from __future__ import annotations

from difflib import get_close_matches

from sovereigncloud.api import KINDS
from sovereigncloud.api.common.base import GROUP, VERSION
from sovereigncloud.commands.shared.errors import CommandError


def known_kinds() -> dict[str, str]:
    """Every name of a kind -> the kind."""
    return {
        name: kind.crd.kind
        for kind in KINDS
        for name in (kind.crd.kind.lower(), kind.crd.plural, *kind.crd.short_names)
    }


def kind_of(typed: str) -> str:
    """The kind that a kind, plural, singular or short name stands for. Raises CommandError."""
    word = typed.lower().removesuffix(f".{GROUP}").removesuffix(f".{VERSION}")
    known = known_kinds()
    if word in known:
        return known[word]
    near = get_close_matches(word, known, n=1, cutoff=0.6)
    hint = f"did you mean {near[0]}?" if near else "it is one of " + ", ".join(_offered())
    raise CommandError(f"there is no kind {typed}: {hint}")


def _offered() -> list[str]:
    return [f"{kind.crd.kind} ({', '.join(kind.crd.short_names)})" for kind in KINDS]


def short_names() -> dict[str, str]:
    """Kind -> what to type for it."""
    return {kind.crd.kind: short_name(kind.crd.kind) for kind in KINDS}


def short_name(kind: str) -> str:
    """What to type for a kind in a command."""
    crd = next(k.crd for k in KINDS if k.crd.kind == kind)
    return crd.short_names[0] if crd.short_names else crd.plural


def parse(words: list[str]) -> tuple[str, str]:
    """Kind and name from KIND/NAME or KIND NAME. Raises CommandError."""
    typed, _, name = words[0].partition("/") if len(words) == 1 else (words[0], "", words[1])
    if len(words) > 2 or not typed or not name or "/" in name:
        raise CommandError(f"write KIND/NAME, for example hinst/web: {' '.join(words)} is not of this form")
    return kind_of(typed), name
