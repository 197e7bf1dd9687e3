"""`sovereign crds`: print, write or check the CustomResourceDefinitions."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Annotated

import typer

from sovereigncloud.api.base import GROUP
from sovereigncloud.api.crd import KUSTOMIZATION, manifests


def stale(directory: Path) -> list[str]:
    """Names of the files in the directory that are missing, differ from the models, or belong to no kind any more."""
    wanted = manifests()
    differing = [name for name, text in wanted.items() if _read(directory / name) != text]
    return sorted([*differing, *_left_over(directory, wanted)])


def write(directory: Path) -> list[str]:
    """Makes the directory what the models say; the names of the files that changed."""
    wanted, changed = manifests(), stale(directory)
    directory.mkdir(parents=True, exist_ok=True)
    for name in changed:
        if name in wanted:
            (directory / name).write_text(wanted[name], encoding="utf-8")
        else:
            (directory / name).unlink()
    return changed


def _left_over(directory: Path, wanted: Collection[str]) -> list[str]:
    return [path.name for path in directory.glob(f"{GROUP}_*.yaml") if path.name not in wanted]


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def crds(
    *,
    write_files: Annotated[
        bool, typer.Option("--write", help="Write one file per kind and a kustomization into the directory.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Exit with 1 if the directory is not what the models say.")
    ] = False,
    directory: Annotated[Path, typer.Option(help="Where the files are.")] = Path("crds"),
) -> None:
    """Print the CustomResourceDefinitions, for `kubectl apply --server-side -f -`."""
    if write_files and check:
        raise typer.BadParameter("--write and --check exclude each other")
    if write_files:
        for name in write(directory):
            typer.echo(f"written: {directory / name}")
    elif check:
        if differing := stale(directory):
            for name in differing:
                typer.echo(f"stale: {directory / name}", err=True)
            typer.echo("write them anew with: sovereign crds --write", err=True)
            raise typer.Exit(1)
    else:
        documents = [text for name, text in manifests().items() if name != KUSTOMIZATION]
        typer.echo("---\n".join(documents), nl=False)
