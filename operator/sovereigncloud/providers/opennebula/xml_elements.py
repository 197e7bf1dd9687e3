"""What stands in oned's XML: the objects of a pool, and the texts, numbers and attributes of each."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from typing import TypeVar, cast

from lxml import etree

from sovereigncloud.core.identity import ONE_INSTALLATION, ONE_OBJECT, ONE_UID
from sovereigncloud.ports.errors import Retry
from sovereigncloud.ports.opennebula.client import Attributes

T = TypeVar("T")
Element = etree._Element  # noqa: SLF001 - lxml exports no other name for the type

_MARK = frozenset({ONE_INSTALLATION, ONE_OBJECT, ONE_UID})
_NOTE = "SOVEREIGNCLOUD_"


class Malformed(Exception):
    """XML that is not what oned gives."""


@contextmanager
def malformed_means_retry(method: str) -> Iterator[None]:
    """Around the reading of an answer: where it is malformed, the call is worth another try.

    Raises:
        Retry: it is malformed.
    """
    try:
        yield
    except Malformed as error:
        raise Retry(str(error), where=f"OpenNebula {method}", maybe_done=False) from None


def read_pool(xml: str, tag: str, read: Callable[[Element], T]) -> list[T]:
    """Every object of a pool.

    Raises:
        Malformed: it is no pool, or an object in it is not whole.
    """
    return list(_objects(xml, tag, read))


def _objects(xml: str, tag: str, read: Callable[[Element], T]) -> Iterator[T]:
    if not xml:
        return
    try:
        for _, element in etree.iterparse(
            BytesIO(xml.encode()), tag=tag, huge_tree=True, resolve_entities=False, no_network=True
        ):
            # HOST_POOL/HOST has in VMS/ID nothing of that name, but VM_POOL/VM may have VMs in plans some day.
            parent = element.getparent()
            if parent is not None and parent.getparent() is None:
                yield read(element)
                element.clear()
    except (etree.XMLSyntaxError, ValueError, TypeError) as error:
        raise Malformed(f"not a pool of {tag}") from error


def read_one(xml: str, tag: str, read: Callable[[Element], T]) -> T:
    """One object.

    Raises:
        Malformed: it is none.
    """
    parser = etree.XMLParser(huge_tree=True, resolve_entities=False, no_network=True)
    try:
        root = etree.fromstring(xml.encode(), parser)
        if root.tag != tag:
            raise Malformed(f"not a {tag}")
        return read(root)
    except (etree.XMLSyntaxError, ValueError, TypeError) as error:
        raise Malformed(f"not a {tag}") from error


def shared_text(element: Element, path: str) -> str:
    """A text that many objects have: kept once."""
    return sys.intern(text(element, path))


def text(element: Element, path: str) -> str:
    if "/" in path:
        return element.findtext(path) or ""
    for child in element.iterchildren(path):  # half of what findtext takes
        return child.text or ""
    return ""


def number(element: Element, path: str) -> int:
    return int(text(element, path) or -1)


def texts(element: Element | None, tags: tuple[str, ...]) -> dict[str, str]:
    """The texts of some children in one pass; of one that is not there the empty one, of several the first."""
    found = dict.fromkeys(tags, "")
    if element is not None:
        for child in element.iterchildren(*tags, reversed=True):
            found[child.tag] = child.text or ""
    return found


def groups(element: Element | None, tags: tuple[str, ...]) -> dict[str, list[Element]]:
    """Some children in one pass, by tag."""
    found: dict[str, list[Element]] = {tag: [] for tag in tags}
    if element is not None:
        for child in element.iterchildren(*tags):
            found[child.tag].append(child)
    return found


def ids(element: Element, path: str) -> tuple[int, ...]:
    return tuple(int(one.text or -1) for one in element.iterfind(path))


def singles(element: Element | None) -> dict[str, str]:
    """The single attributes of a template; vectors are left out."""
    return {} if element is None else {str(one.tag): one.text or "" for one in element if len(one) == 0}


def whole(element: Element | None) -> dict[str, str | Attributes | list[Attributes]]:
    """A template as it can be written again: what is there several times is a list."""
    found: dict[str, list[str | Attributes]] = {}
    for one in () if element is None else element:
        value = {str(inner.tag): inner.text or "" for inner in one} if len(one) else one.text or ""
        found.setdefault(str(one.tag), []).append(value)
    return {key: values[0] if len(values) == 1 else cast("list[Attributes]", values) for key, values in found.items()}


def notes(attributes: Mapping[str, str]) -> dict[str, str]:
    """Those of ours among the single attributes of a template, but for the mark."""
    return {sys.intern(name): value for name, value in unmarked(attributes).items() if name.startswith(_NOTE)}


def unmarked(attributes: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in attributes.items() if name not in _MARK}
