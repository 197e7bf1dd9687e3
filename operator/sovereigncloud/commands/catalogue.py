"""The catalogue of commands: where each is implemented, and its help text, which is shown without importing it.

A command of another Python package is an entry point in group `sovereigncloud.commands`. Its module need not be there: the
operator's own wheel declares `sandbox` and does not contain it.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from typing import Any, NamedTuple

import click
import typer
from typer.core import TyperCommand

from sovereigncloud.commands.shared.errors import CommandError

GROUP = "sovereigncloud.commands"
"""The group of entry points."""


class Entry(NamedTuple):
    """A command: where it is, and the line that `sovereign --help` shows without importing it.

    `target` is "module:attribute" in this package; empty: an entry point of this name tells it.
    """

    target: str
    panel: str
    summary: str


_LOOK, _ACT, _REACH, _RUN = "Look", "Act", "Reach a machine", "Run and install"
COMMANDS = {
    "tree": Entry(
        "tree.command:tree",
        _LOOK,
        "Show what belongs to what: clouds with their servers, networks, images, instances and Secrets.",
    ),
    "describe": Entry(
        "describe.command:describe",
        _LOOK,
        "Show an object as a tree: what it uses, composed and is used by; what it waits for, and what to do next.",
    ),
    "drift": Entry(
        "drift.command:drift",
        _LOOK,
        "List every field in which reality differs from what is declared, and what is done about it.",
    ),
    "plan": Entry(
        "plan.command:plan", _LOOK, "Print what the operator would do, and why. Nothing is changed, anywhere."
    ),
    "map": Entry(
        "map.command:map_",
        _LOOK,
        "Draw a picture of clouds, servers, networks and instances, inside the borders of their countries.",
    ),
    "logs": Entry("logs.command:logs", _LOOK, "Print what the operator said about an object."),
    "doctor": Entry(
        "doctor.command:doctor",
        _LOOK,
        "Say which features will work: whether both APIs answer, and which rights lack there.",
    ),
    "export": Entry(
        "export.command:export",
        _LOOK,
        "Write the manifests of what stands: in an account of OVHcloud (--ovh), in an OpenNebula (--opennebula), or in a cloud"
        " that is declared already (--cloud). Machines, networks and images become objects that adopt them by their number.",
    ),
    "pause": Entry("lifecycle.pause:pause", _ACT, "Stop every write outside for these objects, until `resume`."),
    "resume": Entry(
        "lifecycle.pause:resume",
        _ACT,
        "Let the operator write outside again for these objects. What drifted meanwhile is mended as driftPolicy says.",
    ),
    "reconcile": Entry(
        "lifecycle.reconcile:reconcile", _ACT, "Have these objects looked at now, instead of at the next sweep."
    ),
    "ssh": Entry("access.ssh:ssh", _REACH, "Log in to an instance with ssh, at the address that its status names."),
    "console": Entry(
        "access.console:console",
        _REACH,
        "Say how to get to the screen of an instance: in Sunstone, over VNC, or on a serial line.",
    ),
    "run": Entry(
        "run:run",
        _RUN,
        "Run the operator until SIGTERM. Settings come from SOVEREIGN_* environment variables, as the chart sets them.",
    ),
    "release": Entry(
        "lifecycle.release:release",
        _RUN,
        "Take the operator's finalizers off objects and Secrets, where no operator is left to do it.",
    ),
    "crds": Entry(
        "generate.command:crds", _RUN, "Print the CustomResourceDefinitions, for `kubectl apply --server-side -f -`."
    ),
    "sandbox": Entry(
        "",
        _RUN,
        "A local control plane to play with: a real Kubernetes API on loopback, one small node, nothing to buy.",
    ),
    "completion": Entry(
        "completion:completion", _RUN, "Print the script that completes commands, kinds and names in a shell."
    ),
    "version": Entry("version:version", _RUN, "Print the version."),
}


def available() -> list[str]:
    """Names of the commands that can run here, in the order of the help."""
    added = [point.name for point in _added()]
    built_in = [name for name, entry in COMMANDS.items() if entry.target or name in added]
    return [*built_in, *(name for name in added if name not in COMMANDS)]


def command(name: str) -> click.Command:
    """Import a command. Raises CommandError where the package that has it is not installed."""
    found = _imported(name)
    if not isinstance(found, typer.Typer):
        alone = typer.Typer(add_completion=False)
        alone.command(name)(found)
        found = alone
    made = typer.main.get_command(found)
    made.name = name
    return made


def _imported(name: str) -> Any:
    if name in COMMANDS and (target := COMMANDS[name].target):
        module, _, attribute = target.partition(":")
        return getattr(import_module(f"sovereigncloud.commands.{module}"), attribute)
    for point in _added():
        if point.name == name:
            return point.load()
    raise CommandError(
        f"`{name}` is not installed here: in a checkout of the operator's repository, run pip install -e '.[{name}]'"
    )


def _added() -> Iterator[EntryPoint]:
    """Entry points whose package is there. Looked up by its first name alone, since a longer one would import the package."""
    for point in sorted(entry_points(group=GROUP), key=lambda one: one.name):
        if find_spec(point.module.partition(".")[0]) is not None:
            yield point


def summary(name: str) -> click.Command:
    """A command as a list of commands shows it."""
    entry = COMMANDS.get(name) or Entry("", _RUN, "A command of another Python package, installed beside the operator.")
    made = TyperCommand(name, help=entry.summary, short_help=entry.summary)
    made.rich_help_panel = entry.panel
    return made
