"""The command line: `sovereign`, also found by kubectl as `kubectl sovereign`.

A command's module is imported when the command is called, so that `sovereign version` answers at once although `run` needs
Kopf and two bindings. Exit codes are 0 and 1; 2 belongs to `plan`, where it means changes, so a wrong option is 1 as well.
"""

from __future__ import annotations

import os
import sys
from collections.abc import MutableMapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click
import typer
from typer.core import TyperGroup

from sovereigncloud.commands.catalogue import COMMANDS, available, command, summary
from sovereigncloud.commands.completion import COMPLETE_VAR, asked_by_a_shell
from sovereigncloud.commands.shared.errors import CommandError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_NO_FILES = 4
"""Cobra's ShellCompDirectiveNoFileComp: the shell offers no files."""
_FILES = 0
"""Cobra's ShellCompDirectiveDefault: the shell may offer files."""
_SUMMARIES = "sovereigncloud.summaries"


class Sovereign(TyperGroup):
    """Finds commands by name, and tells what went wrong in one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - the signature is click's
        return available()

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS and cmd_name not in available():
            return None
        return summary(cmd_name) if ctx.meta.get(_SUMMARIES) else command(cmd_name)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Without importing any command: some need Kopf and two bindings."""
        ctx.meta[_SUMMARIES] = True
        super().format_help(ctx, formatter)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        ctx.meta[_SUMMARIES] = True
        return super().shell_complete(ctx, incomplete)

    def _main_shell_completion(
        self, ctx_args: MutableMapping[str, Any], prog_name: str, complete_var: str | None = None
    ) -> None:
        del ctx_args, complete_var
        if instruction := os.environ.get(COMPLETE_VAR):
            answer = asked_by_a_shell(self, prog_name, instruction)
            typer.echo(answer or "")
            sys.exit(0 if answer is not None else 1)

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


app = typer.Typer(cls=Sovereign, no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)


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


def kubectl_complete() -> None:
    """The entry point that kubectl runs with the words after `kubectl sovereign`; the last one is incomplete."""
    words = sys.argv[1:] or [""]
    typer.echo("\n".join(completions(words[:-1], words[-1])))


def completions(before: list[str], incomplete: str, connections: object = None) -> list[str]:
    """One candidate a line, with a TAB and its help, then a line with cobra's directive: what kubectl expects."""
    from click.shell_completion import ShellComplete  # noqa: PLC0415 - for completion only

    shell = ShellComplete(typer.main.get_command(app), {"obj": connections}, "kubectl sovereign", "")
    found = shell.get_completions(before, incomplete)
    lines = [f"{item.value}\t{item.help}" if item.help else str(item.value) for item in found if item.type == "plain"]
    files = any(item.type in {"file", "dir"} for item in found)
    return [*lines, f":{_FILES if files else _NO_FILES}"]


if __name__ == "__main__":
    main()
