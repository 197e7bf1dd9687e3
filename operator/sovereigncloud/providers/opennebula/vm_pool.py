"""VM pool reader that parses a VM only when its XML changed since the last read.

Of ten thousand VMs nearly all are unchanged since a minute ago: their XML is recognised by its digest and the parsed
value is reused. So a reader of VMs must be a function of the XML alone and must not read what changes by itself
(MONITORING, LAST_POLL), which the digest leaves out. A new field costs time only for changed VMs and at the first
read.
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
"""Sections that are not read, more than a third of a VM, in the order in which they occur: permissions, context, and
security group rules.
"""


class PoolRead:
    """One read of the whole pool, page by page.

    Args:
        known: results of the last read, by digest.
        read: parses one VM.

    Attributes:
        met: results of this read by digest, for the next one.
        parsed: number of VMs that were parsed.
    """

    def __init__(self, known: Mapping[bytes, Vm], read: Callable[[Element], Vm]) -> None:
        self._known, self._read = known, read
        self._parser = etree.XMLParser(huge_tree=True, resolve_entities=False, no_network=True)
        self.met: dict[bytes, Vm] = {}
        self.parsed = 0

    def page(self, text: Escaped | str) -> list[Vm]:
        """Return the VMs of one page. Raises Malformed."""
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
    """Yield each VM's XML, still escaped."""
    if len(content) == len(_OPEN) + len(_CLOSE):
        return []
    pieces = content.split(_BETWEEN)
    pieces[0], last = pieces[0].removeprefix(_OPEN), len(pieces) - 1
    pieces[last] = pieces[last].removesuffix(_CLOSE)
    return [(b"" if at == 0 else _VM) + piece + (b"" if at == last else _VM_ENDS) for at, piece in enumerate(pieces)]


def _read_of(piece: bytes) -> bytes:
    """Return a VM's XML without the unread sections; of consecutive ones all are removed."""
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
    """Return whether a position is inside CDATA, thus user text. A CDATA section cannot contain its own end."""
    return piece.rfind(_CDATA, 0, at) > piece.rfind(_CDATA_ENDS, 0, at)


def _lasting(piece: bytes) -> bytes:
    """Return a VM's XML without what changes by itself. Only what precedes any CDATA is surely a tag."""
    polled = piece.find(_POLLED)
    after_poll = piece.find(_POLLED_ENDS, polled)
    monitored = piece.find(_MONITORED, after_poll)
    ended = piece.find(_MONITORED_ENDS, monitored)
    if not 0 <= polled < after_poll < monitored < ended or piece.find(_CDATA, 0, monitored) >= 0:
        return piece
    return piece[:polled] + piece[after_poll:monitored] + piece[ended:]
