"""A console as the person wants it, and text from outside made harmless for it."""

from __future__ import annotations

import sys
from datetime import datetime

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

_WIDE = 160
"""Columns where nobody looks: a log file or a pipe."""


def console(*, color: bool) -> Console:
    """For standard output. Colour only on a terminal, and as NO_COLOR says."""
    width = None if sys.stdout.isatty() else _WIDE
    return Console(file=sys.stdout, no_color=not color or None, width=width, highlight=False, emoji=False, markup=False)


def text(value: object, style: str = "") -> Text:
    """Text that came from outside: no markup, no control characters (a name there may hold an escape sequence)."""
    clean = "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in str(value))
    return Text(clean, style=style, overflow="fold")


def table(*headings: str) -> Table:
    """A table without lines, as kubectl prints them."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    for heading in headings:
        made.add_column(heading, overflow="fold")
    return made


def age(since: str | datetime | None, now: datetime) -> str:
    """As kubectl writes ages: 45s, 12m, 3h12m, 4d2h."""
    if not since:
        return "-"
    try:
        begun = since if isinstance(since, datetime) else datetime.fromisoformat(since)
    except ValueError:
        return "-"
    seconds = max(0, int((now - begun).total_seconds()))
    days, hours, minutes = seconds // 86400, seconds // 3600, seconds // 60
    if days >= 1:
        return f"{days}d{hours % 24}h" if days < 8 and hours % 24 else f"{days}d"
    if hours >= 1:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    return f"{minutes}m" if minutes >= 2 else f"{seconds}s"
