"""Objects as a person names them to kubectl: KIND/NAME, KIND NAME, or NAME where only one thing has it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from sovereigncloud.api.common.base import Key
from sovereigncloud.commands.shared.errors import CommandError
from sovereigncloud.commands.shared.kind_names import kind_of, known_kinds, short_name

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Named:
    """What was typed. An empty kind: any; an empty name: all of the kind."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}".strip()


def named(words: Sequence[str], *, whole_kinds: bool = False) -> tuple[Named, ...]:
    """The words of a command line. Raises CommandError.

    Args:
        words: KIND/NAME each, or KIND followed by names, or names.
        whole_kinds: whether a kind alone stands for all of it.
    """
    known = known_kinds()
    if words and "/" not in words[0] and words[0].lower() in known:
        kind, names = kind_of(words[0]), words[1:]
        if not names and not whole_kinds:
            raise CommandError(f"which {kind}? Write {words[0]}/NAME")
        return tuple(Named(kind, _name(name, words)) for name in names) or (Named(kind, ""),)
    found = []
    for word in words:
        typed, slash, name = word.partition("/")
        found.append(Named(kind_of(typed), _name(name, words)) if slash else Named("", _name(word, words)))
    return tuple(found)


def _name(name: str, words: Sequence[str]) -> str:
    if not name or "/" in name:
        raise CommandError(f"write KIND/NAME, for example hinst/web: {' '.join(words)} is not of this form")
    return name


def chosen(wanted: Iterable[Named], keys: Iterable[Key], namespace: str) -> tuple[Key, ...]:
    """The keys that are meant, in the order of what was typed.

    Args:
        wanted: typed.
        keys: of what is there.
        namespace: to look in; empty: all.

    Raises:
        CommandError: one is not there, or it is not clear which.
    """
    there = tuple(keys)
    found: dict[Key, None] = {}
    for one in wanted:
        found |= dict.fromkeys(_chosen(one, there, namespace))
    return tuple(found)


def _chosen(one: Named, there: tuple[Key, ...], namespace: str) -> list[Key]:
    in_scope = [key for key in there if not namespace or key.namespace in ("", namespace)]
    if not one.name:
        return sorted(key for key in in_scope if key.kind == one.kind)
    matching = [key for key in in_scope if key.name == one.name and one.kind in {"", key.kind}]
    if not matching:
        raise CommandError(not_there(one, there, namespace))
    if len(matching) > 1:
        kinds, places = {key.kind for key in matching}, {key.namespace for key in matching}
        if len(kinds) > 1:
            which = " or ".join(f"{short_name(kind)}/{one.name}" for kind in sorted(kinds))
            raise CommandError(f"several objects are named {one.name}: write {which}")
        raise CommandError(f"{one} is in several namespaces: choose one with -n: {', '.join(sorted(places))}")
    return matching


def not_there(one: Named, there: Iterable[Key], namespace: str) -> str:
    """That there is none, and what is near."""
    alike = [key for key in there if one.kind in {"", key.kind}]
    what = one.kind or "object"
    where = f"in namespace {namespace}" if namespace else "in any namespace"
    said = f"there is no {what} {one.name} {where}"
    elsewhere = sorted({key.namespace for key in alike if key.name == one.name} - {namespace})
    if elsewhere:
        return f"{said}: there is one in namespace {elsewhere[0]}: -n {elsewhere[0]}"
    here = [key for key in alike if not namespace or key.namespace == namespace]
    names = {key.name: key for key in here}
    near = get_close_matches(one.name, names, n=_SHOWN, cutoff=0.5) or sorted(names)[:_SHOWN]
    if near:
        meant = (near_name if one.kind else f"{short_name(names[near_name].kind)}/{near_name}" for near_name in near)
        return f"{said}: did you mean {' or '.join(meant)}?"
    kinds = [] if one.kind else get_close_matches(one.name.lower(), known_kinds(), n=1, cutoff=0.7)
    if kinds:
        return f"{said}: did you mean the kind {kinds[0]}? Then write {kinds[0]}/NAME"
    return f"{said}, nor any other: look with -A, or choose another --context"
