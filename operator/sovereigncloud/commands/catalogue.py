"""Table of all commands: import target, help panel and summary, readable without importing a command."""

from __future__ import annotations

from importlib import import_module
from typing import NamedTuple

import click
import typer
from typer.core import TyperCommand


class Entry(NamedTuple):
    """A command: import target, help panel and the summary that `sovereign --help` shows."""

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
        "sovereigncloud_sandbox.cli:app",
        _RUN,
        "A local control plane to play with: a real Kubernetes API on loopback, one small node, nothing to buy.",
    ),
    "completion": Entry(
        "completion:completion", _RUN, "Print the script that completes commands, kinds and names in a shell."
    ),
    "version": Entry("version:version", _RUN, "Print the version."),
}


def command(name: str) -> click.Command:
    """Import a command and return it."""
    module, _, attribute = COMMANDS[name].target.partition(":")
    found = getattr(
        import_module(module if module.startswith("sovereigncloud") else f"sovereigncloud.commands.{module}"),
        attribute,
    )
    if not isinstance(found, typer.Typer):
        alone = typer.Typer(add_completion=False)
        alone.command(name)(found)
        found = alone
    made = typer.main.get_command(found)
    made.name = name
    return made


def summary(name: str) -> click.Command:
    """Return a command stub for listings, without importing the command."""
    entry = COMMANDS[name]
    made = TyperCommand(name, help=entry.summary, short_help=entry.summary)
    made.rich_help_panel = entry.panel
    return made
