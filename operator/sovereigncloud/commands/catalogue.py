"""Table catalogue of commands: import is implemented, and its help text, which is shown without importing a command.

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
    """A command: import target, help panel and the summary that `sovereign --help` shows.

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
        "Show the ownership tree: clouds with their servers, networks, images, instances and Secrets.",
    ),
    "describe": Entry(
        "describe.command:describe",
        _LOOK,
        "Show an object with its relations, what it waits for, and what to do next.",
    ),
    "drift": Entry(
        "drift.command:drift",
        _LOOK,
        "List every field whose observed value differs from spec, and how the operator handles it.",
    ),
    "plan": Entry(
        "plan.command:plan", _LOOK, "Print what the operator would do, and why. Nothing is changed, anywhere."
    ),
    "map": Entry(
        "map.command:map_",
        _LOOK,
        "Draw a map of clouds, servers, networks and instances, grouped by country.",
    ),
    "logs": Entry("logs.command:logs", _LOOK, "Print the operator's log lines about an object."),
    "doctor": Entry(
        "doctor.command:doctor",
        _LOOK,
        "Check which features will work: whether both APIs answer, and which permissions are missing.",
    ),
    "export": Entry(
        "export.command:export",
        _LOOK,
        "Write manifests of existing resources: of an OVHcloud account (--ovh), an OpenNebula (--opennebula), or a SovereignCloud (--cloud). VMs, networks and images become objects that adopt them by ID.",
    ),
    "pause": Entry(
        "lifecycle.pause:pause", _ACT, "Stop all writes to external systems for these objects, until `resume`."
    ),
    "resume": Entry(
        "lifecycle.pause:resume",
        _ACT,
        "Resume writes to external systems for these objects. Drift since the pause is handled as driftPolicy says.",
    ),
    "reconcile": Entry(
        "lifecycle.reconcile:reconcile", _ACT, "Reconcile these objects now, instead of at the next periodic sweep."
    ),
    "ssh": Entry("access.ssh:ssh", _REACH, "Log in to an instance with ssh, at the address in its status."),
    "console": Entry(
        "access.console:console",
        _REACH,
        "Show how to open the console of an instance: in Sunstone, over VNC, or on a serial line.",
    ),
    "run": Entry(
        "run:run",
        _RUN,
        "Run the operator until SIGTERM. Settings come from SOVEREIGN_* environment variables, as the chart sets them.",
    ),
    "release": Entry(
        "lifecycle.release:release",
        _RUN,
        "Remove the operator's finalizers from objects and Secrets when the operator no longer runs.",
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
    """Return a command stub for listings, without importing the command."""
    entry = COMMANDS.get(name) or Entry("", _RUN, "A command of another Python package, installed beside the operator.")
    made = TyperCommand(name, help=entry.summary, short_help=entry.summary)
    made.rich_help_panel = entry.panel
    return made
