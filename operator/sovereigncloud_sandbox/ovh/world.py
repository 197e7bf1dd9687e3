"""The clock of the simulator: tasks begin and end, take effect, and disappear."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sovereigncloud_sandbox.ovh.boots import Power, boot
from sovereigncloud_sandbox.ovh.orders_time import next_of_orders, progress
from sovereigncloud_sandbox.ovh.seed import default_state
from sovereigncloud_sandbox.ovh.state import (
    DnsZone,
    Effect,
    Install,
    IpBlock,
    Renaming,
    Resource,
    Server,
    State,
    Task,
    TaskKind,
    Vrack,
)
from sovereigncloud_sandbox.ovh.wire import Json


@dataclass(frozen=True, slots=True)
class Installed:
    """A server's reinstallation ended. `number` counts these events from 1."""

    number: int
    server: str
    address: str
    install: Install


class World:
    """One simulated OVHcloud. Every method may be called from any thread; :attr:`lock` makes several of them one step.

    Time passes only in :meth:`advance`, which the server calls for every request and whenever something is due.
    """

    def __init__(self, state: State | None = None, clock: Callable[[], float] = time.time) -> None:
        self.state = default_state() if state is None else state
        self.clock = clock
        self.lock = threading.RLock()
        self.on_installed: list[Callable[[Installed], None]] = []
        self.on_change: list[Callable[[], None]] = []
        self.installed: list[Installed] = []
        self._unannounced: list[Installed] = []
        self.on_power: list[Callable[[Power], None]] = []
        self._switched: list[Power] = []

    def replace(self, state: State) -> None:
        """Begin again with another state; events and listeners stay."""
        with self.lock:
            self.state = state
        self.changed()

    def changed(self) -> None:
        """Tell the server that what is due next may have changed."""
        for listener in tuple(self.on_change):
            listener()

    # -- tasks

    def order(
        self,
        kind: TaskKind,
        service: str,
        function: str,
        effect: Effect,
        subject: str,
        *,
        value: str | None = None,
        comment: str = "",
        takes: float | None = None,
    ) -> Task:
        """Accept an order: the effect happens when the task ends."""
        with self.lock:
            timing, now = self.state.timing, self.clock()
            usual = {
                TaskKind.SERVER: timing.reinstall,
                TaskKind.VRACK: timing.vrack_task,
                TaskKind.IP: timing.ip_task,
            }
            takes = usual[kind] if takes is None else takes
            task = Task(
                id=self.next_id(),
                kind=kind,
                service=service,
                function=function,
                effect=effect,
                subject=subject,
                value=value,
                created=now,
                visible_at=now + timing.task_visible_after,
                doing_at=now + takes / 10,
                ends=now + takes,
                comment=comment,
            )
            self.state.tasks[task.id] = task
        self.changed()
        return task

    def next_id(self) -> int:
        """A number never used before."""
        with self.lock:
            self.state.next_id += 1
            return self.state.next_id

    def visible_tasks(self, kind: TaskKind, service: str) -> list[Task]:
        """The tasks of a service that the API shows at this moment, oldest first."""
        now = self.clock()
        return [
            task
            for task in self.state.tasks.values()
            if task.kind is kind and task.service == service and task.visible_at <= now
        ]

    def active_task(self, effect: Effect, service: str | None = None, subject: str | None = None) -> Task | None:
        """A task under way that will have this effect, visible or not."""
        return next(
            (
                task
                for task in self.state.tasks.values()
                if task.active
                and task.effect is effect
                and service in (None, task.service)
                and subject in (None, task.subject)
            ),
            None,
        )

    def finish(self, task: Task, status: str = "done") -> None:
        """End a task now. Any other status than ``done`` leaves everything as it was."""
        with self.lock:
            task.status, task.finished, task.updated = status, self.clock(), self.clock()
            self._apply(task, status)
            if task.kind is TaskKind.VRACK:
                # A vRack task that is over cannot be read any more: 404 means completed.
                del self.state.tasks[task.id]
        self._announce()

    def _apply(self, task: Task, status: str) -> None:
        done = status == "done"
        match task.effect:
            case Effect.INSTALLED:
                self._installed(task, status)
            case Effect.REBOOTED if done:
                self._rebooted(self.state.servers[task.service])
            case Effect.ATTACHED if done:
                self.vni(task.subject)["vrack"] = task.value
            case Effect.DETACHED if done:
                vni = self.vni(task.subject)
                if vni["vrack"] == task.service:
                    vni["vrack"] = None
            case Effect.ROUTED if done:
                self.route(task.subject, task.value)
            case _:
                pass

    def _installed(self, task: Task, status: str) -> None:
        server = self.state.servers[task.service]
        install = next(one for one in server.installs if one.task_id == task.id)
        install.finished, install.status = self.clock(), status
        if status == "done":
            server.document["os"], server.document["powerState"] = task.subject, "poweron"
            self._run(server, on=True)
            event = Installed(len(self.installed) + 1, server.name, server.document["ip"], install)
            self.installed.append(event)
            self._unannounced.append(event)

    def _rebooted(self, server: Server) -> None:
        powered, runs = boot(server)
        server.document["powerState"] = "poweron" if powered else "poweroff"
        self._run(server, on=False)  # what ran there is gone, also where the system is back at once
        self._run(server, on=runs)

    def _run(self, server: Server, *, on: bool) -> None:
        if server.runs != on:
            server.runs = on
            self._switched.append(Power(server.name, server.document["ip"], on))

    def switch(self, name: str, *, on: bool) -> None:
        """Somebody pulls the plug of a server, or puts it back.

        Raises:
            KeyError: no such server.
        """
        with self.lock:
            server = self.state.servers[name]
            server.document["powerState"] = "poweron" if on else "poweroff"
            self._run(server, on=on)
        self._announce()

    def _announce(self) -> None:
        with self.lock:
            events, self._unannounced = self._unannounced, []
            switched, self._switched = self._switched, []
        for change in switched:
            for told in tuple(self.on_power):
                told(change)
        for event in events:
            for listener in tuple(self.on_installed):
                listener(event)

    # -- time

    def advance(self) -> None:
        """Let everything happen that is due."""
        with self.lock:
            now, timing = self.clock(), self.state.timing
            for task in sorted(self.state.tasks.values(), key=lambda one: one.ends):
                if task.finished is not None:
                    if task.finished + timing.task_purged_after <= now:
                        del self.state.tasks[task.id]
                elif task.ends <= now:
                    self.finish(task)
                elif task.status == "init" and task.doing_at <= now:
                    task.status, task.updated = "doing", now
            for renaming in [one for one in self.state.renamings if one.due <= now]:
                self.resource(renaming.urn).display_name = renaming.display_name
                self.state.renamings.remove(renaming)
            progress(self.state, now)

    def due(self) -> float | None:
        """When something happens next, in seconds since the epoch."""
        with self.lock:
            active = [task for task in self.state.tasks.values() if task.active]
            moments = [task.doing_at if task.status == "init" else task.ends for task in active]
            moments += [one.due for one in self.state.renamings]
            return min([*moments, *next_of_orders(self.state)], default=None)

    # -- things

    def resources(self) -> list[tuple[str, Resource]]:
        """Everything IAM knows, each with the account that owns it."""
        state = self.state
        things: list[Server | Vrack | IpBlock | DnsZone] = [
            *state.servers.values(),
            *state.vracks.values(),
            *state.ips.values(),
            *state.zones.values(),
        ]
        return [(thing.account, thing.resource) for thing in things]

    def resource(self, urn: str) -> Resource:
        """One of them.

        Raises:
            KeyError: there is none.
        """
        for _, resource in self.resources():
            if resource.urn == urn:
                return resource
        raise KeyError(urn)

    def vni(self, uuid: str) -> Json:
        """A virtual network interface of any server.

        Raises:
            KeyError: there is none.
        """
        for server in self.state.servers.values():
            for vni in server.vnis:
                if vni["uuid"] == uuid:
                    return vni
        raise KeyError(uuid)

    def server_of(self, uuid: str) -> Server:
        """The server of a virtual network interface.

        Raises:
            KeyError: there is none.
        """
        return self.state.servers[self.vni(uuid)["serverName"]]

    def interfaces(self, vrack: str) -> list[Json]:
        """The virtual network interfaces in a vRack."""
        return [vni for server in self.state.servers.values() for vni in server.vnis if vni["vrack"] == vrack]

    def blocks(self, vrack: str) -> list[IpBlock]:
        """The blocks routed to a vRack."""
        return [block for block in self.state.ips.values() if block.routed_to == vrack]

    def route(self, block: str, service: str | None) -> None:
        """Route a block to a service at once; None parks it."""
        self.state.ips[block].document["routedTo"] = None if service is None else {"serviceName": service}

    def resolve(self, name: str) -> set[str]:
        """Where a name leads: published records of the zones here, and names that others serve."""
        wanted, found = name.rstrip(".").lower(), set(self.state.names.get(name.rstrip(".").lower(), ()))
        for zone in self.state.zones.values():
            for text in zone.seen:
                kind, subdomain, target = text.split(" ", 2)
                full = f"{subdomain}.{zone.name}" if subdomain else zone.name
                if kind in {"A", "AAAA"} and full.lower() == wanted:
                    found.add(target)
        return found

    def rename(self, urn: str, display_name: str) -> None:
        """Accept a display name; it is shown later (the real API: up to ten minutes)."""
        with self.lock:
            due = self.clock() + self.state.timing.display_name_after
            self.state.renamings.append(Renaming(urn, display_name, due))
            self.advance()
        self.changed()

    # -- the state file

    def report(self) -> dict[str, Any]:
        """The whole state as JSON, as the admin door shows it."""
        with self.lock:
            return self.state.to_json()

    def save(self, path: Path) -> None:
        """Write the state file, whole or not at all."""
        partial = path.with_name(f"{path.name}.partial")
        partial.write_text(json.dumps(self.report(), indent=1), encoding="utf-8")
        partial.replace(path)
