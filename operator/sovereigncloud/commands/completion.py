"""`sovereign completion`: for a shell of one's own; kubectl asks by itself."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer


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
    from click.shell_completion import get_completion_class  # noqa: PLC0415 - only here

    made = get_completion_class(shell.value)
    if made is not None:
        typer.echo(
            made(typer.main.get_command(typer.Typer(callback=completion)), {}, "sovereign", COMPLETE_VAR).source()
        )


COMPLETE_VAR = "_SOVEREIGN_COMPLETE"
"""The environment variable by which the script asks."""
