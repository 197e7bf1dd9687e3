"""OpenNebula's templates: the text form `KEY="v" VEC=[A="b",C="d"]` and the XML form that pyone sends.

Both give the same thing: upper-cased top-level keys in a multimap, each value a string or a vector of strings. Rules as
read in OpenNebula's grammar (src/parsers/template_parser.l) and as observed: no '-' or '/' in a key, no "]]>" in a
value, a vector is replaced whole by a merge.
"""

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator

from sovereigncloud_sandbox.opennebula.errors import Code, OneError

Vector = dict[str, str]
Value = str | Vector

_KEY = re.compile(r"\w+", re.ASCII)
_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*(?:\n|$))*")
_EQUAL = re.compile(r"[ \t]*=[ \t]*")
_QUOTED = re.compile(r'"((?:\\"|[^"])*)"')  # \" is the only escape
_BARE = re.compile(r"[^=#\s,\[\]\"]+")
_COMMA = re.compile(r"[ \t\r\n]*,[ \t\r\n]*")
_OPEN = re.compile(r"\[[ \t\r\n]*")
_CLOSE = re.compile(r"[ \t\r\n]*\]")
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


class TemplateError(OneError):
    """A template that oned cannot read."""

    def __init__(self, message: str) -> None:
        super().__init__(Code.INTERNAL, message)


def cdata(value: str) -> str:
    return f"<![CDATA[{value}]]>"


class Template:
    """A multimap of attributes, rendered in alphabetical order as oned does."""

    __slots__ = ("_attributes",)

    def __init__(self, attributes: dict[str, list[Value]] | None = None) -> None:
        self._attributes: dict[str, list[Value]] = attributes or {}

    def __iter__(self) -> Iterator[tuple[str, Value]]:
        for name in sorted(self._attributes):
            for value in self._attributes[name]:
                yield name, value

    def __bool__(self) -> bool:
        return bool(self._attributes)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Template) and self._attributes == other._attributes

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __contains__(self, name: str) -> bool:
        return name in self._attributes

    def names(self) -> list[str]:
        return sorted(self._attributes)

    def get(self, name: str, default: str = "") -> str:
        """The single value of this name, or the default."""
        for value in self._attributes.get(name, ()):
            if isinstance(value, str):
                return value
        return default

    def vectors(self, name: str) -> list[Vector]:
        return [value for value in self._attributes.get(name, ()) if isinstance(value, dict)]

    def values(self, name: str) -> list[Value]:
        return list(self._attributes.get(name, ()))

    def vector(self, name: str) -> Vector | None:
        vectors = self.vectors(name)
        return vectors[0] if vectors else None

    def add(self, name: str, value: Value) -> None:
        self._attributes.setdefault(name, []).append(value)

    def put(self, name: str, *values: Value) -> None:
        """Replace whatever has this name."""
        if values:
            self._attributes[name] = list(values)
        else:
            self._attributes.pop(name, None)

    def pop(self, name: str) -> list[Value]:
        return self._attributes.pop(name, [])

    def take(self, name: str) -> str:
        """The single value of this name, removed."""
        value = self.get(name)
        self._attributes.pop(name, None)
        return value

    def merge(self, other: "Template") -> None:
        """Each top-level key of `other` replaces all attributes of that key here."""
        for name in other.names():
            values = other.values(name)
            self._attributes[name] = [value if isinstance(value, str) else dict(value) for value in values]

    def copy(self) -> "Template":
        fresh = Template()
        fresh.merge(self)
        return fresh

    def xml(self, root: str = "TEMPLATE") -> str:
        parts = [f"<{root}>"]
        for name, value in self:
            parts.append(f"<{name}>{cdata(value) if isinstance(value, str) else vector_xml(value)}</{name}>")
        parts.append(f"</{root}>")
        return "".join(parts)


def vector_xml(vector: Vector) -> str:
    return "".join([f"<{key}><![CDATA[{vector[key]}]]></{key}>" for key in sorted(vector)])


def parse(text: str) -> Template:
    """Read a template in either form.

    Raises:
        TemplateError: 0x2000 with "Parse error", as oned answers.
    """
    template = _parse_xml(text) if text.lstrip().startswith("<") else _parse_text(text)
    _refuse_unstorable(value for _, value in template)
    return template


def _refuse_unstorable(values: Iterable[Value]) -> None:
    # oned keeps objects as XML with CDATA: what CDATA cannot hold cannot be stored.
    for value in values:
        for single in (value,) if isinstance(value, str) else value.values():
            if "]]>" in single or _NOT_XML.search(single):
                raise TemplateError("Parse error: XML Template malformed.")


def _parse_xml(text: str) -> Template:
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise TemplateError("Parse error: XML Template malformed.")
    try:
        root = ET.fromstring(text.strip())
    except (ET.ParseError, ValueError) as error:
        raise TemplateError("Parse error: XML Template malformed.") from error
    template = Template()
    for element in root:
        name = _xml_key(element.tag)
        if len(element):
            template.add(name, {_xml_key(child.tag): child.text or "" for child in element})
        else:
            template.add(name, element.text or "")
    return template


def _xml_key(tag: str) -> str:
    if not _KEY.fullmatch(tag):
        raise TemplateError("Parse error: XML Template malformed.")
    return tag.upper()


def _parse_text(text: str) -> Template:
    template = Template()
    at = _skip(text, 0)
    while at < len(text):
        name, at = _key(text, at)
        value, at = _value(text, at)
        template.add(name, value)
        at = _skip(text, at)
    return template


def _skip(text: str, at: int) -> int:
    match = _BLANK.match(text, at)
    return match.end() if match else at


def _key(text: str, at: int) -> tuple[str, int]:
    key = _KEY.match(text, at)
    equal = _EQUAL.match(text, key.end()) if key else None
    if key is None or equal is None:
        raise _syntax_error(text, key.end() if key else at)
    return key.group().upper(), equal.end()


def _value(text: str, at: int) -> tuple[Value, int]:
    if opened := _OPEN.match(text, at):
        return _vector(text, opened.end())
    return _single(text, at)


def _single(text: str, at: int) -> tuple[str, int]:
    if quoted := _QUOTED.match(text, at):
        return quoted.group(1).replace('\\"', '"'), quoted.end()
    if bare := _BARE.match(text, at):
        return bare.group(), bare.end()
    if at >= len(text) or text[at] == "\n":
        return "", at
    raise _syntax_error(text, at)


def _vector(text: str, at: int) -> tuple[Vector, int]:
    vector: Vector = {}
    while True:
        if closed := _CLOSE.match(text, at):
            return vector, closed.end()
        name, at = _key(text, at)
        value, at = _single(text, at)
        vector.setdefault(name, value)
        if comma := _COMMA.match(text, at):
            at = comma.end()
        elif not _CLOSE.match(text, at):
            raise _syntax_error(text, at)


def _syntax_error(text: str, at: int) -> TemplateError:
    line = text.count("\n", 0, at) + 1
    column = at - (text.rfind("\n", 0, at) + 1)
    return TemplateError(f"Parse error: syntax error at line {line}, columns {column}:{column + 1}")
