"""The map as SVG, and as a page that needs nothing from anywhere. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from html import escape

from sovereigncloud.commands.map.layout import GLYPH, NETWORK_COLOURS, Drawing, Shape, lay_out
from sovereigncloud.commands.map.model import Map, Thing
from sovereigncloud.commands.shared.condition_summary import Health
from sovereigncloud.commands.shared.formatting import counted
from sovereigncloud.commands.shared.kind_names import short_names

_MARGIN, _HEAD, _FOOT = 28.0, 74.0, 54.0
_NARROWEST = 930.0
"""The legend has to fit."""
_FONT = 'ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'
_LIGHT = {
    "page": "#f4f6f9", "land": "#ffffff", "card": "#ffffff", "host": "#f3f5f8", "ink": "#18212f", "quiet": "#5b6778",
    "line": "#d5dbe4", "border": "#3457b1", "crossed": "#b45309", "unknown": "#8b95a5", "ready": "#15803d",
    "ready-tint": "#e6f4ea", "progressing": "#b45309", "progressing-tint": "#fdf1dc", "stalled": "#c81e1e",
    "stalled-tint": "#fde7e7", "none": "#64748b", "none-tint": "#eceff3", "drift": "#c2410c", "paused": "#7c3aed",
}  # fmt: skip
_DARK = {
    "page": "#0e131b", "land": "#131a25", "card": "#192231", "host": "#212c3d", "ink": "#e8edf5", "quiet": "#9aa7ba",
    "line": "#33415a", "border": "#7d9bf0", "crossed": "#f0a23c", "unknown": "#76839a", "ready": "#4ade80",
    "ready-tint": "#17352a", "progressing": "#fbbf24", "progressing-tint": "#3a2f14", "stalled": "#f87171",
    "stalled-tint": "#431d22", "none": "#94a3b8", "none-tint": "#2a3546", "drift": "#fb923c", "paused": "#a78bfa",
}  # fmt: skip
_NETWORKS = ("#2563eb", "#db2777", "#0d9488", "#ca8a04", "#7c3aed", "#65a30d", "#ea580c", "#0891b2")


def as_svg(found: Map, *, title: str, now: datetime) -> str:
    """A picture of its own."""
    drawing = lay_out(found)
    w, h = max(drawing.w, _NARROWEST) + 2 * _MARGIN, drawing.h + _HEAD + _FOOT + _MARGIN
    body = [_text(Shape(_MARGIN, 40, "headline", text=title))]
    body.append(_text(Shape(_MARGIN, 60, "small quiet", text=f"{_counted(found)}. Drawn {now:%Y-%m-%d %H:%M} UTC")))
    body += [_shape(shape, _MARGIN, _HEAD) for shape in drawing.shapes]
    body += [_shape(shape, _MARGIN, _HEAD + drawing.h + 22) for shape in _legend().shapes]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w:g} {h:g}" width="{w:g}" height="{h:g}" role="img"'
        f' aria-label="{escape(title)}"><style>{_style(":root")}</style><rect class="page" width="100%" height="100%"/>'
        + "".join(body)
        + "</svg>\n"
    )


def as_html(found: Map, *, title: str, now: datetime) -> str:
    """A page with the picture, and what needs a look as a table; nothing is fetched from anywhere."""
    picture = as_svg(found, title=title, now=now)
    rows = "".join(_row(thing) for thing in needing_a_look(found))
    table = (
        '<h2>What needs a look</h2><div class="scroll"><table><thead><tr><th>Object</th><th>State</th><th>Why</th><th>Drift'
        f"</th></tr></thead><tbody>{rows}</tbody></table></div>"
        if rows
        else '<p class="well">Everything is as declared.</p>'
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">'
        f"<title>{escape(title)}</title><style>{_page_style()}</style></head><body><main>"
        f'<div class="scroll">{picture}</div>{table}</main></body></html>\n'
    )


def needing_a_look(found: Map) -> list[Thing]:
    """What is not as declared: not Ready first, then drift, then paused."""
    rank = {Health.MISSING: 0, Health.STALLED: 0, Health.PROGRESSING: 1, Health.UNKNOWN: 2, Health.READY: 3}
    troubled = [t for t in found.things() if t.state.health is not Health.READY or t.state.drift or t.state.paused]
    return sorted(troubled, key=lambda t: rank[t.state.health])


def _row(thing: Thing) -> str:
    state = thing.state
    why = state.message if state.health is not Health.READY else "paused" if state.paused else ""
    name = f"{short_names().get(thing.key.kind, thing.key.kind)}/{thing.key.name}"
    word = f"{GLYPH[state.health]} {'Ready' if state.health is Health.READY else state.reason or state.health}"
    drift = counted(state.drift, "field") if state.drift else ""
    return (
        f'<tr><td>{escape(_clean(name))} <span class="ns">{escape(_clean(thing.key.namespace))}</span></td>'
        f'<td class="{state.health.lower()}">{escape(_clean(word))}</td><td>{escape(_clean(why))}</td><td>{drift}</td></tr>'
    )


def _counted(found: Map) -> str:
    things = found.things()
    clouds = sum(len(border.clouds) for border in found.borders)
    hosts = sum(len(cloud.hosts) for border in found.borders for cloud in border.clouds)
    instances = sum(thing.key.kind == "HostedInstance" for thing in things)
    ready = sum(thing.state.health is Health.READY for thing in things)
    return (
        f"{counted(clouds, 'cloud')}, {counted(hosts, 'host')}, {counted(instances, 'instance')};"
        f" {ready} of {len(things)} objects ready"
    )


def _legend() -> Drawing:
    made, x = Drawing(), 0.0
    signs = (
        (Health.READY, "as declared"),
        (Health.PROGRESSING, "under way"),
        (Health.STALLED, "needs a person"),
        (Health.UNKNOWN, "not looked at yet"),
    )
    for health, words in signs:
        made.box(x, 0, 20, 18, f"chip {health.lower()}", r=5)
        made.write(x + 5.5, 13, GLYPH[health], f"glyph {health.lower()}")
        made.write(x + 27, 13, words, "small quiet")
        x += 42 + 6.0 * len(words)
    for look, sign, words in (
        ("drift", "Δ2", "drift in 2 fields"),
        ("paused", "‖", "paused"),
        ("going", "-", "being deleted"),
    ):
        made.box(x, 1, 9 + 6.5 * len(sign), 15, f"mark {look}", r=7)
        made.write(x + 4.5, 12, sign, "mark-text")
        made.write(x + 27, 13, words, "small quiet")
        x += 42 + 6.0 * len(words)
    made.box(x, 5, 18, 8, "net n0", r=2)
    made.write(x + 25, 13, "a network, and the instances on it", "small quiet")
    return made


# --- shapes ---------------------------------------------------------------------------------------------------------


def _shape(shape: Shape, x: float, y: float) -> str:
    if shape.text:
        return _text(Shape(shape.x + x, shape.y + y, shape.look, text=shape.text, end=shape.end, told=shape.told))
    told = f"<title>{escape(_clean(shape.told))}</title>" if shape.told else ""
    return (
        f'<rect class="{shape.look.strip()}" x="{shape.x + x:g}" y="{shape.y + y:g}" width="{shape.w:g}"'
        f' height="{shape.h:g}" rx="{shape.r:g}">{told}</rect>'
    )


def _text(shape: Shape) -> str:
    anchor = ' text-anchor="end"' if shape.end else ""
    return f'<text class="{shape.look}" x="{shape.x:g}" y="{shape.y:g}"{anchor}>{escape(_clean(shape.text))}</text>'


def _clean(text: str) -> str:
    """Without what XML does not allow: a name outside may hold anything."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)


