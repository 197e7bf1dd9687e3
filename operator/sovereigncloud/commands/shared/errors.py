"""What a person did not mean or cannot have: told in one line, without a traceback."""

from __future__ import annotations


class CommandError(Exception):
    """The command cannot do what was asked.

    Args:
        lines: each says what is wrong, where, and what to do; no line holds the value of a Secret.
    """

    def __init__(self, *lines: str) -> None:
        super().__init__("; ".join(lines))
        self.lines = lines
