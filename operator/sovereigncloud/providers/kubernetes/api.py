"""The API server, over one aiohttp session: lists, status and finalizer PATCHes, and the rare rest.

Addresses and credentials come from the official client's configuration; the requests are plain JSON. The generated
client costs 1.1 ms of CPU per PATCH more and 30 MB (docs/adr/0001-one-session-to-the-api-server.md).
"""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import secrets
from collections.abc import AsyncIterator, Mapping
from time import monotonic
from typing import Any, Self
from urllib.parse import quote, urlencode

import aiohttp
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sovereigncloud.api import KINDS
from sovereigncloud.api.common.base import FINALIZER, GROUP, VERSION
from sovereigncloud.ports.errors import Auth, Conflict, MissingSecret, NotFound, OutsideError, Rejected, Retry
from sovereigncloud.providers.call_observer import Call, Observer, Unobserved
from sovereigncloud.providers.kubernetes.admission import AdmissionApi
from sovereigncloud.providers.kubernetes.connection import Connection

logger = logging.getLogger(__name__)
Json = dict[str, Any]

PLURALS = {kind.crd.kind: kind.crd.plural for kind in KINDS}
CLUSTER_KINDS = frozenset(kind.crd.kind for kind in KINDS if not kind.crd.namespaced)
"""Kinds whose objects are in no namespace. An operator that watches some namespaces only does not look at them."""
FIELD_MANAGER = "sovereign-cloud-operator"
_AT_ONCE = 8
_SHOWN = 200
_ONLY_METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_TOKEN_AGE = 60.0
"""Seconds after which a token file is read again: projected tokens rotate."""


ADMISSION_GROUP = "admissionregistration.k8s.io"
PART_OF = {"app.kubernetes.io/part-of": FIELD_MANAGER}
INSTALLATION_CONFIG_MAP = "sovereign-installation"
"""Keeps the installation id, in the operator's namespace; outlives the release."""
HOLDINGS_CONFIG_MAP = "sovereign-holdings"
"""Says what the operator holds by its finalizer, in its namespace; `helm uninstall` asks by deleting it."""
# It is the chart's hook of this name, made before its time, and says so: Argo CD finds it in the cluster under a name of the
# chart, and would prune what is neither a hook nor in Git, which the chart's policy denies (templates/policies/uninstall.yaml).
_HOLDINGS_ANNOTATIONS = {"helm.sh/hook": "pre-delete"}