# --- style ----------------------------------------------------------------------------------------------------------


def _style(root: str) -> str:
    return (
        f"{root}{{{_variables(_LIGHT)}}}@media (prefers-color-scheme: dark){{{root}{{{_variables(_DARK)}}}}}"
        f"text{{font-family:{_FONT};fill:var(--ink);pointer-events:none}}"
        ".headline{font-size:21px;font-weight:650}.border-name{font-size:14px;font-weight:600}"
        ".title{font-size:16px;font-weight:650}.name{font-size:12.5px;font-weight:600}.chip-text{font-size:11px}"
        ".small{font-size:11px}.heading{font-size:10px;font-weight:600;fill:var(--quiet);letter-spacing:.06em;"
        "text-transform:uppercase}.quiet{fill:var(--quiet)}.glyph{font-size:10px}"
        ".page{fill:var(--page)}.border{fill:var(--land);stroke:var(--border);stroke-width:2}"
        ".border.crossed{stroke:var(--crossed);stroke-dasharray:10 5}"
        ".border.unknown{stroke:var(--unknown);stroke-dasharray:3 5}.code{fill:var(--border)}"
        ".border.unknown~.code{fill:var(--unknown)}.code-text{font-size:12.5px;font-weight:700;fill:var(--land)}"
        ".card{fill:var(--card);stroke:var(--line)}.card.absent{stroke-dasharray:4 4}"
        ".host{fill:var(--host);stroke:var(--line)}.wire{fill:var(--host)}.vrack{fill:none;stroke:var(--line);"
        "stroke-dasharray:2 3}"
        + "".join(
            f"text.{word}{{fill:var(--{v})}}.edge.{word},.pill.{word}{{fill:var(--{v})}}"
            f".chip.{word}{{fill:var(--{v}-tint);stroke:var(--{v});stroke-opacity:.45}}"
            for word, v in (
                ("ready", "ready"), ("progressing", "progressing"), ("stalled", "stalled"), ("missing", "stalled"),
                ("unknown", "none"),
            )
        )
        + ".chip.drifted,.host.drifted,.wire.drifted{stroke:var(--drift);stroke-opacity:1;stroke-width:1.5}"
        ".chip.paused,.host.paused,.card.paused{stroke:var(--paused);stroke-opacity:1;stroke-dasharray:4 2}"
        ".mark.drift{fill:var(--drift)}.mark.paused{fill:var(--paused);stroke:none}.mark.going{fill:var(--none)}"
        ".mark-text{font-size:10px;font-weight:700;fill:var(--card)}"
        ".pill-text{font-size:11px;font-weight:600;fill:var(--card)}"
        + "".join(f".net.n{number}{{fill:{_NETWORKS[number]}}}" for number in range(NETWORK_COLOURS))
    )  # fmt: skip


