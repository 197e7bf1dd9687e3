"""Simulates the pods of the installer Jobs: no server exists on which one-deploy could install OpenNebula.

It waits for the Jobs that would run one-deploy, reads the inventory that they carry and the Secret that they mount, has
the simulator of OpenNebula bring up a cloud at the front-end's address, and writes the Job's status as the Job
controller would; where a node would run the pod, the Job is over before its image is there. Jobs of one-deploy-validation it
plays as well: what the suite would find is what the simulator knows of the hosts, and a report is a line of text; and those
that make a front-end a member of a federation. In a pod of its own it is
`sovereign sandbox installer`; beside a control plane `python -m sovereigncloud_sandbox.installer_player`, with KUBECONFIG and

    SOVEREIGN_SANDBOX_ONE      admin door of the simulator, for example http://127.0.0.1:40123/_admin
    SOVEREIGN_SANDBOX_INSTALL  seconds that an installation takes (default 1)
    SOVEREIGN_SANDBOX_TLS_PORT  where the web server before a front-end listens (default 443)
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import logging
import os
import signal
import ssl
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import aiohttp
import kubernetes
import typer
import yaml

from sovereigncloud_sandbox.api_server import ApiServer, GoneError, Json

logger = logging.getLogger("installer")

_LABEL = "sovereigncloud.io/installer=one-deploy"
_CLOUD = "sovereigncloud.io/cloud"
_VALIDATION = "sovereigncloud.io/validation"
FEDERATION = "sovereigncloud.io/federation"
_AFTER_ERROR = 0.5
_PORT = 2633
_TLS_PORT = int(os.environ.get("SOVEREIGN_SANDBOX_TLS_PORT", "443"))


class PlayError(Exception):
    """The simulated installation fails; the message goes into the status of the Job."""


def connection() -> tuple[str, ssl.SSLContext | bool, dict[str, str]]:
    """Address, TLS and headers from the kubeconfig, else from the pod's ServiceAccount.

    The token is read once: API servers take one for a year that a kubelet renews after an hour.
    """
    configuration = kubernetes.client.Configuration()
    if not os.environ.get("KUBECONFIG") and Path(kubernetes.config.incluster_config.SERVICE_TOKEN_FILENAME).exists():
        kubernetes.config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    else:
        kubernetes.config.load_kube_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    keys = configuration.api_key or {}
    token = keys.get("BearerToken", keys.get("authorization", ""))
    headers = {"Authorization": token} if token else {}
    tls: ssl.SSLContext | bool = True
    if configuration.host.startswith("https"):
        tls = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
        if configuration.cert_file:
            tls.load_cert_chain(configuration.cert_file, configuration.key_file)
    return configuration.host, tls, headers


class Player:
    """Simulates the pod of each installer Job once."""

    def __init__(self, cluster: ApiServer, door: str, seconds: float) -> None:
        self._cluster, self._door, self._seconds = cluster, door.rstrip("/"), seconds
        self._playing: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Follow the Jobs until cancelled."""
        while True:
            try:
                page = await self._cluster.call("GET", f"/apis/batch/v1/jobs?labelSelector={_LABEL}")
                for job in page.get("items", []):
                    self._take(job)
                await self._watch(page["metadata"]["resourceVersion"])
            except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                logger.warning("Kubernetes: %s", error)
                await asyncio.sleep(_AFTER_ERROR)

    async def _watch(self, version: str) -> None:
        with contextlib.suppress(GoneError):
            async for event in self._cluster.watch("/apis/batch/v1/jobs", version, f"&labelSelector={_LABEL}"):
                if event.get("type") in {"ADDED", "MODIFIED"}:
                    self._take(event["object"])

    def _take(self, job: Json) -> None:
        uid = job["metadata"]["uid"]
        if uid not in self._playing and not is_over(job):
            self._playing[uid] = asyncio.create_task(self._play(job))

    async def _play(self, job: Json) -> None:
        """What goes wrong in the simulator fails the Job; what goes wrong in Kubernetes is tried again."""
        name = f"{job['metadata']['namespace']}/{job['metadata']['name']}"
        while True:
            try:
                await self._status(job, running())
                await asyncio.sleep(self._seconds)
                if _VALIDATION in job["metadata"]["labels"]:
                    await self._last_words(job, json.dumps(await self._validate(job)))
                outcome = succeeded() if _VALIDATION in job["metadata"]["labels"] else await self._outcome(job)
                await self._status(job, outcome)
            except (aiohttp.ClientError, TimeoutError) as error:
                if isinstance(error, aiohttp.ClientResponseError) and error.status == 404:
                    return  # the Job is gone
                logger.warning("%s: %s", name, error)
                await asyncio.sleep(_AFTER_ERROR)
            else:
                logger.info("%s: %s", name, outcome["conditions"][-1]["type"])
                return

    async def _outcome(self, job: Json) -> Json:
        try:
            if FEDERATION in job["metadata"]["labels"]:
                await self._federate(job)
            else:
                await self._install(job)
        except PlayError as error:
            return failed(str(error))
        return succeeded()

    async def _validate(self, job: Json) -> Json:
        """What the suite would say: it stops where a host is not what it should be."""
        environment = variables_of(job)
        cloud = job["metadata"]["labels"][_CLOUD]
        async with self._cluster.session.get(f"{self._door}/clouds/{cloud}") as reply:
            found: Json = await reply.json() if reply.status == 200 else {"hosts": []}
        bad = [host["name"] for host in found["hosts"] if not host["state"].startswith("MONITORED")]
        wrong = f"failed in: Check hosts on {', '.join(bad)}" if bad else "" if found["hosts"] else "no cloud answers"
        result = ["Failed", wrong] if wrong else ["Passed", ""]
        report = f"simulated report of {cloud}: {wrong or 'well'}"
        return {
            "checks": dict.fromkeys(environment["CHECKS"].split(), result),
            "digest": f"sha256:{hashlib.sha256(report.encode()).hexdigest()}",
            "path": "/".join(environment["REPORT"].split("/")[-3:]),
        }

    async def _last_words(self, job: Json, words: str) -> None:
        """The Job controller makes the pod; there is no node that would run it."""
        namespace, name = job["metadata"]["namespace"], job["metadata"]["name"]
        place = f"/api/v1/namespaces/{namespace}/pods"
        pods: list[Json] = []
        while not pods:
            pods = (await self._cluster.call("GET", f"{place}?labelSelector=job-name={name}"))["items"]
            await asyncio.sleep(0 if pods else _AFTER_ERROR)
        (container,) = pods[0]["spec"]["containers"]
        ended = {"exitCode": 0, "reason": "Completed", "message": words, "startedAt": _now(), "finishedAt": _now()}
        told = {
            "name": container["name"],
            "image": container["image"],
            "imageID": "",
            "ready": False,
            "restartCount": 0,
            "state": {"terminated": ended},
        }
        status = {"phase": "Succeeded", "containerStatuses": [told]}
        await self._cluster.call("PATCH", f"{place}/{pods[0]['metadata']['name']}/status", {"status": status})

    async def _status(self, job: Json, status: Json) -> None:
        metadata = job["metadata"]
        path = f"/apis/batch/v1/namespaces/{metadata['namespace']}/jobs/{metadata['name']}/status"
        await self._cluster.call("PATCH", path, {"metadata": {"uid": metadata["uid"]}, "status": status})

    async def _install(self, job: Json) -> None:
        body = cloud_of(job, await self._mounted(job, "credentials", "password"))
        if "certificate" in volumes_of(job):
            certificate = await self._mounted(job, "certificate", "tls.crt")
            body["tls"] = {"certificate": certificate, "key": await self._mounted(job, "certificate", "tls.key")}
        place = f"{self._door}/clouds/{body['name']}"
        async with self._cluster.session.get(place) as found:
            if found.status == 200:
                # one-deploy changes nothing on what stands but its web server; the operator registers new hosts itself.
                await self._listen(f"{place}/listen", {"listen": body["listen"], "tls": body.get("tls")})
                return
        async with self._cluster.session.post(f"{self._door}/clouds", json=body) as reply:
            if reply.status >= 400:
                raise PlayError(f"one-deploy ended with 2: {(await reply.text())[:300]}")

    async def _federate(self, job: Json) -> None:
        """The play that no API of OpenNebula spares: its inventory says whose oned becomes what."""
        address, body = federation_of(job)
        async with self._cluster.session.put(f"{self._door}/clouds/{address}/federation", json=body) as reply:
            if reply.status >= 400:
                raise PlayError(f"federation.yml failed: {(await reply.text())[:300]}")

    async def _listen(self, url: str, body: Json) -> None:
        async with self._cluster.session.put(url, json=body) as reply:
            if reply.status >= 400:
                raise PlayError(f"nginx: [emerg] {(await reply.text())[:300]}")

    async def _mounted(self, job: Json, volume: str, key: str) -> str:
        """A file of a Secret that the pod would mount."""
        name = volumes_of(job)[volume]
        path = f"/api/v1/namespaces/{job['metadata']['namespace']}/secrets/{name}"
        try:
            secret = await self._cluster.call("GET", path)
        except aiohttp.ClientResponseError as error:
            raise PlayError(f"MountVolume.SetUp failed: Secret {name}: {error.status}") from error
        if key not in secret["data"]:
            raise PlayError(f"MountVolume.SetUp failed: references non-existent secret key: {key}")
        return base64.b64decode(secret["data"][key]).decode()


