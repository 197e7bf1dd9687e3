"""Background services of `sovereign sandbox up`: simulators, the chart, and clouds to adopt.

`python -m sovereigncloud_sandbox.playground`, with KUBECONFIG; announces where things are.
"""

from __future__ import annotations

import json
import os
import signal
import tempfile
import threading
from pathlib import Path

from sovereigncloud_sandbox.cluster import Cluster
from sovereigncloud_sandbox.overlay import prepare
from sovereigncloud_sandbox.services import ANNOUNCE
from sovereigncloud_sandbox.stage import RELEASE, SYSTEM, Stage

_SETTINGS = {"sweep_interval": "10", "settle_interval": "1", "ovh_requests_per_minute": "3000", "ovh_burst": "100"}


def main() -> None:
    """Play until SIGTERM."""
    end = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: end.set())
    with tempfile.TemporaryDirectory(prefix="sovereign-playground-") as folder:
        directory = Path(folder)
        stage = Stage(Cluster(Path(os.environ["KUBECONFIG"]), directory), directory, _SETTINGS)
        try:
            stage.start_simulators()
            examples = prepare(stage)
            if stage.has_node:
                stage.deploy()
                log = f"kubectl logs -n {SYSTEM} deployment/{RELEASE}"
            else:  # somebody's own cluster, whose nodes have no image of these sources
                stage.install()
                stage.start_operator()
                log = str(directory / "operator.log")
            _announce({
                "simulated OVHcloud": stage.ovh_connection["url"],
                "its admin door": stage.ovh.url,
                "OpenNebula's admin door": stage.one.url,
                "examples": str(examples),
                "operator's log": log,
            })  # fmt: skip
            end.wait()
        finally:
            stage.stop()


def _announce(where: dict[str, str]) -> None:
    target = Path(os.environ[ANNOUNCE])
    partial = target.with_name(f"{target.name}.partial")
    partial.write_text(json.dumps(where))
    partial.replace(target)


if __name__ == "__main__":
    main()
