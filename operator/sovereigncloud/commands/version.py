"""`sovereign version`."""

from __future__ import annotations

import typer

from sovereigncloud import __version__


def version() -> None:
    """Print the version."""
    typer.echo(f"sovereign {__version__}")