def variables_of(job: Json) -> dict[str, str]:
    """What the pod's container is given."""
    (container,) = job["spec"]["template"]["spec"]["containers"]
    return {e["name"]: e.get("value", "") for e in container["env"]}


def volumes_of(job: Json) -> dict[str, str]:
    """Names of the Secrets that the pod mounts, by volume."""
    volumes = job["spec"]["template"]["spec"]["volumes"]
    return {v["name"]: v["secret"]["secretName"] for v in volumes if "secret" in v}


def cloud_of(job: Json, password: str) -> Json:
    """What the admin door is asked for: the cloud that one-deploy would leave, as the inventory says."""
    container = job["spec"]["template"]["spec"]["containers"][0]
    text = next(e["value"] for e in container["env"] if e["name"] == "INVENTORY")
    inventory = yaml.safe_load(text)
    told = inventory["all"]["vars"]
    check(told, len(inventory["frontend"]["hosts"]))
    fronts = inventory["frontend"]["hosts"]
    front = next(iter(fronts.values()))
    servers = [{"name": name, "listen": f"{one['ansible_host']}:{_PORT}"} for name, one in fronts.items()]
    version = str(told["one_version"])
    return {
        "name": job["metadata"]["labels"][_CLOUD],
        "listen": f"{told.get('one_vip', front['ansible_host'])}:{_TLS_PORT if 'ssl' in told else _PORT}",
        "version": version if version.count(".") > 1 else f"{version}.0",
        "oneadmin_password": password,
        "hosts": [{"name": host["ansible_host"]} for host in inventory["node"]["hosts"].values()],
        **({"front_ends": servers} if len(servers) > 1 else {}),
    }


