"""A local Git repository that Argo CD reads over file://, independent of the user's Git settings."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

_AUTHOR = "Platform <platform@sandbox.invalid>"


class GitError(Exception):
    """git failed; the message is its output."""


class GitRepository:
    """A work tree with one branch, `main`; creates `directory`.

    Raises GitError from every method, and from the constructor where there is no git on PATH.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory.absolute()
        self.directory.mkdir(parents=True)
        self._git("init", "--quiet", "--initial-branch=main")

    @property
    def url(self) -> str:
        """For `repoURL` of an Application."""
        return f"file://{self.directory}"

    @property
    def revision(self) -> str:
        """The commit that `main` is at."""
        return self._git("rev-parse", "HEAD")

    def write(self, files: Mapping[str, str | None]) -> None:
        """Put texts into the work tree, by path; None removes."""
        for name, text in files.items():
            path = self.directory / name
            if text is None:
                path.unlink()
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)

    def copy(self, source: Path, name: str) -> None:
        """Put a folder into the work tree."""
        shutil.copytree(source, self.directory / name, dirs_exist_ok=True)

    def commit(self, message: str, files: Mapping[str, str | None] | None = None) -> str:
        """Write, and commit all that differs; the new revision."""
        self.write(files or {})
        self._git("add", "--all")
        self._git("commit", "--quiet", f"--author={_AUTHOR}", f"--message={message}")
        return self.revision

    def revert(self, revision: str = "HEAD") -> str:
        """Take a commit back by a new one; its revision."""
        self._git("revert", "--no-edit", revision)
        return self.revision

    def _git(self, *arguments: str) -> str:
        name, _, mail = _AUTHOR.partition(" <")
        ours = {
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_COMMITTER_NAME": name,
            "GIT_COMMITTER_EMAIL": mail.rstrip(">"),
            "GIT_AUTHOR_NAME": name,
            "GIT_AUTHOR_EMAIL": mail.rstrip(">"),
        }
        strangers = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
        git = shutil.which("git")
        if git is None:
            raise GitError("there is no git on PATH; Argo CD needs it, too")
        finished = subprocess.run(
            [git, *arguments], cwd=self.directory, env=strangers | ours, capture_output=True, text=True, check=False
        )
        if finished.returncode:
            raise GitError(f"git {' '.join(arguments)}: {finished.stderr.strip() or finished.stdout.strip()}")
        return finished.stdout.strip()
