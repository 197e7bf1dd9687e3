"""Where everything on the map is, in pixels. Pure, and the same for the same map.

A country is a border with cards of clouds in it; a card has boxes of hosts with chips of instances, then the networks. What
an instance is connected to is told by colour, since lines between a hundred machines tell nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sovereigncloud.api.common.base import Key
from sovereigncloud.commands.map.model import Border, CloudBox, Host, Map, Thing
from sovereigncloud.commands.shared.condition_summary import Health, State
from sovereigncloud.commands.shared.formatting import counted
from sovereigncloud.commands.shared.kind_names import short_names

Colours = Mapping[Key, int]
NETWORK_COLOURS = 8
"""As many as can be told apart; beyond that they come again."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A rectangle, or a text where `text` is given.

    Attributes:
        x, y: upper left corner; of a text, the start of its base line (its end where `end` is True).
        look: class names, which the style sheet knows.
        told: what the pointer shows.
    """

    x: float
    y: float
    look: str
    w: float = 0
    h: float = 0
    r: float = 0
    text: str = ""
    end: bool = False
    told: str = ""


@dataclass(slots=True)
class Drawing:
    """Shapes, from the back to the front, and how large it all is."""

    shapes: list[Shape] = field(default_factory=list)
    w: float = 0
    h: float = 0

    def box(self, x: float, y: float, w: float, h: float, look: str, *, r: float = 6, told: str = "") -> None:
        self.shapes.append(Shape(x, y, look, w, h, r, told=told))

    def write(self, x: float, y: float, text: str, look: str, *, end: bool = False, told: str = "") -> None:
        self.shapes.append(Shape(x, y, look, text=text, end=end, told=told))

    def put(self, other: Drawing, x: float, y: float) -> None:
        """Another drawing, moved."""
        self.shapes += [replace(shape, x=shape.x + x, y=shape.y + y) for shape in other.shapes]


_MARGIN, _GAP = 28.0, 22.0
_CARD, _PAD = 484.0, 16.0
_COLUMNS = 3
_WIDEST = 1660.0
_CHIP_H, _CHIP_GAP = 20.0, 5.0
_ROW = 21.0
_COMPACT = 24
"""More chips than this on one host are drawn as squares without names."""
_CHARACTER = {"small": 5.9, "chip": 6.1, "name": 7.4, "title": 8.6, "border": 8.2}
"""Pixels of an average character; nobody here can measure a text."""
GLYPH = {Health.READY: "●", Health.PROGRESSING: "◐", Health.STALLED: "✕", Health.UNKNOWN: "○", Health.MISSING: "✕"}
"""So that no colour says anything alone."""


def lay_out(found: Map) -> Drawing:
    """All of it, without title and legend."""
    blocks = [_border(border) for border in found.borders]
    if found.loose:
        blocks.append(_loose(found.loose))
    made = Drawing()
    x, y, row = 0.0, 0.0, 0.0
    for block in blocks:
        if x and x + block.w > _WIDEST:
            x, y, row = 0.0, y + row + _GAP, 0.0
        made.put(block, x, y)
        x, row = x + block.w + _GAP, max(row, block.h)
        made.w, made.h = max(made.w, x - _GAP), y + row
    return made


def _border(border: Border) -> Drawing:
    """The border of a country. Cards go where a column is shortest."""
    cards = [_card(cloud) for cloud in border.clouds]
    columns = [0.0] * min(len(cards), _COLUMNS)
    made, head = Drawing(), 44.0
    inside = Drawing()
    for card in cards:
        column = columns.index(min(columns))
        inside.put(card, _PAD + column * (_CARD + _GAP), head + columns[column])
        columns[column] += card.h + _GAP
    made.w = 2 * _PAD + len(columns) * (_CARD + _GAP) - _GAP
    made.h = head + max(columns) - _GAP + _PAD
    known = all(country.code for country in border.countries)
    look = ("border" if len(border.countries) == 1 else "border crossed") if known else "border unknown"
    made.box(0, 0, made.w, made.h, look, r=14)
    code = "+".join(country.code for country in border.countries) if known else "?"
    made.box(_PAD, 12, 14 + len(code) * 9, 22, "code", r=5)
    made.write(_PAD + 7, 28, code, "code-text")
    made.write(_PAD + 26 + len(code) * 9, 28, border.name, "border-name")
    made.write(made.w - _PAD, 28, _union(border), "small quiet", end=True)
    made.put(inside, 0, 0)
    return made


def _union(border: Border) -> str:
    if not all(country.code for country in border.countries):
        return "nothing here says where it stands"
    if len(border.countries) > 1:
        return "one cloud across a border"
    return "European Union" if border.countries[0].in_eu else "not in the European Union"


def _card(cloud: CloudBox) -> Drawing:
    made, state = Drawing(w=_CARD), cloud.thing.state
    w = _CARD - 2 * _PAD
    pill = _pill(state)
    made.put(pill, _CARD - _PAD - pill.w, 14)
    made.write(_PAD, 31, cut(cloud.thing.key.name, w - pill.w - 12, "title"), "title")
    made.write(_PAD, 49, cut(" · ".join(filter(None, (state.detail, cloud.place))), w, "small"), "small quiet")
    y = 62.0
    if state.health is not Health.READY and state.message:
        for line in wrapped(state.message, w, "small", most=3):
            made.write(_PAD, y + 4, line, f"small said {state.health.lower()}")
            y += 15
        y += 4
    colours = {network.key: number % NETWORK_COLOURS for number, network in enumerate(cloud.networks)}
    hosts = _hosts(cloud.hosts, w, colours)
    made.put(hosts, _PAD, y)
    y += hosts.h + (10 if hosts.h else 0)
    if cloud.vrack:
        made.box(_PAD, y - 4, w, 16, "vrack", r=4)
        made.write(_PAD + w / 2 - 2.9 * len(f"vRack {cloud.vrack}"), y + 8, f"vRack {cloud.vrack}", "small quiet")
        y += 22
    for title, part in (
        ("waiting for a place", _chips(cloud.waiting, w, 4, colours)),
        ("networks", _networks(cloud, w, colours)),
        ("images", _chips(cloud.images, w, 3, {})),
    ):
        if part.h:
            made.write(_PAD, y + 11, title, "heading")
            made.put(part, _PAD, y + 18)
            y += 18 + part.h + 10
    made.h = y + 6
    made.shapes.insert(0, Shape(0, 0, f"card {_looks(state)}", made.w, made.h, 10, told=told(cloud.thing)))
    made.shapes.insert(1, Shape(0, 10, f"edge {state.health.lower()}", 5, made.h - 20, 2))
    _marks(made, state, made.w, 0)
    return made


# --- hosts and instances --------------------------------------------------------------------------------------------


def _hosts(hosts: Sequence[Host], w: float, colours: Colours) -> Drawing:
    """Two beside each other where there are several; a row is as high as the higher of the two."""
    made = Drawing(w=w)
    columns = 2 if len(hosts) > 1 else 1
    each = (w - 10 * (columns - 1)) / columns
    boxes = [_host(host, each, colours) for host in hosts]
    for at in range(0, len(boxes), columns):
        row = boxes[at : at + columns]
        height = max(box.h for box in row)
        for column, box in enumerate(row):
            box.shapes[0] = replace(box.shapes[0], h=height)
            made.put(box, column * (each + 10), made.h)
        made.h += height + 10
    made.h = max(0.0, made.h - 10)
    return made


def _host(host: Host, w: float, colours: Colours) -> Drawing:
    made = Drawing(w=w)
    state = host.server.state if host.server else State(host.health)
    said = told(host.server) if host.server else f"host {host.name}, {host.note}"
    made.box(0, 0, w, 0, f"host {_looks(state)}", r=7, told=said)
    made.write(10, 17, GLYPH[host.health], f"glyph {host.health.lower()}")
    made.write(25, 17, cut(host.name, w - 34, "name"), "name")
    made.write(25, 31, cut(host.note, w - 34, "small"), "small quiet")
    chips = _chips(host.instances, w - 16, 2 if w < 250 else 4, colours)
    made.put(chips, 8, 40)
    made.h = 40 + chips.h + (8 if chips.h else 0)
    _marks(made, state, w, 0)
    return made


def _chips(things: Sequence[Thing], w: float, columns: int, colours: Colours) -> Drawing:
    made = Drawing(w=w)
    compact = len(things) > _COMPACT
    each = _CHIP_H if compact else (w - _CHIP_GAP * (columns - 1)) / columns
    columns = int((w + _CHIP_GAP) // (each + _CHIP_GAP)) if compact else columns
    for number, thing in enumerate(things):
        row, column = divmod(number, columns)
        x, y = column * (each + _CHIP_GAP), row * (_CHIP_H + _CHIP_GAP)
        _chip(made, thing, (x, y, each), colours, compact=compact)
        made.h = y + _CHIP_H
    return made


def _chip(made: Drawing, thing: Thing, place: tuple[float, float, float], colours: Colours, *, compact: bool) -> None:
    x, y, w = place
    state = thing.state
    made.box(x, y, w, _CHIP_H, f"chip {state.health.lower()} {_looks(state)}", r=5, told=told(thing))
    made.write(x + 5, y + 14, GLYPH[state.health], f"glyph {state.health.lower()}")
    known = [colours[key] for key in thing.on if key in colours]
    if not compact:
        room = w - 22 - (8 if known else 0) - (10 if state.drift or state.paused else 0)
        made.write(x + 18, y + 14, cut(thing.key.name, room, "chip"), "chip-text")
        for number, colour in enumerate(known[:3]):
            made.box(x + w - 7, y + 3 + number * 5, 4, 4, f"net n{colour}", r=1)
    _marks(made, state, x + w, y)


def _marks(made: Drawing, state: State, right: float, top: float) -> None:
    """Over the upper right corner: that it drifted, that it is paused, that it goes."""
    marks = [("drift", f"Δ{state.drift}")] if state.drift else []
    marks += [("paused", "‖")] if state.paused else []
    marks += [("going", "-")] if state.deleting else []
    for number, (look, sign) in enumerate(reversed(marks)):
        w = 9 + 6.5 * len(sign)
        x = right - 6 - (number + 1) * 20 + (20 - w)
        made.box(x, top - 8, w, 15, f"mark {look}", r=7)
        made.write(x + w / 2 - 3.2 * len(sign), top + 3, sign, "mark-text")


def _networks(cloud: CloudBox, w: float, colours: Colours) -> Drawing:
    made = Drawing(w=w)
    everybody = [one for host in cloud.hosts for one in host.instances] + list(cloud.waiting)
    for network in cloud.networks:
        colour, state = colours[network.key], network.state
        on_it = sum(network.key in one.on for one in everybody)
        made.box(0, made.h, w, _ROW - 3, f"wire {_looks(state)}", r=4, told=told(network))
        made.box(6, made.h + 5, 18, 8, f"net n{colour}", r=2)
        made.write(32, made.h + 13, GLYPH[state.health], f"glyph {state.health.lower()}")
        made.write(46, made.h + 13, cut(network.key.name, 158, "chip"), "chip-text")
        shown = state.detail if state.health is Health.READY else state.reason
        made.write(w - 64, made.h + 13, cut(shown, w - 64 - 234, "small"), "small quiet", end=True)
        made.write(w - 8, made.h + 13, f"{on_it} on it", "small quiet", end=True)
        _marks(made, state, 236, made.h + 9.5)
        made.h += _ROW
    return made


def _loose(things: Sequence[Thing]) -> Drawing:
    made = Drawing(w=_CARD + 2 * _PAD)
    made.write(_PAD, 28, "In no cloud", "border-name")
    chips = _chips(things, _CARD, 3, {})
    made.put(chips, _PAD, 44)
    made.h = 44 + chips.h + _PAD
    made.shapes.insert(0, Shape(0, 0, "border unknown", made.w, made.h, 14))
    return made


def _pill(state: State) -> Drawing:
    text = cut("Ready" if state.health is Health.READY else state.reason or str(state.health), 150, "small")
    made = Drawing(w=32 + 7.0 * len(text), h=22)
    made.box(0, 0, made.w, 22, f"pill {state.health.lower()}", r=11)
    made.write(10, 15, GLYPH[state.health], "pill-text")
    made.write(23, 15, text, "pill-text")
    return made


def _looks(state: State) -> str:
    words = [("drifted", state.drift > 0), ("paused", state.paused), ("going", state.deleting)]
    words.append(("absent", state.health is Health.MISSING))
    return " ".join(word for word, on in words if on)


# --- words ----------------------------------------------------------------------------------------------------------


def told(thing: Thing) -> str:
    """What the pointer shows."""
    state = thing.state
    lines = [
        f"{short_names().get(thing.key.kind, thing.key.kind)}/{thing.key.name}"
        + (f" in {thing.key.namespace}" if thing.key.namespace else "")
    ]
    lines += [": ".join(filter(None, (state.reason, state.message)))] if state.reason else []
    lines += [state.detail] if state.detail else []
    lines += [f"on {', '.join(thing.networks)}"] if thing.networks else []
    lines += [f"drift in {counted(state.drift, 'field')}"] if state.drift else []
    lines += ["paused: nothing outside is written"] if state.paused else []
    return "\n".join(lines)


def cut(text: str, w: float, look: str) -> str:
    """As much of a text as has room. A name is cut in its middle: what tells machines apart is at the end."""
    fits = max(1, int(w / _CHARACTER[look]))
    if len(text) <= fits:
        return text
    if look in {"chip", "name", "title"}:
        tail = min(4, fits // 3)
        return f"{text[: fits - tail - 1].rstrip()}…{text[len(text) - tail :]}"
    return text[: fits - 1].rstrip() + "…"


def wrapped(text: str, w: float, look: str, *, most: int) -> Iterable[str]:
    """Lines of a text, at most so many."""
    lines, fits = [""], max(8, int(w / _CHARACTER[look]))
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > fits:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    if len(lines) > most:
        lines = [*lines[: most - 1], cut(" ".join(lines[most - 1 :]), w, look)]
    return [cut(line, w, look) for line in lines if line]
