"""The machines of a pool, each parsed only when its XML is another than in the last read.

Of ten thousand machines nearly all are as they were a minute ago: their XML is recognised by its digest, and the value
that was read from it serves again. That is why a reader of machines is a function of the XML and nothing else, and reads
nothing of what moves by itself (MONITORING, LAST_POLL), which the digest leaves out. A new field costs its reading only
where a machine changed, and at the first read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import sha256

from lxml import etree

from sovereigncloud.ports.opennebula.views import Vm
from sovereigncloud.providers.opennebula.session import Escaped, unescaped
from sovereigncloud.providers.opennebula.xml_elements import Element, Malformed, read_pool

_OPEN, _CLOSE, _BETWEEN = b"&lt;VM_POOL&gt;", b"&lt;/VM_POOL&gt;", b"&lt;/VM&gt;&lt;VM&gt;"
_VM, _VM_ENDS = b"&lt;VM&gt;", b"&lt;/VM&gt;"
_POLLED, _POLLED_ENDS = b"&lt;LAST_POLL&gt;", b"&lt;/LAST_POLL&gt;"
_MONITORED, _MONITORED_ENDS = b"&lt;MONITORING&gt;", b"&lt;/MONITORING&gt;"
_CDATA, _CDATA_ENDS = b"&lt;![CDATA[", b"]]&gt;"
_UNREAD = tuple(
    (b"&lt;%b&gt;" % tag, b"&lt;/%b&gt;" % tag) for tag in (b"PERMISSIONS", b"CONTEXT", b"SECURITY_GROUP_RULE")
)
"""A third of a machine and more, in the order in which they come: who may what, what its guest is given, and each rule of its
security groups.
"""


class PoolRead:
    """One read of the whole pool, page by page.

    Args:
        known: by digest what the last read found.
        read: one machine from its XML.

    Attributes:
        met: by digest what this read found, for the next one.
        parsed: how many machines were parsed.
    """

    def __init__(self, known: Mapping[bytes, Vm], read: Callable[[Element], Vm]) -> None:
        self._known, self._read = known, read
        self._parser = etree.XMLParser(huge_tree=True, resolve_entities=False, no_network=True)
        self.met: dict[bytes, Vm] = {}
        self.parsed = 0

    def page(self, text: Escaped | str) -> list[Vm]:
        """The machines of one page. Raises Malformed."""
        if isinstance(text, Escaped) and text.content.startswith(_OPEN) and text.content.endswith(_CLOSE):
            try:
                return [self._machine(piece) for piece in _pieces(text.content)]
            except etree.XMLSyntaxError:
                # Somebody wrote "</VM><VM>" into an attribute: cut there, the first piece ends within a CDATA, which no
                # parser takes for whole.
                pass
        found = read_pool(str(text), "VM", self._read)
        self.parsed += len(found)
        return found

    def _machine(self, piece: bytes) -> Vm:
        digest = sha256(_lasting(piece)).digest()
        found = self._known.get(digest)
        if found is None:
            self.parsed += 1
            element = etree.fromstring(unescaped(_read_of(piece)), self._parser)
            try:
                found = self._read(element)
            except (ValueError, TypeError) as error:
                raise Malformed("not a pool of VM") from error
        self.met[digest] = found
        return found


def _pieces(content: bytes) -> list[bytes]:
    """Each machine's XML, escaped as it is."""
    if len(content) == len(_OPEN) + len(_CLOSE):
        return []
    pieces = content.split(_BETWEEN)
    pieces[0], last = pieces[0].removeprefix(_OPEN), len(pieces) - 1
    pieces[last] = pieces[last].removesuffix(_CLOSE)
    return [(b"" if at == 0 else _VM) + piece + (b"" if at == last else _VM_ENDS) for at, piece in enumerate(pieces)]


def _read_of(piece: bytes) -> bytes:
    """The XML of a machine without sections of which nothing is read; of those that oned lists one after another, all."""
    kept, at = [], 0
    for opening, closing in _UNREAD:
        begin = end = piece.find(opening, at)
        if begin < 0 or _in_cdata(piece, begin):
            continue
        while piece.startswith(opening, end):
            closed = piece.find(closing, end)
            if closed < 0 or _in_cdata(piece, closed):
                break
            end = closed + len(closing)
        if end > begin:
            kept.append(piece[at:begin])
            at = end
    return b"".join((*kept, piece[at:])) if kept else piece


def _in_cdata(piece: bytes, at: int) -> bool:
    """Whether that is text that somebody wrote, and no tag. Nothing that ends a CDATA can stand in one."""
    return piece.rfind(_CDATA, 0, at) > piece.rfind(_CDATA_ENDS, 0, at)


def _lasting(piece: bytes) -> bytes:
    """The XML of a machine without what moves by itself. Only what stands before any CDATA is surely a tag."""
    polled = piece.find(_POLLED)
    after_poll = piece.find(_POLLED_ENDS, polled)
    monitored = piece.find(_MONITORED, after_poll)
    ended = piece.find(_MONITORED_ENDS, monitored)
    if not 0 <= polled < after_poll < monitored < ended or piece.find(_CDATA, 0, monitored) >= 0:
        return piece
    return piece[:polled] + piece[after_poll:monitored] + piece[ended:]