def _page_style() -> str:
    return (
        f":root{{{_variables(_LIGHT)}}}@media (prefers-color-scheme: dark){{:root{{{_variables(_DARK)}}}}}"
        f"body{{margin:0;background:var(--page);color:var(--ink);font:14px/1.45 {_FONT}}}main{{width:fit-content;max-width:100%;margin:auto}}"
        "svg{display:block;max-width:100%;height:auto}.scroll{overflow-x:auto}"
        "h2{font-size:16px;margin:8px 28px}table{border-collapse:collapse;margin:0 28px 36px}"
        "th,td{text-align:left;vertical-align:top;padding:6px 18px 6px 0;border-bottom:1px solid var(--line)}"
        "th{color:var(--quiet);font-weight:600;font-size:12px}td:first-child{white-space:nowrap;font-weight:600}"
        ".ns{color:var(--quiet);font-weight:400}.well{margin:0 28px 36px;color:var(--ready)}"
        "td.ready{color:var(--ready)}td.progressing{color:var(--progressing)}td.stalled,td.missing{color:var(--stalled)}"
        "td.unknown{color:var(--none)}"
    )


def _variables(theme: dict[str, str]) -> str:
    return "".join(f"--{name}:{value};" for name, value in theme.items())


__all__: Sequence[str] = ("as_html", "as_svg", "needing_a_look")