def federation_of(job: Json) -> tuple[str, Json]:
    """Where the oned is that is changed, and FEDERATION of its oned.conf, as the inventory says."""
    inventory = yaml.safe_load(variables_of(job)["INVENTORY"])
    told = inventory["all"]["vars"]
    (member,) = inventory["member"]["hosts"].values()
    conf = {
        "mode": told["federation_mode"],
        "zone_id": told["federation_zone"],
        "master_oned": told["federation_master_oned"],
    }
    return f"{member['ansible_host']}:{_PORT}", conf


def check(told: Json, front_ends: int) -> None:
    """What one-deploy checks before it begins (its role precheck). Raises PlayError with its words."""
    address = [name in told for name in ("one_vip", "one_vip_cidr", "one_vip_if")]
    if address[0] != (front_ends > 1):
        raise PlayError("Please either define one_vip in the inventory, add more Front-ends or enable force_ha.")
    if any(address) and not all(address):
        raise PlayError("Please either define all or undefine all one_vip, one_vip_cidr, one_vip_if vars.")
    if front_ends > 1 and told.get("db_backend", "MariaDB") == "SQLite":
        raise PlayError("Please use MariaDB as DB backend for HA setup.")
    if "ssl" in told and told["ssl"].get("web_server") not in {"nginx", "apache"}:
        raise PlayError("The only supported web servers are 'apache' and 'nginx'.")


def is_over(job: Json) -> bool:
    """Whether the Job already ended, or is being deleted."""
    conditions = (job.get("status") or {}).get("conditions") or ()
    ended = any(c["type"] in {"Complete", "Failed"} and c["status"] == "True" for c in conditions)
    return ended or "deletionTimestamp" in job["metadata"]


def running() -> Json:
    """The status of a Job whose pod runs."""
    return {"active": 1, "ready": 1, "startTime": _now()}


def succeeded() -> Json:
    """The status of a Job that ended well. The API server checks it: no active pod, and the two conditions in order."""
    conditions = [_condition("SuccessCriteriaMet", "CompletionsReached"), _condition("Complete", "CompletionsReached")]
    return {"active": None, "ready": 0, "succeeded": 1, "completionTime": _now(), "conditions": conditions}


def failed(message: str) -> Json:
    """The status of a Job whose pod failed, which is not tried again."""
    conditions = [
        _condition("FailureTarget", "BackoffLimitExceeded", message),
        _condition("Failed", "BackoffLimitExceeded", message),
    ]
    return {"active": None, "ready": 0, "failed": 1, "conditions": conditions}


def _condition(kind: str, reason: str, message: str = "") -> Json:
    now = _now()
    return {
        "type": kind,
        "status": "True",
        "reason": reason,
        "message": message,
        "lastProbeTime": now,
        "lastTransitionTime": now,
    }


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


async def play(door: str, seconds: float) -> None:
    """Play until SIGTERM or SIGINT."""
    host, tls, headers = connection()
    connector = aiohttp.TCPConnector(ssl=tls)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=30)) as session:
        playing = asyncio.create_task(Player(ApiServer(session, host, headers), door, seconds).run())
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, playing.cancel)
        try:
            await playing
        except asyncio.CancelledError:
            return


def installer(
    door: Annotated[str, typer.Option(help="Admin door of the simulated OpenNebula.")],
    seconds: Annotated[float, typer.Option(help="Seconds that an installation takes.")] = 1.0,
) -> None:
    """Play the pods that would install OpenNebula, in the cluster of the kubeconfig or of the pod."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    asyncio.run(play(door, seconds))


def main() -> None:
    door = os.environ.get("SOVEREIGN_SANDBOX_ONE", "")
    if not door:
        sys.exit("SOVEREIGN_SANDBOX_ONE names no admin door")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    asyncio.run(play(door, float(os.environ.get("SOVEREIGN_SANDBOX_INSTALL", "1"))))


if __name__ == "__main__":
    main()
