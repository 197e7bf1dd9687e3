"""Tasks of a dedicated server."""

from __future__ import annotations

from sovereigncloud.ports.errors import NotFound
from sovereigncloud.ports.ovh.account import Task
from sovereigncloud.providers.ovh.replies import PARSER, ServerTask
from sovereigncloud.providers.ovh.transport import Transport, path


async def tasks_of(calls: Transport, service_name: str, function: str) -> tuple[Task, ...]:
    """Those with a function that the API still knows, the newest last."""
    root = path("/v1/dedicated/server/{}/task", service_name)
    ids = PARSER.read(
        list[int], await calls.call("GET", root, query={"function": function}), what=f"OVHcloud GET {root}"
    )
    found: list[Task] = []
    for number in sorted(ids):
        where = f"{root}/{number}"
        try:
            task = PARSER.read(ServerTask, await calls.call("GET", where), what=f"OVHcloud GET {where}")
        except NotFound:
            # Listed but not readable: purged between the two calls, or made a moment ago in another region.
            continue
        found.append(Task(task.id, task.function, task.status, task.comment))
    return tuple(found)
