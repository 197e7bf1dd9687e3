"""The command line: `sovereign`, also found by kubectl as `kubectl sovereign`.

A command's module is imported when the command is called, so that `sovereign version` answers at once although `run` needs
Kopf and two bindings. Exit codes are 0 and 1; 2 belongs to `plan`, where it means changes, so a wrong option is 1 as well.
"""

from __future__ import annotations

import os
import sys
from collections.abc import MutableMapping, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import click
import typer
from typer.core import TyperCommand, TyperGroup

from sovereigncloud.commands.errors import CommandError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_NO_FILES = 4
"""Cobra's ShellCompDirectiveNoFileComp: the shell offers no files."""
_FILES = 0
"""Cobra's ShellCompDirectiveDefault: the shell may offer files."""
COMPLETE_VAR = "_SOVEREIGN_COMPLETE"
"""The environment variable by which the script of `completion` asks."""
_SUMMARIES = "sovereigncloud.summaries"


class _Entry(NamedTuple):
    """A command: where it is, and the line that `sovereign --help` shows without importing it."""

    target: str
    panel: str
    summary: str


_LOOK, _ACT, _REACH, _RUN = "Look", "Act", "Reach a machine", "Run and install"
_COMMANDS = {
    "tree": _Entry(
        "tree:tree",
        _LOOK,
        "Show what belongs to what: clouds with their servers, networks, images, instances and Secrets.",
    ),
    "describe": _Entry(
        "describe:describe",
        _LOOK,
        "Show an object as a tree: what it uses, composed and is used by; what it waits for, and what to do next.",
    ),
    "drift": _Entry(
        "drift:drift",
        _LOOK,
        "List every field in which reality differs from what is declared, and what is done about it.",
    ),
    "plan": _Entry("plan:plan", _LOOK, "Print what the operator would do, and why. Nothing is changed, anywhere."),
    "map": _Entry(
        "map:map_",
        _LOOK,
        "Draw a picture of clouds, servers, networks and instances, inside the borders of their countries.",
    ),
    "logs": _Entry("logs:logs", _LOOK, "Print what the operator said about an object."),
    "pause": _Entry("pause:pause", _ACT, "Stop every write outside for these objects, until `resume`."),
    "resume": _Entry(
        "pause:resume",
        _ACT,
        "Let the operator write outside again for these objects. What drifted meanwhile is mended as driftPolicy says.",
    ),
    "reconcile": _Entry("reconcile:reconcile", _ACT, "Have these objects looked at now, instead of at the next sweep."),
    "ssh": _Entry("ssh:ssh", _REACH, "Log in to an instance with ssh, at the address that its status names."),
    "console": _Entry(
        "console:console",
        _REACH,
        "Say how to get to the screen of an instance: in Sunstone, over VNC, or on a serial line.",
    ),
    "run": _Entry(
        "run:run",
        _RUN,
        "Run the operator until SIGTERM. Settings come from SOVEREIGN_* environment variables, as the chart sets them.",
    ),
    "release": _Entry(
        "release:release",
        _RUN,
        "Take the operator's finalizers off, where no operator is left. What stands outside stays as it is.",
    ),
    "crds": _Entry("crds:crds", _RUN, "Print the CustomResourceDefinitions, for `kubectl apply --server-side -f -`."),
    "sandbox": _Entry(
        "sovereigncloud.sandbox.cli:app",
        _RUN,
        "A local control plane to play with: a real Kubernetes API on loopback, one small node, nothing to buy.",
    ),
    "completion": _Entry(
        "completion:completion", _RUN, "Print the script that completes commands, kinds and names in a shell."
    ),
    "version": _Entry("version:version", _RUN, "Print the version."),
}


class Sovereign(TyperGroup):
    """Finds commands by name, and tells what went wrong in one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - the signature is click's
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        if ctx.meta.get(_SUMMARIES):
            return _summary(cmd_name)
        module, _, attribute = _COMMANDS[cmd_name].target.partition(":")
        module = module if "." in module else f"sovereigncloud.commands.{module}"
        found = getattr(import_module(module), attribute)
        if not isinstance(found, typer.Typer):
            alone = typer.Typer(add_completion=False)
            alone.command(cmd_name)(found)
            found = alone
        command = typer.main.get_command(found)
        command.name = cmd_name
        return command

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
        """Click's own protocol, which the scripts of `completion` speak; typer has another one."""
        instruction = os.environ.get(complete_var or COMPLETE_VAR)
        if instruction:
            from click.shell_completion import shell_complete  # noqa: PLC0415 - for completion only

            sys.exit(shell_complete(self, ctx_args, prog_name, complete_var or COMPLETE_VAR, instruction))

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


def _summary(name: str) -> click.Command:
    """A command as a list of commands shows it."""
    entry = _COMMANDS[name]
    command = TyperCommand(name, help=entry.summary, short_help=entry.summary)
    command.rich_help_panel = entry.panel
    return command


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


def completions(before: list[str], incomplete: str) -> list[str]:
    """One candidate a line, with a TAB and its help, then a line with cobra's directive: what kubectl expects."""
    from click.shell_completion import ShellComplete  # noqa: PLC0415 - for completion only

    found = ShellComplete(typer.main.get_command(app), {}, "kubectl sovereign", "").get_completions(before, incomplete)
    lines = [f"{item.value}\t{item.help}" if item.help else str(item.value) for item in found if item.type == "plain"]
    files = any(item.type in {"file", "dir"} for item in found)
    return [*lines, f":{_FILES if files else _NO_FILES}"]


if __name__ == "__main__":
    main()
