"""Kubernetes as it would be: what the operator would write there is kept in memory, nothing is sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from sovereigncloud.api.common.base import Key
from sovereigncloud.commands.plan.apply_preview import applied
from sovereigncloud.commands.shared.connections import ClusterReads
from sovereigncloud.engine.cache.store import Store
from sovereigncloud.ports.admission import Binding
from sovereigncloud.ports.errors import MissingSecret

Json = dict[str, Any]
_MADE_THEN = "(made when the plan is carried out)"


class ImaginedKubernetes:
    """The port `Kubernetes`, over Secrets from files, then those of the cluster, and a store.

    So the children that a SovereignCloud composes can be planned before they exist: the operator's own step puts them into
    the store here.
    """

    def __init__(
        self,
        store: Store,
        put: Callable[[Json], None],
        secrets: Mapping[tuple[str, str], Mapping[str, str]],
        reads: ClusterReads | None,
        deleted_at: str,
    ) -> None:
        self._store, self._put, self._reads, self._deleted_at = store, put, reads, deleted_at
        self._secrets = dict(secrets)
        self.touched: dict[Key, None] = {}
        """Objects that were put here, in order."""

    async def secret(self, namespace: str, name: str) -> Mapping[str, str]:
        if (namespace, name) in self._secrets:
            return self._secrets[namespace, name]
        if self._reads is None:
            raise MissingSecret(
                f"Secret {namespace}/{name} is not in the files, and no cluster is asked: add its manifest to -f"
            )
        return await self._reads.secret(namespace, name)

    async def create_secret(
        self, namespace: str, name: str, values: Mapping[str, str], labels: Mapping[str, str]
    ) -> bool:
        del labels
        try:
            await self.secret(namespace, name)
        except MissingSecret:
            self._secrets[namespace, name] = dict(values)
            return True
        return False

    async def generate_login(self, namespace: str, name: str, username: str, labels: Mapping[str, str]) -> bool:
        return await self.create_secret(namespace, name, {"username": username, "password": _MADE_THEN}, labels)

    async def generate_credentials(self, namespace: str, name: str, username: str, labels: Mapping[str, str]) -> bool:
        later = dict.fromkeys(("password", "sshPrivateKey", "sshPublicKey"), _MADE_THEN)
        return await self.create_secret(namespace, name, {"username": username, **later}, labels)

    async def delete_secret(self, namespace: str, name: str) -> None:
        """What is deleted at the end of a plan is read no more in it."""

    @property
    def admission(self) -> ImaginedAdmission:
        """Nothing is bound yet, and nothing is sent."""
        return ImaginedAdmission()

    async def apply(self, manifest: Mapping[str, object]) -> None:
        metadata: Any = manifest["metadata"]
        key = Key(str(manifest["kind"]), metadata["namespace"], metadata["name"])
        stored = self._store.stored(key)
        live = stored.body() if stored else None
        # What another manager set on it stays, as with server-side apply.
        spec = {**(live["spec"] if live else {}), **cast(Json, manifest["spec"])}
        body = applied(key, {**manifest, "spec": spec}, live)
        body["metadata"]["ownerReferences"] = metadata.get("ownerReferences", [])
        self._put(body)
        self.touched[key] = None

    async def delete(self, kind: str, namespace: str, name: str) -> None:
        key = Key(kind, namespace, name)
        stored = self._store.stored(key)
        if stored is None:
            return
        body = stored.body()
        body["metadata"] |= {
            "deletionTimestamp": self._deleted_at,
            "resourceVersion": f"{stored.version}+deleted",
        }
        self._put(body)
        self.touched[key] = None


class ImaginedAdmission:
    """The port `Admission`: as before the operator saw a policy. Whether its bindings are there, only a cluster could tell."""

    async def installed(self, policy: str) -> bool:
        return bool(policy)

    async def binding(self, name: str) -> Binding | None:
        del name
        return None

    async def put_binding(self, binding: Binding) -> None:
        """It would be made then."""

    async def delete_binding(self, name: str) -> None:
        """As above."""
