"""Objects of ours from an API server, as far as the person who asks may read them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sovereigncloud.api import KINDS
from sovereigncloud.api.common.base import Key
from sovereigncloud.commands.shared.connections import ClusterReads
from sovereigncloud.commands.shared.errors import CommandError
from sovereigncloud.engine.cache.store import key_of
from sovereigncloud.ports.errors import Auth, NotFound, OutsideError

Json = dict[str, Any]


async def load(reads: ClusterReads, namespaces: Iterable[str]) -> dict[Key, Json]:
    """Every object of ours: of all namespaces, or of these where only they may be read.

    A kind that the API server does not know (the CRDs are not installed yet) has no objects.

    Raises:
        CommandError: not even the namespaces may be read, or the API server fails.
    """
    found: dict[Key, Json] = {}
    for kind in KINDS:
        name = kind.crd.kind
        try:
            try:
                found |= {key_of(body): body async for body in reads.objects(name)}
            except Auth:
                if not kind.crd.namespaced:
                    continue  # the platform's: who may not see them is told so by what needs them
                for namespace in sorted(set(namespaces)):
                    found |= {key_of(body): body async for body in reads.objects_in(name, namespace)}
        except NotFound:
            continue
        except OutsideError as error:
            raise CommandError(f"cannot read {kind.crd.plural} from the cluster: {error}") from error
    return found
