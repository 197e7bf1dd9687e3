"""With which Secret a cloud is entered that joined a federation or left one, told by nothing but who is let in."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from tests.unit.kinds.federation_scene import ENDPOINT, RBX, cloud_spec, master, slave

from sovereigncloud.api.sovereigncloud import SovereignCloud
from sovereigncloud.kinds.endpoint.endpoint import endpoint_of
from sovereigncloud.kinds.endpoint.federated_login import entered_otherwise
from sovereigncloud.ports.errors import Auth, MissingSecret, Retry
from sovereigncloud.ports.opennebula.views import Front


def cloud(name: str, **status: Any) -> Any:
    meta = {"name": name, "namespace": "team"}
    return SovereignCloud.model_validate(
        {"metadata": meta, "spec": cloud_spec(name), "status": {"endpoint": ENDPOINT[name], **status}}
    )


class World:
    """`opens`: the Secrets that the front-end of rbx lets in."""

    def __init__(self, *opens: str, zones: tuple[Any, ...] = (master(), slave())) -> None:
        self.opens, self.asked, self.down = opens, list[str](), False
        clouds = (cloud("paris"), cloud("rbx"))
        self.there = {one.key: one for one in (*clouds, *zones)}

    def get(self, key: Any) -> Any:
        return self.there.get(key)

    def users(self, key: Any, *kinds: str) -> list[Any]:
        return [one for one in self.there.values() if one.key.kind in kinds and one.spec.cloud_ref.name == key.name]

    async def open_nebula_with(self, key: Any, secret: str) -> Any:
        assert key == RBX
        self.asked.append(secret)
        if secret == "paris-one" and self.down:
            raise MissingSecret("gone")

        async def front() -> Front:
            if secret not in self.opens:
                raise Auth("User couldn't be authenticated, aborting call.")
            return Front("7.0", 100, "rbx", 0)

        return SimpleNamespace(front=front)


ROWS: list[tuple[str, dict[str, Any], World, tuple[str, str] | None, list[str]]] = [
    ("it joined: the master's lets in", {}, World("paris-one"), ("paris-one", "paris-one"), ["paris-one"]),
    ("it was made anew by hand: its own lets in again", {"federationSecret": "paris-one"}, World("rbx-one"), ("rbx-one", ""), ["rbx-one"]),
    ("neither does: somebody changed a password", {}, World(), None, ["paris-one"]),
    ("it is in no federation", {}, World("paris-one", zones=()), None, []),
    ("its master is not there", {}, World("paris-one", zones=(slave(),)), None, []),
]  # fmt: skip


@pytest.mark.parametrize(("why", "status", "world", "found", "asked"), ROWS, ids=[row[0] for row in ROWS])
async def test_who_is_let_in(why: str, status: dict[str, Any], world: Any, found: Any, asked: list[str]) -> None:
    entered = await entered_otherwise(cloud("rbx", **status), world)
    assert (None if entered is None else (entered.secret, entered.federation)) == found, why
    assert world.asked == asked, why


async def test_a_secret_that_is_missing_is_no_answer_and_silence_is_none_either() -> None:
    world: Any = World("paris-one")
    world.down = True
    assert await entered_otherwise(cloud("rbx"), world) is None

    async def silent(*_: Any) -> Any:
        raise Retry("no answer in time")

    world.open_nebula_with = silent
    with pytest.raises(Retry):
        await entered_otherwise(cloud("rbx"), world)


def test_what_status_tells_is_used_from_then_on() -> None:
    def where(**status: Any) -> Any:
        return endpoint_of(cloud("rbx", **status), lambda _: None)

    assert (where().secret, where(federationSecret="paris-one").secret) == ("rbx-one", "paris-one")
    assert where(federationSecret="paris-one").url == ENDPOINT["rbx"]
