"""Ten minutes of a system at rest, beside the other tests: a process of its own, so that no test waits for it.

`at_rest.py DIRECTORY PARENT_PID`: brings a cloud with one of each thing to Synced and Healthy, leaves it alone for ten
minutes while the operator sweeps every three seconds, and writes what happened to DIRECTORY/report.json. It ends
everything that it started, at the latest when the process PARENT_PID ends.
"""

import contextlib
import json
import os
import select
import sys
import time
import traceback
from pathlib import Path

from tests.integration.argocd.gitops import Folder, GitOps, namespace
from tests.integration.argocd.started import started
from tests.integration.conftest import QUICK

from sovereigncloud_sandbox.argocd import resource, summary
from sovereigncloud_sandbox.stage import condition
from sovereigncloud_sandbox.toolchain import Toolchain

REST = 600.0
"""Seconds."""
REPORT = "report.json"
POOL = "one.vmpool.infoextended"
COUNTED = ("argocd_app_reconcile_count", "argocd_app_sync_total")
ASKED = "Requesting app refresh caused by object update"
"""What the application-controller says when something in the cluster made it look at an application again."""


class ParentEndedError(Exception):
    """Whoever wants to know is gone."""


def rest(directory: Path, parent: int):
    """The report."""
    watched = os.pidfd_open(parent)
    # The machine is shared with other tests meanwhile: a Lease of six seconds could be lost to them.
    with started(directory, Toolchain(), {**QUICK, "lease_seconds": "30"}) as gitops:
        folder = _fill(gitops)
        time.sleep(5)  # what the last change set off is over
        before, begun = _look(gitops, folder), time.monotonic()
        if select.select([watched], [], [], REST)[0]:
            raise ParentEndedError
        return {"before": before, "after": _look(gitops, folder), "seconds": time.monotonic() - begun}


def _fill(gitops: GitOps) -> Folder:
    cloud, folder = gitops.cloud("resting"), Folder(gitops, "resting")
    folder.put(namespace("resting"), *cloud.foundation(), cloud.image("alpine"), cloud.network("lan"))
    folder.put(*(cloud.instance(f"machine-{number}") for number in range(5)))
    folder.put(cloud.network("reported", number=40, driftPolicy={"default": "Report"}))
    folder.create()
    folder.settled()
    # Something that differs for good, and is found again by each sweep, is at rest as well.
    cloud.mischief("vnet-edit", vnet="reported", attributes={"GATEWAY": "10.40.0.254"})
    cloud.wait("virtualnetwork", "reported", "told", lambda o: condition(o, "Drifted").get("status") == "True")
    folder.refresh()  # another message alone, of an object that stays Healthy, is shown by Argo CD's next look
    folder.wait("telling", lambda a: "10.40.0.254" in str(resource(a, "VirtualNetwork", "reported").get("health")))
    folder.settled()
    return folder


def _look(gitops: GitOps, folder: Folder):
    app = folder.app
    return {
        "counted": {name: gitops.argo.metric(name) for name in COUNTED},
        "asked": gitops.argo.log().count(ASKED),
        "version": app["metadata"]["resourceVersion"],
        "reconciled at": app["status"]["reconciledAt"],
        "app": summary(app),
        "sweeps": gitops.stage.calls("resting")[POOL],
    }


def main(directory: Path, parent: int) -> None:
    try:
        report = rest(directory / "stage", parent)
    except ParentEndedError:
        return
    except Exception:  # noqa: BLE001 - whatever it was is told by the test that wants the report
        report = {"failure": traceback.format_exc()}
    new = directory / f".{REPORT}"
    new.write_text(json.dumps(report, indent=1))
    new.replace(directory / REPORT)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main(Path(sys.argv[1]), int(sys.argv[2]))
