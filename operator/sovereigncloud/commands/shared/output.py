"""Values for programs."""

from __future__ import annotations

import json
from typing import Any

import typer

from sovereigncloud.commands.shared.options import Output


def emit(value: Any, output: Output) -> None:
    """Print plain values as JSON or YAML."""
    typer.echo(written(value, output), nl=False)


def written(value: Any, output: Output) -> str:
    """Plain values as JSON or YAML."""
    if output is Output.JSON:
        return json.dumps(value, indent=2) + "\n"
    import yaml  # noqa: PLC0415 - for those who ask for it

    text: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True)
    return text
