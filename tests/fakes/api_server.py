"""An API server in memory: status subresource, versions, generations, finalizers, Secrets, owners; told with a lag."""

import asyncio
import copy
from collections import deque

from sovereigncloud.api.common.base import FINALIZER
from sovereigncloud.engine.cache.store import key_of
from sovereigncloud.ports.errors import Conflict, MissingSecret, NotFound, Rejected

_GONE_AT = "2026-11-24T10:00:00Z"


def apply_patch(target, patch):
    """RFC 7386."""
    out = dict(target)
    for name, value in patch.items():
        if value is None:
            out.pop(name, None)
        elif isinstance(value, dict):
            out[name] = apply_patch(out[name] if isinstance(out.get(name), dict) else {}, value)
        else:
            out[name] = value
    return out


class ApiServer:
    """What the engine writes to, and what a person does with kubectl.

    Attributes:
        writes: (verb, key or Secret, body) of all that the engine wrote.
        failing: verb -> how the next calls end: (error, done all the same).
        going: kinds whose CRD is being deleted.
        point: called before and after each effect: where a crash may come.
    """

    def __init__(self, lag=0.01):
        self.objects, self.secrets, self.events, self.counted_up = {}, {}, [], []
        self.writes, self.failing, self.going = [], {}, set()
        self.lag, self.listeners, self.version = lag, [], 100
        self.point = None

    # --- a person --------------------------------------------------------------------------------------------------------

    def apply(self, body):
        """kubectl apply."""
        key = key_of(body)
        known = self.objects.get(key)
        if known is None:
            made = copy.deepcopy(body)
            made["metadata"] |= {"generation": 1, "uid": f"{body['metadata']['uid']}-{self.version}"}
            made["status"] = {"observedGeneration": -1, **(body.get("status") or {})}
            return self._store(made, "ADDED")
        changed = copy.deepcopy(known)
        changed["spec"] = copy.deepcopy(body["spec"])
        for part in ("labels", "annotations"):
            if part in body["metadata"]:
                changed["metadata"][part] = body["metadata"][part]
        return self._changed(known, changed)

    def edit(self, key, *, spec=None, status=None, annotations=None):
        """kubectl edit: a patch of spec, of somebody else's status, of annotations."""
        known = self.objects[key]
        changed = copy.deepcopy(known)
        changed["spec"] = apply_patch(changed["spec"], spec or {})
        changed["status"] = apply_patch(changed["status"], status or {})
        changed["metadata"]["annotations"] = apply_patch(
            changed["metadata"].get("annotations") or {}, annotations or {}
        )
        return self._changed(known, changed)

    def delete(self, key, *, foreground=False):
        """kubectl delete."""
        known = self.objects[key]
        changed = copy.deepcopy(known)
        metadata = changed["metadata"]
        metadata.setdefault("deletionTimestamp", _GONE_AT)
        if foreground:
            metadata["finalizers"] = [*metadata.get("finalizers", []), "foregroundDeletion"]
        self._changed(known, changed)
        if foreground:
            for child in self._children(key):
                self.delete(child)
            self._collect()

    def let_go(self, key):
        """Take our finalizer off, as another program than the engine may."""
        changed = copy.deepcopy(self.objects[key])
        changed["metadata"]["finalizers"] = [f for f in self.finalizers(key) if f != FINALIZER]
        self._changed(self.objects[key], changed)

    def lose(self, key):
        """kubectl delete, at the moment in which a finalizer is put on it: the API server may let it go at once."""
        body = self.objects.pop(key)
        self.version += 1
        body["metadata"]["resourceVersion"] = str(self.version)
        self._tell("DELETED", body)

    def create(self, namespace, name, values):
        self.secrets[namespace, name] = {"data": dict(values), "finalizers": [], "going": False}

    def delete_a_secret(self, namespace, name):
        secret = self.secrets[namespace, name]
        secret["going"] = True
        self._end_secret((namespace, name))

    # --- what the engine is told -----------------------------------------------------------------------------------------

    def listed(self):
        return [copy.deepcopy(body) for body in self.objects.values()]

    def _tell(self, event, body):
        told = copy.deepcopy(body)
        for listener in list(self.listeners):
            asyncio.get_running_loop().call_later(self.lag, listener, event, told)

    def _store(self, body, event):
        self.version += 1
        body["metadata"]["resourceVersion"] = str(self.version)
        key = key_of(body)
        if body["metadata"].get("deletionTimestamp") and not body["metadata"].get("finalizers"):
            del self.objects[key]
            self._tell("DELETED", body)
            for child in self._children(key, body["metadata"]["uid"]):
                self.delete(child)
            self._collect()
        else:
            self.objects[key] = body
            self._tell(event, body)
        return copy.deepcopy(body)

    def _changed(self, known, changed):
        if changed["spec"] != known["spec"] or (
            changed["metadata"].get("deletionTimestamp") and not known["metadata"].get("deletionTimestamp")
        ):
            changed["metadata"]["generation"] += 1
        if changed == known:
            return copy.deepcopy(known)  # a no-op gives no new version and no event
        return self._store(changed, "MODIFIED")

    def _children(self, key, uid=""):
        uid = uid or self.objects[key]["metadata"]["uid"]
        return [
            k
            for k, body in self.objects.items()
            if any(r["uid"] == uid for r in body["metadata"].get("ownerReferences", []))
            and not body["metadata"].get("deletionTimestamp")
        ]

    def _collect(self):
        """The garbage collector: a foreground deletion ends when no child is left."""
        for key, body in list(self.objects.items()):
            uid = body["metadata"]["uid"]
            blocked = any(
                r["uid"] == uid for other in self.objects.values() for r in other["metadata"].get("ownerReferences", [])
            )
            if "foregroundDeletion" in body["metadata"].get("finalizers", []) and not blocked:
                changed = copy.deepcopy(body)
                changed["metadata"]["finalizers"].remove("foregroundDeletion")
                if key in self.objects:
                    self._store(changed, "MODIFIED")

    # --- what the engine writes ------------------------------------------------------------------------------------------

    async def patch_status(self, kind, namespace, name, version, patch):
        def effect():
            known = self._get(kind, namespace, name)
            if known["metadata"]["resourceVersion"] != version:
                raise Conflict("the object has been modified")
            changed = copy.deepcopy(known)
            changed["status"] = apply_patch(changed["status"], patch)
            paths = [d["path"] for d in changed["status"].get("drift") or []]
            if len(set(paths)) != len(paths):
                raise Rejected("status.drift: Duplicate value")
            self.writes.append(("status", key_of(known), patch))
            return self._changed(known, changed)

        return await self._call("status", effect)

    async def patch_finalizers(self, kind, namespace, name, version, finalizers):
        def effect():
            known = self._get(kind, namespace, name)
            if known["metadata"]["resourceVersion"] != version:
                raise Conflict("the object has been modified")
            if known["metadata"].get("deletionTimestamp") and set(finalizers) - set(
                known["metadata"].get("finalizers", [])
            ):
                raise Rejected("no new finalizers can be added if the object is being deleted")
            changed = copy.deepcopy(known)
            changed["metadata"]["finalizers"] = list(finalizers)
            self.writes.append(("finalizers", key_of(known), finalizers))
            return self._changed(known, changed)

        return await self._call("finalizers", effect)

    async def guard_secret(self, namespace, name, *, hold):
        def effect():
            secret = self.secrets.get((namespace, name))
            if secret is None:
                return False
            if hold != (FINALIZER in secret["finalizers"]) and not (hold and secret["going"]):
                self.writes.append(("secret", (namespace, name), hold))
                secret["finalizers"] = [FINALIZER] if hold else []
                self._end_secret((namespace, name))
            return True

        return await self._call("secret", effect)

    async def kind_is_going(self, kind):
        return await self._call("crd", lambda: kind in self.going)

    async def patch_event(self, namespace, name, patch):
        self.counted_up.append((namespace, name, patch))

    async def create_event(self, namespace, body):
        self.events.append((body["involvedObject"]["name"], body["type"], body["reason"], body["message"]))

    async def secret(self, namespace, name):
        def effect():
            secret = self.secrets.get((namespace, name))
            if secret is None:
                raise MissingSecret(f"Secret {namespace}/{name} does not exist: create it")
            return dict(secret["data"])

        return await self._call("read secret", effect)

    def _get(self, kind, namespace, name):
        found = self.objects.get((kind, namespace, name))
        if found is None:
            raise NotFound(f'{kind} "{name}" not found')
        return found

    def _end_secret(self, place):
        secret = self.secrets[place]
        if secret["going"] and not secret["finalizers"]:
            del self.secrets[place]

    async def _call(self, verb, effect):
        await self._may_crash(f"before {verb}")
        await asyncio.sleep(0.001)
        queue = self.failing.get(verb)
        error, done = queue.popleft() if queue else (None, True)
        result = effect() if done else None
        if error is not None:
            raise error
        await self._may_crash(f"after {verb}")
        return result

    async def _may_crash(self, where):
        if self.point is not None:
            await self.point(where)

    def fail(self, verb, error, *, done=False, times=1):
        self.failing.setdefault(verb, deque()).extend([(error, done)] * times)

    # --- what tests ask --------------------------------------------------------------------------------------------------

    def status(self, key):
        return self.objects[key]["status"]

    def condition(self, key, kind="Ready"):
        found = (c for c in self.status(key).get("conditions", []) if c["type"] == kind)
        return next(found, {"status": "", "reason": "", "message": ""})

    def finalizers(self, key):
        return self.objects[key]["metadata"].get("finalizers", [])

    def patches(self, key=None):
        return [w for w in self.writes if w[0] in {"status", "finalizers"} and key in {None, w[1]}]
