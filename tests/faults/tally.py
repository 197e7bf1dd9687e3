"""What the runs came to, in all and by the kind of write that was struck: `faults.json`, which is not committed."""

import fcntl
import json
import re
from collections import defaultdict
from pathlib import Path

from sovereigncloud_sandbox.ovh.calls import find_route
from sovereigncloud_sandbox.ovh.server import ROUTES
from sovereigncloud_sandbox.ovh.wire import Refusal

FILE = Path(__file__).parents[2] / "faults.json"
_GROUP = re.compile(r"^/(api/v1|apis/[^/]+/[^/]+)(?=/)")
_TAG = re.compile(r'"key": ?"([^"]+)"')


def kind_of_write(label):
    """What the label of a write (`wire.Writes`) is one of: names, ids and values left out."""
    first, second, *rest = label.split(" ", 2)
    if first == "ovh":
        return f"OVHcloud {second} {_route(second, *rest)}"
    if second.startswith("one."):
        return f"OpenNebula {second}"
    parts = _GROUP.sub("", second).strip("/").split("/")
    parts = parts[2:] if parts[0] == "namespaces" and len(parts) > 2 else parts
    return f"Kubernetes {first} {'/'.join([parts[0], *parts[2:]])}"


def _route(method, said):
    path, _, body = said.partition(" ")
    for version in ("v1", "v2"):
        try:
            route = find_route(ROUTES, method, f"/{version}{path}").route.path
        except Refusal:
            continue
        tag = _TAG.search(body)
        return f"{route} {tag[1]}" if tag and route.endswith("/tag") else route
    return path


class Tally:
    """Counts branches (`forks.Branch`)."""

    def __init__(self):
        self._all = _zeros()
        self._kinds = defaultdict(_zeros)
        self._fates = defaultdict(_zeros)
        self._courses = defaultdict(_zeros)

    def add(self, course, branches):
        for branch in branches:
            report = branch.report
            found = {
                "runs": 1,
                "duplicates": bool(report.duplicates),
                "orphans": bool(report.orphans),
                "not_converged": bool(report.wrongs),
            }
            for row in (
                self._all,
                self._kinds[kind_of_write(branch.label)],
                self._fates[str(branch.fate)],
                self._courses[course],
            ):
                for name, one in found.items():
                    row[name] += one

    def write(self, every, run, file=FILE):
        """Add this to the file, or replace what another run left there.

        Args:
            every: of the writes of each course so many-th was struck.
            run: names the run, of which this may be one process among several.
            file: where to.
        """
        with file.open("a+") as kept:
            fcntl.flock(kept, fcntl.LOCK_EX)
            kept.seek(0)
            before = json.loads(kept.read() or "{}")
            if before.get("run") != run:
                before = {}
            document = {"run": run, "every": every}
            document |= _sum(before, self._all)
            for name, rows in (("kind_of_write", self._kinds), ("fate", self._fates), ("course", self._courses)):
                known = before.get(f"by_{name}", {})
                document[f"by_{name}"] = {
                    key: _sum(known.get(key, {}), rows.get(key, {})) for key in sorted({*known, *rows})
                }
            kept.truncate(0)
            kept.write(json.dumps(document, indent=1) + "\n")


def _sum(one, other):
    return {name: one.get(name, 0) + other.get(name, 0) for name in _zeros()}


def _zeros():
    return dict.fromkeys(("runs", "duplicates", "orphans", "not_converged"), 0)
