"""The external systems of a test environment: the admin interfaces of simulated OVHcloud and OpenNebula."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import requests

from sovereigncloud_sandbox.certificates import KeyPair

Json = dict[str, Any]

_NEVER = 1 << 60
"""A number that no request has: only the counters are wanted."""


class StageError(Exception):
    """The test environment did not reach an expected state; the message has the observed state."""


class Door:
    """Client of the admin interface of a simulator."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._session = requests.Session()
        self._session.trust_env = False  # loopback only, whatever proxies the machine has

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Answer of the door, decoded. Raises StageError."""
        reply = self._session.request(method, f"{self.url}{path}", json=body, timeout=30)
        if reply.status_code >= 400:
            raise StageError(f"{method} {path}: {reply.status_code} {reply.text[:500]}")
        return reply.json() if reply.content else None


class Outside:
    """Both simulators, changed out of band: the operator is not notified."""

    def __init__(self) -> None:
        self.ovh = Door("")
        self.one = Door("")

    def calls(self, cloud: str) -> Counter[str]:
        """Calls that a cloud was asked since it stands, by method."""
        return Counter(self.one.call("GET", f"/counts?cloud={cloud}")[cloud]["methods"])

    def writing_calls(self, cloud: str) -> int:
        """How many of them were no reads."""
        return int(self.one.call("GET", f"/counts?cloud={cloud}")[cloud]["writes"])

    # --- what happens behind the operator's back ----------------------------------------------------------------------

    def make_cloud(
        self,
        name: str,
        address: str,
        *,
        password: str = "opennebula",
        hosts: tuple[str, ...] = (),
        tls: KeyPair | None = None,
        speeds: Mapping[str, float] | None = None,
    ) -> str:
        """A cloud that somebody else runs; returns its endpoint. `speeds`: see sandbox.opennebula.cloud.Speeds."""
        body: Json = {
            "name": name,
            "listen": f"{address}:2633",
            "oneadmin_password": password,
            "hosts": [{"name": host} for host in hosts],
            "speeds": dict(speeds or {}),
        }
        if tls is not None:
            body["tls"] = {"certificate": tls.certificate.decode(), "key": tls.key.decode()}
        self.one.call("POST", "/clouds", body)
        return f"{'https' if tls else 'http'}://{address}:2633/RPC2"

    def mischief(self, cloud: str, what: str, **arguments: object) -> Any:
        """Break something in a cloud."""
        return self.one.call("POST", f"/clouds/{cloud}/mischief", {"what": what, **arguments})

    def fault(self, cloud: str, kind: str, path: str, **rule: object) -> str:
        """Put a fault (sandbox.faults.Rule) before the calls of a cloud whose method matches `path`; its name."""
        added: Json = self.one.call("POST", f"/clouds/{cloud}/faults", {"kind": kind, "path": path, **rule})
        return str(added["name"])

    def struck(self, cloud: str) -> dict[str, int]:
        """How often each fault of a cloud struck."""
        return {fault["name"]: fault["struck"] for fault in self.one.call("GET", f"/clouds/{cloud}/faults")}

    def heal(self, cloud: str) -> None:
        """Take all faults of a cloud away."""
        self.one.call("DELETE", f"/clouds/{cloud}/faults")

    def server(self, service_name: str) -> Json:
        """A dedicated server as the simulated OVHcloud has it."""
        found: Json = self.ovh.call("GET", "/state")["servers"][service_name]
        return found

    def rekey_server(self, service_name: str) -> None:
        """Somebody gives sshd of a server another host key."""
        self.ovh.call("POST", f"/servers/{service_name}/rekey")

    def private_interface(self, service_name: str) -> Json:
        """Its interface for the vRack: uuid, vrack, ..."""
        vnis: list[Json] = self.server(service_name)["vnis"]
        return next(vni for vni in vnis if str(vni["mode"]).startswith("vrack"))

    def detach_from_vrack(self, service_name: str) -> None:
        """Somebody takes the private interface out of its vRack."""
        self.ovh.call("PATCH", f"/vnis/{self.private_interface(service_name)['uuid']}", {"vrack": None})

    def rename_server(self, service_name: str, name: str) -> None:
        """Somebody gives a server another display name."""
        urn = self.server(service_name)["resource"]["urn"]
        self.ovh.call("PATCH", f"/resources/{quote(urn, safe='')}", {"displayName": name})

    def block(self, block: str) -> Json:
        """An IP block as the simulated OVHcloud has it."""
        found: Json = self.ovh.call("GET", "/state")["ips"][block]
        return found

    def park_block(self, block: str) -> None:
        """Somebody takes an IP block off the vRack."""
        self.ovh.call("PATCH", f"/ips/{quote(block, safe='')}", {"routedTo": None})

    def ovh_requests(self, method: str, route: str = "", *, since: int = 0) -> list[Json]:
        """Answered requests to OVHcloud after number `since` whose method is this and whose route ends so."""
        told: list[Json] = self.ovh.call("GET", f"/log?since={since}")["entries"]
        return [e for e in told if e["method"] == method and e["route"].endswith(route) and 200 <= e["status"] < 300]

    def ovh_writes(self, since: int = 0) -> list[Json]:
        """Every request to OVHcloud after number `since` that changed something, or was to."""
        told: list[Json] = self.ovh.call("GET", f"/log?since={since}")["entries"]
        asks = ("/auth/", "/authorization/check")
        return [e for e in told if e["method"] != "GET" and not any(one in e["route"] for one in asks)]

    @property
    def ovh_mark(self) -> int:
        """The number of the last request to OVHcloud."""
        return int(self.ovh.call("GET", f"/log?since={_NEVER}")["total"])

    def one_calls(self, cloud: str, method: str = "", *, since: int = 0) -> list[Json]:
        """Calls to a cloud after number `since` that are no reads, of one method or of all."""
        told: list[Json] = self.one.call("GET", f"/log?cloud={cloud}&since={since}")[cloud]["entries"]
        return [e for e in told if e["method"] != "GET" and method in {"", e["path"]}]

    def one_mark(self, cloud: str) -> int:
        """The number of the last call to a cloud."""
        return int(self.one.call("GET", f"/log?cloud={cloud}&since={_NEVER}")[cloud]["total"])

    def cloud(self, name: str) -> Json:
        """What is in a cloud."""
        found: Json = self.one.call("GET", f"/clouds/{name}")
        return found
