"""The commands of `sovereign sandbox`: the whole system on one machine, to try it out."""

from typing import Annotated

import typer

from sovereigncloud_sandbox import demo as played
from sovereigncloud_sandbox.argocd_demo import argocd_demo
from sovereigncloud_sandbox.installer_player import installer
from sovereigncloud_sandbox.lifecycle import Sandbox, SandboxError, Status
from sovereigncloud_sandbox.opennebula.command import opennebula
from sovereigncloud_sandbox.ovh.command import ovh
from sovereigncloud_sandbox.toolchain import BuildError

app = typer.Typer(
    help="A local control plane to play with: a real Kubernetes API on loopback, one small node, nothing to buy.",
    no_args_is_help=True,
)


app.command("ovh")(ovh)
app.command("opennebula")(opennebula)
app.command("installer")(installer)


@app.command()
def demo(
    *, argocd: Annotated[bool, typer.Option("--argocd", help="Fed by a real Argo CD from a Git repository.")] = False
) -> None:
    """Play a scene: clouds from YAML, broken behind the operator's back, and mended; everything is ended afterwards."""
    if argocd:
        argocd_demo()
    else:
        played.demo()


@app.command()
def up() -> None:
    """Start the sandbox in the background and print how to reach it.

    The first time, programs that the machine lacks are built from source, which takes about six minutes.
    Each start begins with an empty cluster. SOVEREIGN_KUBECONFIG names a cluster to use instead.
    """
    try:
        status = Sandbox.of_user().up()
    except (BuildError, SandboxError) as failure:
        typer.echo(f"The sandbox did not start: {failure}", err=True)
        raise typer.Exit(1) from failure
    _print(status)
    typer.echo("\nReal: the Kubernetes API, Helm, the operator. Simulated: OVHcloud, OpenNebula, the installer's pod.")
    typer.echo(
        "The one node runs pods of the operator's image and the sandbox's, from the sources here; all others stay Pending."
    )
    typer.echo(f"Use it:  export KUBECONFIG={status.state.kubeconfig}")
    if examples := status.state.announced.get("playground", {}).get("examples"):
        typer.echo(f"         kubectl apply -k {examples}")
        typer.echo("         kubectl get sovereign -n platform")
    typer.echo("End it:  sovereign sandbox down")


@app.command()
def down() -> None:
    """End the sandbox and forget everything in it."""
    typer.echo("The sandbox is down." if Sandbox.of_user().down() else "The sandbox was not up.")


@app.command()
def status() -> None:
    """Show what runs and where. The exit code is 1 when the sandbox is not up."""
    found = Sandbox.of_user().status()
    if found is None:
        typer.echo("The sandbox is not up. Start it: sovereign sandbox up")
        raise typer.Exit(1)
    _print(found)
    if not found.is_up:
        raise typer.Exit(1)


def _print(status: Status) -> None:
    state = status.state
    rows = [("sandbox", state.phase.value if status.is_up else f"down {state.message}".strip())]
    rows += [("cluster", state.endpoint or "an existing one"), ("kubeconfig", str(state.kubeconfig))]
    for name, process in state.processes.items():
        life = "running" if status.living[name] else "ended"
        rows.append((name, f"{life}, pid {process.pid}"))
        rows += [(f"  {key}", value) for key, value in state.announced.get(name, {}).items()]
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        typer.echo(f"{name:<{width}}  {value}")
