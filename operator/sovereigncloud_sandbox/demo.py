"""`make demo`: build clouds from YAML, change them out of band, show the drift by field, and its correction."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from sovereigncloud_sandbox.chronicle import Chronicle
from sovereigncloud_sandbox.controlplane import ControlPlane
from sovereigncloud_sandbox.overlay import prepare
from sovereigncloud_sandbox.stage import RELEASE, SYSTEM, Json, Stage, StageError, condition, is_ready

_KINDS = "sovereignclouds,baremetalservers,virtualnetworks,machineimages,hostedinstances"
# The simulated account has no limit worth keeping, and nobody wants to watch a minute of waiting for a sweep.
_SETTINGS = {"sweep_interval": "4", "settle_interval": "1", "ovh_requests_per_minute": "3000", "ovh_burst": "100"}

_BROKEN = 7  # fields

console = Console(highlight=False, soft_wrap=True)


def demo() -> None:
    """Play it; everything that was started is ended again."""
    begun = time.monotonic()
    _chapter(
        "A real Kubernetes control plane on this machine (etcd, kube-apiserver, kube-controller-manager), and a node"
    )
    with tempfile.TemporaryDirectory(prefix="sovereign-demo-") as folder:
        directory = Path(folder)
        with ControlPlane(directory / "control-plane") as cluster:
            cluster.start_kubelet()
            stage = Stage(cluster, directory, _SETTINGS)
            try:
                _play(stage)
            finally:
                stage.stop()
    console.print(f"\n[bold]Done in {time.monotonic() - begun:.0f} s.[/] Everything that was started is ended.")
    console.print("To play with it yourself:  [bold]sovereign sandbox up[/]")


def _play(stage: Stage) -> None:
    console.print(
        "SIMULATED: the OVHcloud API, OpenNebula, and the pod of the installer, over their real wire formats; a kubelet that"
        " runs the operator's pod from the sources here instead of an image."
    )
    console.print("REAL: the Kubernetes API, Helm, kubectl, and the operator, which does not know the difference.")
    stage.start_simulators()
    overlay = prepare(stage)
    _shown(f"helm install {RELEASE} charts/{RELEASE} -n {SYSTEM} --create-namespace --values values.yaml --wait")
    stage.deploy()
    _shown(f"kubectl get pods -n {SYSTEM}")
    console.print(stage.cluster.kubectl("get", "pods", "-n", SYSTEM).stdout.rstrip())
    _chapter("Three clouds, an image, networks and machines, from manifests/examples")
    _shown("kubectl apply -k manifests/examples")
    console.print(stage.cluster.kubectl("apply", "-k", str(overlay)).stdout.rstrip())
    _watch_until(stage, "everything is Ready", _everything_ready, seconds=120)
    _table(stage)
    _chapter("A machine is given more memory, in its manifest")
    _scale(stage)
    _chapter("Reality is changed behind the operator's back")
    with Chronicle(stage.cluster.kubeconfig) as told:
        _break(stage, told)
    _chapter("And again as declared")
    _watch_until(stage, "everything is as declared", _everything_as_declared, seconds=90)
    _table(stage)
    _events(stage)


def _scale(stage: Stage) -> None:
    _shown('kubectl patch hinst app-paris -n platform --type merge -p \'{"spec": {"memory": "3Gi"}}\'')
    patch = ("--type", "merge", "-p", '{"spec": {"memory": "3Gi"}}')
    stage.cluster.kubectl("patch", "hostedinstance", "app-paris", "-n", "platform", *patch)
    stage.wait_ready("hostedinstance", "app-paris", seconds=60)
    machine = next(vm for vm in stage.cloud("onprem-paris")["vms"] if vm["name"] == "app-paris")
    console.print(f"In OpenNebula, machine {machine['id']} now has {machine['memory']} MiB.")


def _break(stage: Stage, told: Chronicle) -> None:
    """Each of these is seen by a sweep, named on the object, and mended as its driftPolicy says."""
    server = "ns3012346.ip-57-131-167.eu"
    console.print("- in the guest of app-paris: shutdown")
    stage.mischief("onprem-paris", "vm-power-off", vm="app-paris")
    console.print(
        "- on OpenNebula's console: a NIC of web-rbx is detached, host one-2 is disabled, vm_public gets another gateway"
    )
    stage.mischief("ovh-rbx", "vm-detach-nic", vm="web-rbx")
    stage.mischief("ovh-rbx", "host-disable", host=stage.address(11))
    stage.mischief("ovh-rbx", "vnet-edit", vnet="vm_public", attributes={"GATEWAY": "57.131.167.1"})
    console.print(
        "- in OVHcloud's manager: the private interface of one-2 leaves the vRack, and the server gets another name"
    )
    stage.detach_from_vrack(server)
    stage.rename_server(server, "do-not-touch")
    console.print("- and IP block 57.131.167.176/28 is taken off the vRack")
    stage.park_block("57.131.167.176/28")
    # The adopted cloud tells of a difference of its own, which its driftPolicy leaves alone.
    told.until("all told", lambda: sum(map(_is_of_what_was_broken, told.drifts().values())) >= _BROKEN)
    console.print("\nWhat the operator wrote on the objects (status.drift):")
    for (kind, name, path), entry in told.drifts().items():
        console.print(
            f"  {kind}/{name} {escape(path)}: [green]{escape(entry.get('desired', ''))}[/] declared,"
            f" [red]{escape(entry.get('observed', ''))}[/] found, {entry['action']}"
        )


def _everything_ready(items: list[Json]) -> bool:
    kinds = {item["kind"] for item in items}
    return len(kinds) == 5 and all(is_ready(item) for item in items)


def _everything_as_declared(items: list[Json]) -> bool:
    return _everything_ready(items) and not any(_correcting(item) for item in items)


def _correcting(item: Json) -> bool:
    return condition(item, "Drifted").get("reason") == "Correcting"


def _watch_until(stage: Stage, what: str, test: Callable[[list[Json]], bool], *, seconds: float) -> None:
    """Show each change of state as a line, until the test holds."""
    begun, told = time.monotonic(), dict[str, str]()
    while True:
        items = stage.cluster.get(_KINDS, "-n", "platform")["items"]
        for item in items:
            name = f"{item['kind']}/{item['metadata']['name']}"
            line = _line(item)
            if told.get(name) != line:
                told[name] = line
                console.print(f"[dim]{time.monotonic() - begun:5.1f} s[/]  {name:<42} {escape(line)}")
        if test(items):
            return
        if time.monotonic() - begun > seconds:
            raise StageError(f"not {what} within {seconds:.0f} s; the operator said:\n{stage.pod_log()[-3000:]}")
        time.sleep(0.3)


def _line(item: Json) -> str:
    ready = condition(item, "Ready")
    if not ready:
        return "new"
    doing = condition(item, "Stalled") or condition(item, "Reconciling")
    told = doing or ready
    return f"{'Ready' if ready['status'] == 'True' else 'not ready'} {told['reason']}: {told.get('message', '')[:90]}"


def _table(stage: Stage) -> None:
    _shown(f"kubectl get {_KINDS} -n platform")
    console.print(escape(stage.cluster.kubectl("get", _KINDS, "-n", "platform").stdout.rstrip()))


def _events(stage: Stage) -> None:
    _shown("kubectl get events -n platform --field-selector type=Warning")
    shown = stage.cluster.kubectl("get", "events", "-n", "platform", "--field-selector", "type=Warning").stdout
    console.print(escape("\n".join(shown.splitlines()[:12])))


def _chapter(title: str) -> None:
    console.print(f"\n[bold cyan]== {title}[/]")


def _shown(command: str) -> None:
    console.print(f"\n[bold]$ {command}[/]")


__all__ = ["SYSTEM", "demo"]


def _is_of_what_was_broken(entry: Json) -> bool:
    """Whether it is not of a card on its way back: OpenNebula gives it the groups of its network too, which are taken off."""
    return bool(entry["action"] == "Correcting" and not entry["path"].endswith(".securityGroups"))