class KubernetesApi:
    """Verbs on the API server. Raises the errors of `kinds.errors`.

    Args:
        connection: to it.
        timeout: of a request, in seconds.
        namespaces: those whose objects there are; none: all of the cluster.
        observer: is told of every request.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        timeout: float = 30.0,
        namespaces: tuple[str, ...] = (),
        observer: Observer | None = None,
    ) -> None:
        self._connection, self._namespaces = connection, namespaces
        self._observer = observer or Unobserved()
        self._timeout = aiohttp.ClientTimeout(total=timeout, sock_connect=5)
        self._session: aiohttp.ClientSession | None = None
        self._token = connection.token
        self._token_read = float("-inf")
        self.requests: dict[tuple[str, str], int] = {}
        """Requests by verb and resource."""

    async def __aenter__(self) -> Self:
        # asyncio keeps 256 KiB of buffers per TLS connection; _AT_ONCE carry a thousand PATCHes a second.
        # Whoever follows what changes holds a connection for each kind, and goes on asking beside it.
        limit = _AT_ONCE + len(KINDS)
        connector = aiohttp.TCPConnector(ssl=self._connection.tls or True, limit=limit)
        auth = aiohttp.BasicAuth(*self._connection.basic) if self._connection.basic else None
        self._session = aiohttp.ClientSession(connector=connector, timeout=self._timeout, auth=auth)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session:
            await self._session.close()

    # --- our own kinds -------------------------------------------------------------------------------------------

    async def objects(self, kind: str, *, limit: int = 500) -> AsyncIterator[Json]:
        """Every object of a kind in all namespaces, or in those that are watched, in pages. Some come twice where the list
        expired half way through. Where some namespaces are watched, what is in none has no objects: it is the business of the
        operator of the whole cluster.
        """
        if self._namespaces and kind in CLUSTER_KINDS:
            return
        for namespace in self._namespaces or ("",):
            async for item in self._list(kind, namespace, limit):
                yield item

    async def _list(self, kind: str, namespace: str, limit: int) -> AsyncIterator[Json]:
        token = ""
        while True:
            path = f"{path_of(kind, namespace, '')}?limit={limit}" + (f"&continue={token}" if token else "")
            try:
                page = await self._request("GET", path, counted=("list", PLURALS[kind]))
            except _ExpiredError:
                if not token:
                    raise
                token = ""
                continue
            for item in page.get("items", []):
                item.setdefault("kind", kind)
                yield item
            token = page.get("metadata", {}).get("continue", "")
            if not token:
                return

    async def patch_status(self, kind: str, namespace: str, name: str, version: str, patch: Json) -> Json:
        """One merge patch on /status, from what was known at that resourceVersion. Raises Conflict where the object is
        another by now. (A uid in it would not help: on /status of a custom resource the API server ignores metadata.)
        """
        body = {"metadata": {"resourceVersion": version}, "status": patch}
        return await self._request(
            "PATCH", f"{path_of(kind, namespace, name)}/status", body, counted=("patch", f"{PLURALS[kind]}/status")
        )

    async def patch_finalizers(self, kind: str, namespace: str, name: str, version: str, finalizers: list[str]) -> Json:
        """Set the list of finalizers; with the resourceVersion, since others' finalizers are in the same list."""
        body = {"metadata": {"resourceVersion": version, "finalizers": finalizers}}
        return await self._request("PATCH", path_of(kind, namespace, name), body, counted=("patch", PLURALS[kind]))

    async def apply(self, manifest: Mapping[str, object]) -> None:
        """Server-side apply of a child object."""
        metadata: Any = manifest["metadata"]
        kind = str(manifest["kind"])
        path = path_of(kind, metadata["namespace"], metadata["name"])
        await self._request(
            "PATCH",
            f"{path}?fieldManager={FIELD_MANAGER}&force=true",
            dict(manifest),
            content="application/apply-patch+yaml",
            counted=("patch", PLURALS[kind]),
        )

    async def delete(self, kind: str, namespace: str, name: str) -> None:
        """Delete an object of ours; not being there is fine."""
        try:
            await self._request("DELETE", path_of(kind, namespace, name), counted=("delete", PLURALS[kind]))
        except NotFound:
            return

    async def kind_is_going(self, kind: str) -> bool:
        """Whether the CRD of a kind is itself being deleted."""
        path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{PLURALS[kind]}.{GROUP}"
        try:
            found = await self._request("GET", path, counted=("get", "customresourcedefinitions"))
        except NotFound:
            return True
        return "deletionTimestamp" in found["metadata"]

    # --- Secrets ---------------------------------------------------------------------------------------------------

    async def secret(self, namespace: str, name: str) -> Mapping[str, str]:
        """Decoded values of a Secret. Raises MissingSecret."""
        try:
            found = await self._request("GET", _core(namespace, "secrets", name), counted=("get", "secrets"))
        except NotFound as error:
            raise MissingSecret(f"Secret {namespace}/{name} does not exist: create it") from error
        values: dict[str, str] = {}
        for key, value in (found.get("data") or {}).items():
            # A key that is not text is none of ours: a keystore beside the password harms nobody.
            with contextlib.suppress(ValueError):
                values[key] = base64.b64decode(value, validate=True).decode()
        return values

    async def create_secret(
        self, namespace: str, name: str, values: Mapping[str, str], labels: Mapping[str, str]
    ) -> bool:
        """False when one of that name is there already: a generated Secret is never overwritten."""
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": namespace, "labels": dict(labels)},
            "stringData": dict(values),
        }
        try:
            await self._request("POST", _core(namespace, "secrets"), body, counted=("create", "secrets"))
        except Conflict:
            return False
        return True

    async def generate_login(self, namespace: str, name: str, username: str, labels: Mapping[str, str]) -> bool:
        """A Secret with username and a generated password; never overwritten."""
        values = {"username": username, "password": secrets.token_urlsafe(24)}
        return await self.create_secret(namespace, name, values, labels)

    async def generate_credentials(self, namespace: str, name: str, username: str, labels: Mapping[str, str]) -> bool:
        """A Secret with username, a generated password and an SSH key pair; never overwritten."""
        key = Ed25519PrivateKey.generate()
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
        ).decode()
        public = (
            key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()
        )
        values = {
            "username": username,
            "password": secrets.token_urlsafe(24),
            "sshPrivateKey": private,
            "sshPublicKey": f"{public} {FIELD_MANAGER}",
        }
        return await self.create_secret(namespace, name, values, labels)

    async def delete_secret(self, namespace: str, name: str) -> None:
        """Delete a generated Secret, and let it go: who held it is whom it was for. Not being there is fine."""
        try:
            await self._request("DELETE", _core(namespace, "secrets", name), counted=("delete", "secrets"))
        except NotFound:
            return
        await self.guard_secret(namespace, name, hold=False)

    async def guard_secret(self, namespace: str, name: str, *, hold: bool) -> bool:
        """Hold a Secret in use by our finalizer, or let it go; nothing else on it is touched. False: it is not there."""
        try:
            found = await self._request("GET", _core(namespace, "secrets", name), counted=("get", "secrets"))
        except NotFound:
            return False
        metadata = found["metadata"]
        finalizers = [f for f in metadata.get("finalizers", []) if f != FINALIZER]
        if hold == (FINALIZER in metadata.get("finalizers", [])) or (hold and metadata.get("deletionTimestamp")):
            return True
        body = {
            "metadata": {
                "resourceVersion": metadata["resourceVersion"],
                "finalizers": [*finalizers, FINALIZER] if hold else finalizers,
            }
        }
        await self._request("PATCH", _core(namespace, "secrets", name), body, counted=("patch", "secrets"))
        return True

    # --- borders -------------------------------------------------------------------------------------------------

    @property
    def admission(self) -> AdmissionApi:
        """Bindings of ValidatingAdmissionPolicies."""
        return AdmissionApi(self._request)

    async def namespace_labels(self, *, limit: int = 500) -> dict[str, Mapping[str, str]]:
        """The labels of every namespace, in pages, and nothing else of them."""
        found: dict[str, Mapping[str, str]] = {}
        token = ""
        while True:
            path = f"/api/v1/namespaces?limit={limit}" + (f"&continue={quote(token)}" if token else "")
            try:
                page = await self._request("GET", path, counted=("list", "namespaces"), accept=_ONLY_METADATA)
            except _ExpiredError:
                if not token:
                    raise
                token = ""
                continue
            for item in page.get("items", []):
                found[item["metadata"]["name"]] = item["metadata"].get("labels") or {}
            token = page.get("metadata", {}).get("continue", "")
            if not token:
                return found

    # --- the rest ----------------------------------------------------------------------------------------------------

    async def create_event(self, namespace: str, body: Json) -> None:
        """A Kubernetes event."""
        await self._request("POST", _core(namespace or "default", "events"), body, counted=("create", "events"))

    async def patch_event(self, namespace: str, name: str, patch: Json) -> None:
        """Count up what is said again. Raises NotFound where the API server has forgotten it: it keeps events for an hour."""
        where = _core(namespace or "default", "events", name)
        await self._request("PATCH", where, patch, counted=("patch", "events"))

    async def config_map(self, namespace: str, name: str) -> Mapping[str, str] | None:
        """Its data, or None."""
        try:
            found = await self._request("GET", _core(namespace, "configmaps", name), counted=("get", "configmaps"))
        except NotFound:
            return None
        data: Mapping[str, str] = found.get("data") or {}
        return data

    async def create_config_map(
        self,
        namespace: str,
        name: str,
        data: Mapping[str, str],
        labels: Mapping[str, str],
        annotations: Mapping[str, str] | None = None,
    ) -> None:
        """Raises Conflict when it is there."""
        metadata = {"name": name, "namespace": namespace, "labels": dict(labels)}
        body = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": metadata | ({"annotations": dict(annotations)} if annotations else {}),
            "data": dict(data),
        }
        await self._request("POST", _core(namespace, "configmaps"), body, counted=("create", "configmaps"))

    async def holdings(self, namespace: str) -> Mapping[str, str] | None:
        """What was told last about what is held; None: nothing yet."""
        return await self.config_map(namespace, HOLDINGS_CONFIG_MAP)

    async def tell_holdings(self, namespace: str, data: Mapping[str, str]) -> None:
        """Write it into the ConfigMap, which is made where it is not there."""
        path = _core(namespace, "configmaps", HOLDINGS_CONFIG_MAP)
        change = {"metadata": {"annotations": _HOLDINGS_ANNOTATIONS}, "data": dict(data)}
        try:
            await self._request("PATCH", path, change, counted=("patch", "configmaps"))
        except NotFound:
            await self.create_config_map(namespace, HOLDINGS_CONFIG_MAP, data, PART_OF, _HOLDINGS_ANNOTATIONS)

    async def lease(self, namespace: str, name: str) -> Json | None:
        """The Lease, or None."""
        try:
            return await self._request("GET", _lease(namespace, name), counted=("get", "leases"))
        except NotFound:
            return None

    async def write_lease(self, namespace: str, name: str, body: Json, *, create: bool) -> Json:
        """Create it, or replace it (its resourceVersion decides races). Raises Conflict."""
        if create:
            return await self._request("POST", _lease(namespace, ""), body, counted=("create", "leases"))
        return await self._request("PUT", _lease(namespace, name), body, counted=("update", "leases"))

    async def job(self, namespace: str, name: str) -> Json | None:
        """A Job, or None."""
        try:
            return await self._request("GET", _job(namespace, name), counted=("get", "jobs"))
        except NotFound:
            return None

    async def jobs(self, namespace: str, selector: str) -> list[Json]:
        """Jobs with these labels."""
        page = await self._request("GET", f"{_job(namespace, '')}?labelSelector={selector}", counted=("list", "jobs"))
        found: list[Json] = page.get("items", [])
        return found

    async def pods(self, namespace: str, selector: str) -> list[Json]:
        """Pods with these labels, in one namespace or, with an empty one, in all."""
        scope = f"namespaces/{quote(namespace)}/" if namespace else ""
        path = f"/api/v1/{scope}pods?{urlencode({'labelSelector': selector})}"
        found: list[Json] = (await self._request("GET", path, counted=("list", "pods"))).get("items", [])
        return found

    async def create_job(self, namespace: str, body: Json) -> None:
        """Raises Conflict when one of that name is there."""
        await self._request("POST", _job(namespace, ""), body, counted=("create", "jobs"))

    async def _request(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        *,
        content: str = "",
        counted: tuple[str, str],
        again: bool = True,
        accept: str = "application/json",
    ) -> Json:
        self.requests[counted] = self.requests.get(counted, 0) + 1
        if self._session is None:
            raise RuntimeError("the session to the API server is not open")
        kind = content or ("application/merge-patch+json" if method == "PATCH" else "application/json")
        headers = {"Accept": accept, "Content-Type": kind}
        if token := self._bearer():
            headers["Authorization"] = f"Bearer {token}"
        where = f"Kubernetes {method} {path.split('?', maxsplit=1)[0]}"
        with self._observer.during(call := Call("kubernetes", " ".join(counted))):
            try:
                async with self._session.request(
                    method, f"{self._connection.host}{path}", json=body, headers=headers
                ) as reply:
                    text = await reply.text()
                    call.code = str(reply.status)
                    if reply.status == 401 and again and self._connection.token_file:
                        self._token_read = float("-inf")
                        return await self._request(
                            method, path, body, content=content, counted=counted, again=False, accept=accept
                        )
                    if reply.status >= 400:
                        raise _error(reply.status, _read(text), reply.headers.get("Retry-After"), where)
                    answer: Json = json.loads(text) if text else {}
                    return answer
            except aiohttp.ClientConnectorError as error:
                raise Retry(f"{type(error).__name__}: {error}", where=where, maybe_done=False) from error
            except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                raise Retry(f"{type(error).__name__}: {error}", where=where) from error

    async def _refusal(self, reply: aiohttp.ClientResponse, where: str) -> OutsideError:
        """The error that a reply of 400 and above stands for."""
        return _error(reply.status, _read(await reply.text()), reply.headers.get("Retry-After"), where)

    def _bearer(self) -> str:
        file = self._connection.token_file
        if file and monotonic() - self._token_read > _TOKEN_AGE:
            try:
                self._token = self._connection.bearer()
            except OSError as error:  # it is being exchanged; the one before is still good for a while
                logger.warning("the token file cannot be read: %s", error)
            self._token_read = monotonic()
        return self._token


