"""The command line: `sovereign`, also found by kubectl as `kubectl sovereign`."""

import typer

from sovereigncloud.commands.crds import crds

app = typer.Typer(no_args_is_help=True)
app.command("crds")(crds)


@app.callback()
def sovereign() -> None:
    """Sovereign OpenNebula clouds on OVHcloud bare metal, from YAML."""


def main() -> None:
    app()
