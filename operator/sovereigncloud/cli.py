"""The command line: `sovereign`, also found by kubectl as `kubectl sovereign`.

A command's module is imported when the command is called, so that `sovereign version` answers at once although `run` needs
Kopf and two bindings. Exit codes are 0 and 1; 2 belongs to `plan`, where it means changes, so a wrong option is 1 as well.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import click
import typer
from typer.core import TyperGroup

from sovereigncloud.commands.errors import CommandError

_COMMANDS = {
    "run": "sovereigncloud.commands.run:run",
    "plan": "sovereigncloud.commands.plan:plan",
    "describe": "sovereigncloud.commands.describe:describe",
    "release": "sovereigncloud.commands.release:release",
    "crds": "sovereigncloud.commands.crds:crds",
    "sandbox": "sovereigncloud.sandbox.cli:app",
    "version": "sovereigncloud.commands.version:version",
}


class Sovereign(TyperGroup):
    """Finds commands by name, and tells what went wrong in one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - the signature is click's
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        if cmd_name not in _COMMANDS:
            return None
        module, _, attribute = _COMMANDS[cmd_name].partition(":")
        found = getattr(import_module(module), attribute)
        if not isinstance(found, typer.Typer):
            alone = typer.Typer(add_completion=False)
            alone.command(cmd_name)(found)
            found = alone
        command = typer.main.get_command(found)
        command.name = cmd_name
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except Exception as error:
            if ctx.params.get("debug"):
                raise
            for line in _lines(error):
                typer.echo(f"error: {line}", err=True)
            raise typer.Exit(1) from None

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        run = partial(super().main, args, prog_name, complete_var, False, windows_expand_args, **extra)
        if not standalone_mode:
            return run()
        try:
            code = run()
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            code = 1
        except click.ClickException as error:
            path = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "sovereign"
            typer.echo(f"error: {' '.join(error.format_message().split())} (see {path} --help)", err=True)
            code = 1
        except click.Abort:
            code = 130
        sys.exit(code if isinstance(code, int) else 0)


def _lines(error: Exception) -> tuple[str, ...]:
    # The text of an unknown error may hold anything, also a credential: only its type is told.
    if isinstance(error, CommandError):
        return error.lines
    return (f"unexpected {type(error).__name__}: run it again as `sovereign --debug ...` and report the traceback",)


app = typer.Typer(cls=Sovereign, no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def sovereign(
    *,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Sovereign OpenNebula clouds on OVHcloud bare metal, from YAML."""
    del debug  # Sovereign.invoke reads it


def main() -> None:
    """The entry point, under both of its names."""
    app(prog_name="kubectl sovereign" if Path(sys.argv[0]).name == "kubectl-sovereign" else "sovereign")


if __name__ == "__main__":
    main()
