"""Values for programs."""

from __future__ import annotations

import json
from typing import Any

import typer

from sovereigncloud.commands.options import Output


def emit(value: Any, output: Output) -> None:
    """Print plain values as JSON or YAML."""
    if output is Output.JSON:
        typer.echo(json.dumps(value, indent=2))
        return
    import yaml  # noqa: PLC0415 - for those who ask for it

    typer.echo(yaml.safe_dump(value, sort_keys=False, allow_unicode=True), nl=False)
