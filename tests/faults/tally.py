"""What the runs came to, in all and by the kind of write that was struck: `faults.json`, which is not committed."""

import json
import re
from collections import defaultdict
from pathlib import Path

from sovereigncloud.sandbox.ovh.calls import find_route
from sovereigncloud.sandbox.ovh.server import ROUTES
from sovereigncloud.sandbox.ovh.wire import Refusal

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

    def write(self, every, file=FILE):
        """Replace the file. `every`: of the writes of each course so many-th was struck."""
        document = {
            "every": every,
            **self._all,
            "by_kind_of_write": dict(sorted(self._kinds.items())),
            "by_fate": dict(sorted(self._fates.items())),
            "by_course": dict(self._courses),
        }
        file.write_text(json.dumps(document, indent=1) + "\n")


def _zeros():
    return dict.fromkeys(("runs", "duplicates", "orphans", "not_converged"), 0)