class _ExpiredError(Retry):
    """A continue token, or a resourceVersion, is too old: begin anew."""


def _read(text: str) -> Json:
    """What an error says: a Status, or whatever stands between here and the API server has to say."""
    try:
        answer = json.loads(text)
    except ValueError:
        answer = None
    return answer if isinstance(answer, dict) else {"message": text.strip()[:_SHOWN]}


def _error(status: int, answer: Json, retry_after: str | None, where: str) -> OutsideError:
    message = str(answer.get("message") or f"HTTP {status}")
    match status:
        case 401 | 403:
            return Auth(message, where=where)
        case 404:
            return NotFound(message, where=where)
        case 410:
            return _ExpiredError(message, where=where, maybe_done=False)
        case 409:
            return Conflict(message, where=where)
        case 400 | 405 | 413 | 415 | 422:
            return Rejected(message, where=where)
        case _:
            return Retry(message, where=where, after=_seconds(retry_after))


def _seconds(retry_after: str | None) -> float | None:
    return float(retry_after) if retry_after and retry_after.isdigit() else None


def path_of(kind: str, namespace: str, name: str = "") -> str:
    """Where the API server has an object of ours, or all of a kind; a kind without namespaces is asked for without one."""
    scope = f"namespaces/{quote(namespace)}/" if namespace and kind not in CLUSTER_KINDS else ""
    return f"/apis/{GROUP}/{VERSION}/{scope}{PLURALS[kind]}" + (f"/{quote(name)}" if name else "")


def _core(namespace: str, resource: str, name: str = "") -> str:
    return f"/api/v1/namespaces/{namespace}/{resource}" + (f"/{name}" if name else "")


def _lease(namespace: str, name: str) -> str:
    return f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases" + (f"/{name}" if name else "")


def _job(namespace: str, name: str) -> str:
    return f"/apis/batch/v1/namespaces/{namespace}/jobs" + (f"/{name}" if name else "")
