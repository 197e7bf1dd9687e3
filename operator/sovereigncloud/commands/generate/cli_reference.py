"""The reference of the command line for the documentation, from the commands themselves.

The page has a part written by hand, and below a mark this part.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from sovereigncloud.commands.catalogue import COMMANDS, command

PAGE = "cli.md"
MARK = "<!-- Below: generated from the commands in operator/sovereigncloud/commands by `sovereign crds --write`. Do not edit. -->\n"


def page(directory: Path) -> str:
    """The page: what is written by hand in it, and the commands as they are."""
    path = directory / PAGE
    by_hand = path.read_text(encoding="utf-8").partition(MARK)[0] if path.exists() else "# The command line\n\n"
    return by_hand + MARK + "".join(_panels())


def _panels() -> Iterator[str]:
    before = ""
    for name, entry in COMMANDS.items():
        if entry.panel != before:
            yield f"\n## {entry.panel}\n"
            before = entry.panel
        yield from _section(command(name), f"sovereign {name}", 3)


def _section(made: click.Command, path: str, level: int) -> Iterator[str]:
    context = click.Context(made, info_name=path)
    arguments = [p for p in made.params if isinstance(p, click.Argument)]
    words = [path, "[OPTIONS]", *(a.make_metavar(context) for a in arguments)]
    group = isinstance(made, click.Group)
    yield f"\n{'#' * level} {path}\n```text\n{' '.join([*words[:2], 'COMMAND'] if group else words)}\n```\n"
    yield f"{_text(made.help or '')}\n"
    rows = [row for parameter in made.params if (row := _row(parameter, context))]
    if rows:
        yield "\n| | |\n| --- | --- |\n" + "".join(rows)
    if isinstance(made, click.Group):
        for name in made.list_commands(context):
            inner = made.get_command(context, name)
            if inner is not None and not inner.hidden:
                yield from _section(inner, f"{path} {name}", level + 1)


def _text(text: str) -> str:
    """Paragraphs as they stand; `<(` would be a tag."""
    return "\n".join(line.strip() for line in text.strip().splitlines()).replace("<", "&lt;")


def _row(parameter: click.Parameter, context: click.Context) -> str:
    told = str(getattr(parameter, "help", None) or "").replace("|", "\\|").replace("<", "&lt;")
    if isinstance(parameter, click.Argument):
        name = parameter.make_metavar(context)
        return f"| `{name}` | {told} |\n".replace(f"`{name}`", "`" + name.replace("|", "\\|") + "`") if told else ""
    if not isinstance(parameter, click.Option) or parameter.hidden or "--help" in parameter.opts:
        return ""
    names = ", ".join(f"`{name}`" for name in sorted(parameter.opts, key=len))
    choice = parameter.type
    if isinstance(choice, click.Choice):
        told += f" One of {', '.join(str(getattr(c, 'value', c)) for c in choice.choices)}."
    default = parameter.default
    if default not in (None, "", False, ()) and not callable(default) and not parameter.required:
        told += f" Default: {getattr(default, 'value', default)}."
    if parameter.required:
        told += " Required."
    return f"| {names} | {told.strip()} |\n"
