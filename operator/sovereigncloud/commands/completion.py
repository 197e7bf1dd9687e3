"""`sovereign completion`: for a shell of one's own; kubectl asks by itself."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import click
import typer
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

COMPLETE_VAR = "_SOVEREIGN_COMPLETE"
"""The environment variable by which a script asks."""


class Shell(StrEnum):
    """Shells that are known."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(shell: Annotated[Shell, typer.Argument(help="bash, zsh or fish.")]) -> None:
    """Print the script that completes commands, kinds and names in a shell.

    For bash: source <(sovereign completion bash). For zsh the same with zsh. For fish: sovereign completion fish | source.

    `kubectl sovereign` needs none of it: kubectl's own completion asks the program kubectl_complete-sovereign, which is
    installed beside this one.
    """
    typer.echo(spoken(shell)(click.Command("sovereign"), {}, "sovereign", COMPLETE_VAR).source())


def spoken(shell: Shell) -> type[ShellComplete]:
    """What click has for a shell. Its registry is not asked: typer puts classes of its own there, with another protocol."""
    return {Shell.BASH: BashComplete, Shell.ZSH: ZshComplete, Shell.FISH: FishComplete}[shell]


def asked_by_a_shell(command: click.Command, prog_name: str, instruction: str) -> str | None:
    """The answer to what a script of `completion` asks by its variable; None where that is no question of theirs."""
    name, _, action = instruction.partition("_")
    if name not in set(Shell) or action != "complete":
        return None
    return spoken(Shell(name))(command, {}, prog_name, COMPLETE_VAR).complete()
