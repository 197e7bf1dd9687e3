"""The CRDs of the Prometheus operator: read from its Go module, which the local proxy of Go keeps; nothing of it is copied here."""

import json
import os
import subprocess
from pathlib import Path

from sovereigncloud_sandbox.go_build import Builder
from sovereigncloud_sandbox.toolchain import MODULES, Toolchain

MODULE = "github.com/prometheus-operator/prometheus-operator@v0.85.0"
SUM = "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s="
KINDS = ("podmonitors", "prometheusrules", "servicemonitors")


def install_monitoring_crds(plane):
    """So that ServiceMonitors and the like can be made; nobody looks after them."""
    folder = _module() / "example" / "prometheus-operator-crd"
    files = [f"--filename={folder}/monitoring.coreos.com_{kind}.yaml" for kind in KINDS]
    plane.kubectl("apply", "--server-side", *files)
    plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", *files)


def _module():
    go = Builder(os.environ, Toolchain().cache, MODULES / "kubernetes")._go()
    # Outside of any module, so that no go.mod has a say.
    environment = {name: value for name, value in os.environ.items() if name not in {"GOFLAGS", "GO111MODULE"}}
    done = subprocess.run(
        [go, "mod", "download", "-json", MODULE],
        cwd="/",
        env=environment | {"GOTOOLCHAIN": "local"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    told = json.loads(done.stdout)
    assert done.returncode == 0, told.get("Error", done.stderr)
    assert told["Sum"] == SUM, "another content than was pinned"
    return Path(told["Dir"])
