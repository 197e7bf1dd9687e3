"""The command line: `sovereign`, also found by kubectl as `kubectl sovereign`."""

import typer

app = typer.Typer(no_args_is_help=True)


def main() -> None:
    app()
