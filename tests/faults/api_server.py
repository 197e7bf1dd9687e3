"""A Kubernetes API server in memory, and the operator's own client in front of it.

It keeps what the operator's safety rests on: resourceVersion and uid preconditions, generations, the status subresource,
finalizers, owner references, and a watch that tells changes a little later than they happen.
"""

import asyncio
import base64
import itertools
import pickle
from urllib.parse import parse_qs, urlsplit

from tests.faults.simulated_time import now

from sovereigncloud.api.common.base import API_VERSION, GROUP, VERSION
from sovereigncloud.ports.errors import Retry
from sovereigncloud.providers.kubernetes.api import PLURALS, KubernetesApi, _error
from sovereigncloud.providers.kubernetes.connection import Connection

KINDS = {plural: kind for kind, plural in PLURALS.items()}
TOLD_AFTER = 0.01
"""Seconds until a watch tells a change."""
COLLECTED_AFTER = 0.05
_LATENCY = 0.001


class Refused(Exception):
    """What the API server answers with instead of an object."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


class ApiServer:
    """Objects of all kinds by (plural, namespace, name)."""

    def __init__(self):
        self.objects = {}
        self.events = []
        self.watchers = []
        self.on_job = []
        self._versions = itertools.count(1)
        self._uids = itertools.count(1)

    # --- what a user does --------------------------------------------------------------------------------------------

    def apply(self, *manifests):
        """As `kubectl apply`: spec, labels and annotations are as the manifest says, the rest stays."""
        for manifest in manifests:
            self._apply(manifest)

    def remove(self, kind, name, namespace="platform"):
        """As `kubectl delete --wait=false`; not being there is fine."""
        where = (PLURALS.get(kind, f"{kind.lower()}s"), namespace, name)
        if where in self.objects:
            self._delete(where)

    def annotate(self, kind, name, namespace="platform", **annotations):
        found = self.objects[PLURALS[kind], namespace, name]
        self._store((PLURALS[kind], namespace, name), _merged(found, {"metadata": {"annotations": annotations}}))

    def get(self, kind, name, namespace="platform"):
        """A copy of an object, or {}."""
        return _copy(self.objects.get((PLURALS.get(kind, f"{kind.lower()}s"), namespace, name), {}))

    def all(self, kind):
        plural = PLURALS.get(kind, f"{kind.lower()}s")
        return [_copy(found) for (p, _, _), found in sorted(self.objects.items()) if p == plural]

    # --- requests ----------------------------------------------------------------------------------------------------

    def serve(self, method, url, body):
        """One request. Raises Refused."""
        parts = urlsplit(url)
        query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        where, subresource = _where(parts.path)
        body = _copy(body)
        match method:
            case "GET" if where[2]:
                return _copy(self._found(where))
            case "GET":
                return {"metadata": {}, "items": self._list(where, query)}
            case "POST":
                return _copy(self._create(where, body))
            case "PATCH" if "fieldManager" in query:
                return _copy(self._apply(body))
            case "PATCH":
                return _copy(self._patch(where, subresource, body))
            case "DELETE":
                self._found(where)
                self._delete(where)
                return {}
            case _:
                raise Refused(405, method)

    def status(self, where, status):
        """Set the status of an object, as its controller does."""
        self._store(where, {**self._found(where), "status": status})

    def _found(self, where):
        if where[0] == "customresourcedefinitions":
            return {"metadata": {"name": where[2]}}
        if where not in self.objects:
            raise Refused(404, f'{where[0]} "{where[2]}" not found')
        return self.objects[where]

    def _list(self, where, query):
        wanted = dict(part.split("=") for part in query.get("labelSelector", "").split(",") if part)
        return [
            _copy(found)
            for (plural, namespace, _), found in sorted(self.objects.items())
            if plural == where[0]
            and where[1] in ("", namespace)
            and wanted.items() <= (found["metadata"].get("labels") or {}).items()
        ]

    def _create(self, where, body):
        plural, namespace, _ = where
        if plural == "events":
            self.events.append(body)
            return body
        where = (plural, namespace, body["metadata"]["name"])
        if where in self.objects:
            raise Refused(409, f'{plural} "{where[2]}" already exists')
        body["metadata"] |= {
            "namespace": namespace,
            "uid": f"uid-{next(self._uids)}",
            "generation": 1,
            "creationTimestamp": now().strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        if plural == "secrets":
            given = body.pop("stringData", {})
            body["data"] = {key: base64.b64encode(value.encode()).decode() for key, value in given.items()}
        if plural in KINDS:
            body |= {"kind": KINDS[plural], "status": {"observedGeneration": -1}}
        self._store(where, body, "ADDED")
        if plural == "jobs":
            for played in self.on_job:
                played(where)
        return self.objects[where]

    def _apply(self, manifest):
        plural = PLURALS.get(manifest["kind"], f"{manifest['kind'].lower()}s")
        metadata = manifest["metadata"]
        where = (plural, metadata["namespace"], metadata["name"])
        known = self.objects.get(where)
        if known is None:
            return self._create(where, _copy(dict(manifest)))
        changed = _merged(known, {"metadata": _copy(dict(metadata))})
        if plural in KINDS:
            changed["spec"] = _copy(manifest["spec"])
        self._store(where, changed)
        return self.objects[where]

    def _patch(self, where, subresource, body):
        known = self._found(where)
        given = body.get("metadata") or {}
        if given.get("resourceVersion", known["metadata"]["resourceVersion"]) != known["metadata"]["resourceVersion"]:
            raise Refused(409, "the object has been modified; please apply your changes to the latest version")
        if subresource == "status":
            body = {"status": body.get("status")}
        elif where[0] in KINDS:
            body.pop("status", None)
        merged = _merged(known, body)
        self._store(where, merged)
        return self.objects.get(where, merged)

    def _delete(self, where):
        found = self.objects[where]
        if not found["metadata"].get("finalizers"):
            self._gone(where)
        elif not found["metadata"].get("deletionTimestamp"):
            stamp = {"deletionTimestamp": now().strftime("%Y-%m-%dT%H:%M:%SZ")}
            self._store(where, {**found, "metadata": {**found["metadata"], **stamp}})

    # --- what is kept, and told --------------------------------------------------------------------------------------

    def _store(self, where, body, event="MODIFIED"):
        known = self.objects.get(where)
        body = _copy(body)
        metadata = body["metadata"]
        if known is not None:
            if _same(known, body):
                return
            ends = metadata.get("deletionTimestamp") and not known["metadata"].get("deletionTimestamp")
            if known.get("spec") != body.get("spec") or ends:
                metadata["generation"] = known["metadata"]["generation"] + 1
        metadata["resourceVersion"] = str(next(self._versions))
        self.objects[where] = body
        if metadata.get("deletionTimestamp") and not metadata.get("finalizers"):
            self._gone(where)
            return
        self._tell(event, where, body)

    def _gone(self, where):
        body = self.objects.pop(where)
        body["metadata"]["resourceVersion"] = str(next(self._versions))
        self._tell("DELETED", where, body)
        asyncio.get_running_loop().call_later(COLLECTED_AFTER, self._collect, body["metadata"]["uid"])

    def _collect(self, uid):
        """Garbage collection: what was owned goes after its owner."""
        for where, found in tuple(self.objects.items()):
            owners = found["metadata"].get("ownerReferences") or ()
            if any(owner["uid"] == uid for owner in owners) and where in self.objects:
                self._delete(where)

    def _tell(self, event, where, body):
        if where[0] not in KINDS:
            return
        loop = asyncio.get_running_loop()
        for watcher in self.watchers:
            loop.call_later(TOLD_AFTER, watcher, event, _copy(body))


class Client(KubernetesApi):
    """The operator's own client; its requests go to the server in memory, through what may lose them.

    Args:
        server: answers.
        writes: every write goes through it (`wire.Writes`).
        life: of the process that asks.
    """

    def __init__(self, server, writes, life):
        super().__init__(Connection("https://api", None, "", "", None))
        self._server, self._writes, self._life = server, writes, life

    async def _request(self, method, path, body=None, *, content="", counted, again=True):
        self.requests[counted] = self.requests.get(counted, 0) + 1
        where = f"Kubernetes {method} {path.split('?', maxsplit=1)[0]}"
        await asyncio.sleep(_LATENCY)

        def perform():
            try:
                return 200, self._server.serve(method, path, body)
            except Refused as refused:
                return refused.status, {"message": str(refused)}

        try:
            if method == "GET":
                self._life.check()
                status, answer = perform()
            else:
                label = f"{method} {path.split('?', maxsplit=1)[0].removeprefix(f'/apis/{GROUP}/{VERSION}')}"
                status, answer = self._writes.through(self._life, label, perform, late=False)
        except ConnectionError as error:
            raise Retry(f"{type(error).__name__}: {error}", where=where) from error
        await asyncio.sleep(_LATENCY)
        self._life.check()
        if status >= 400:
            raise _error(status, answer, None, where)
        return answer


def manifest(kind, name, spec, namespace="platform", **metadata):
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace, **metadata},
        "spec": spec,
    }


def secret(name, namespace="platform", **values):
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "stringData": values,
    }


def _copy(body):
    return pickle.loads(pickle.dumps(body))


def _where(path):
    """(plural, namespace, name) and the subresource of a path."""
    parts = path.strip("/").split("/")
    parts = parts[2:] if parts[0] == "api" else parts[3:]
    namespace = ""
    if parts[0] == "namespaces" and len(parts) > 2:
        namespace, parts = parts[1], parts[2:]
    return (parts[0], namespace, parts[1] if len(parts) > 1 else ""), parts[2] if len(parts) > 2 else ""


def _merged(known, patch):
    """RFC 7386."""
    result = dict(known)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            under = result.get(key)
            result[key] = _merged(under if isinstance(under, dict) else {}, value)
        else:
            result[key] = value
    return result


def _same(known, body):
    one, other = ({**b, "metadata": {**b["metadata"], "resourceVersion": ""}} for b in (known, body))
    return one == other
