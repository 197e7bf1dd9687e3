"""`sovereign map`: a picture of it all."""

from __future__ import annotations

import sys
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from sovereigncloud.commands.map.model import Map, the_map
from sovereigncloud.commands.map.svg import as_html, as_svg
from sovereigncloud.commands.shared.cluster_session import Where, asked, bodies
from sovereigncloud.commands.shared.connections import Cluster, Connections
from sovereigncloud.commands.shared.errors import CommandError
from sovereigncloud.commands.shared.options import AllNamespaces, Context, Kubeconfig, Namespace, Output
from sovereigncloud.commands.shared.output import written
from sovereigncloud.commands.shared.resource_graph import ResourceGraph


class Picture(StrEnum):
    """What is made of it."""

    HTML = "html"
    SVG = "svg"
    JSON = "json"
    YAML = "yaml"


def map_(
    ctx: typer.Context,
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Where to write it, for example clouds.html or clouds.svg.")
    ] = None,
    *,
    output: Annotated[
        Picture | None,
        typer.Option(
            "-o", "--output", help="Default: as the file's name says, else html. json and yaml: what is drawn."
        ),
    ] = None,
    namespace: Namespace = "",
    all_namespaces: AllNamespaces = False,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Draw a picture of clouds, servers, networks and instances, inside the borders of their countries.

    The page stands alone: nothing is fetched from anywhere, and it is light or dark as the reader's screen is. Colours and
    signs tell the state of each object, marks tell drift and pause, and the pointer tells the message. The country of a cloud
    is that of the regions in which OVHcloud says its servers are; of a cloud elsewhere nobody says it yet.
    """
    where = Where(namespace, all_namespaces, context, kubeconfig)
    kind = output or _by_name(file)
    if file is None and kind in {Picture.HTML, Picture.SVG} and sys.stdout.isatty():
        raise CommandError("a picture is nothing for a terminal: name a file, for example clouds.html")

    async def look(connections: Connections, cluster: Cluster) -> tuple[Map, str, datetime]:
        scope = where.scope(cluster)
        resource_graph = ResourceGraph((await bodies(cluster, scope)).values(), connections.controllers)
        return the_map(resource_graph), scope, connections.now()

    found, scope, now = asked(ctx, where, look)
    title = f"Sovereign clouds of namespace {scope}" if scope else "Sovereign clouds"
    text = _text(found, kind, title, now)
    if file is None:
        typer.echo(text, nl=False)
        return
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{file}: cannot be written: {error.strerror}: name another file") from None
    typer.echo(f"{file} written")


def _by_name(file: Path | None) -> Picture:
    """As the name of the file says. Raises CommandError for one that says something else."""
    suffix = file.suffix.lower().lstrip(".") if file else "html"
    suffix = {"htm": "html", "yml": "yaml"}.get(suffix, suffix)
    if suffix not in set(Picture):
        raise CommandError(f"{file}: give it a name that ends with .html, .svg, .json or .yaml, or say -o")
    return Picture(suffix)


def _text(found: Map, kind: Picture, title: str, now: datetime) -> str:
    match kind:
        case Picture.HTML:
            return as_html(found, title=title, now=now)
        case Picture.SVG:
            return as_svg(found, title=title, now=now)
        case Picture.JSON | Picture.YAML:
            return written(found.as_json(), Output(kind.value))
