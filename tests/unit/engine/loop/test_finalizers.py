"""A Secret is let go by the last of its users, also where the last two end at once."""

import asyncio

from tests.fakes.objects import NAMESPACE, key, server

from sovereigncloud.api.common.base import FINALIZER
from sovereigncloud.engine.cache.store import Store
from sovereigncloud.engine.loop.finalizers import Guards
from sovereigncloud.engine.loop.history import ObjectHistory
from sovereigncloud.kinds import CONTROLLERS


class Writer:
    """An API server that takes its time: whoever asks meanwhile sees what was before."""

    def __init__(self, store):
        self.store, self.let_go = store, []

    async def patch_finalizers(self, kind, namespace, name, version, finalizers):
        await asyncio.sleep(0.01)
        body = self.store.stored(key(name, kind)).body()
        return {**body, "metadata": {**body["metadata"], "resourceVersion": "9", "finalizers": finalizers}}

    async def guard_secret(self, namespace, name, *, hold):
        await asyncio.sleep(0.01)
        self.let_go += [] if hold else [(namespace, name)]
        return True


async def test_two_last_users_that_end_at_once_let_their_secret_go():
    store = Store()
    for name in ("one-1", "one-2"):
        deleted = {"finalizers": [FINALIZER], "deletionTimestamp": "2026-11-24T10:00:00Z"}
        where, _ = store.put(server(name, secret="ovh", **deleted))
        store.set_uses(where, CONTROLLERS["BareMetalServer"].uses(store.get(where)))
    writer = Writer(store)
    guards = Guards(CONTROLLERS, store, writer, store.put)
    servers = [store.get(key(name, "BareMetalServer")) for name in ("one-1", "one-2")]
    await asyncio.gather(*(guards.release(one, ObjectHistory(one.metadata.uid)) for one in servers))
    assert writer.let_go == [(NAMESPACE, "ovh")]
