"""`sovereign completion`: shell completion scripts. kubectl uses its own completion."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import click
import typer
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

COMPLETE_VAR = "_SOVEREIGN_COMPLETE"
"""The environment variable by which a script asks."""


class Shell(StrEnum):
    """Supported shells."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(shell: Annotated[Shell, typer.Argument(help="bash, zsh or fish.")]) -> None:
    """Print the script that completes commands, kinds and names in a shell.

    For bash: source <(sovereign completion bash). For zsh the same with zsh. For fish: sovereign completion fish | source.

    `kubectl sovereign` needs none of it: kubectl's own completion asks the program kubectl_complete-sovereign, which is
    installed beside this one.
    """
    typer.echo(completion_class(shell)(click.Command("sovereign"), {}, "sovereign", COMPLETE_VAR).source())


def completion_class(shell: Shell) -> type[ShellComplete]:
    """Return click's completion class of a shell, bypassing the registry that typer changes."""
    return {Shell.BASH: BashComplete, Shell.ZSH: ZshComplete, Shell.FISH: FishComplete}[shell]


def completion_response(command: click.Command, prog_name: str, instruction: str) -> str | None:
    """Answer a completion request of a shell script; None if the instruction is unknown."""
    name, _, action = instruction.partition("_")
    if name not in set(Shell) or action != "complete":
        return None
    return completion_class(Shell(name))(command, {}, prog_name, COMPLETE_VAR).complete()
