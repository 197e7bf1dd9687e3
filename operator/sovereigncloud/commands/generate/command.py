"""`sovereign crds`: print, write or check the CustomResourceDefinitions, and what else is generated from the code."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sovereigncloud.api.schema.crd import KUSTOMIZATION, manifests
from sovereigncloud.commands.generate.files import folders


def stale(directory: Path) -> list[Path]:
    """Files in the directory, and in the chart beside it, that are not what the code says."""
    return [path for folder in folders(directory) for path in folder.stale()]


def write(directory: Path) -> list[Path]:
    """Makes the directory, and the charts beside it, what the code says; the files that changed."""
    return [path for folder in folders(directory) for path in folder.write()]


def crds(
    *,
    write_files: Annotated[
        bool,
        typer.Option(
            "--write",
            help="Write one file per kind and a kustomization into the directory; and into the charts beside it, at"
            " ../charts, their copies and the operator's RBAC rules.",
        ),
    ] = False,
    check: Annotated[
        bool,
        typer.Option("--check", help="Exit with 1 if the directory or a chart beside it is not what the code says."),
    ] = False,
    directory: Annotated[Path, typer.Option(help="Where the files are.")] = Path("crds"),
) -> None:
    """Print the CustomResourceDefinitions, for `kubectl apply --server-side -f -`."""
    if write_files and check:
        raise typer.BadParameter("--write and --check exclude each other")
    if write_files:
        for path in write(directory):
            typer.echo(f"written: {path}")
    elif check:
        if differing := stale(directory):
            for path in differing:
                typer.echo(f"stale: {path}", err=True)
            typer.echo("write them anew with: sovereign crds --write", err=True)
            raise typer.Exit(1)
    else:
        documents = [text for name, text in manifests().items() if name != KUSTOMIZATION]
        typer.echo("---\n".join(documents), nl=False)
