"""Whatever people change in spec and behind the operator's back, and whichever answers are lost: never two images of one name,
never one deleted that is in use, never a stranger's touched, and in the end there is the version that spec says.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.unit.kinds.opennebula_in_memory import OpenNebula, World, image, mark, resource, run
from tests.unit.kinds.test_properties import BASE, MORE, at_once

from sovereigncloud.core.outcome import Phase
from sovereigncloud.kinds.machineimage.controller import MachineImageController
from sovereigncloud.kinds.machineimage.versions import VERSION_NOTE, version_of
from sovereigncloud.ports.errors import OutsideError
from sovereigncloud.ports.opennebula.views import Image

CONTROLLER = MachineImageController()
LOSABLE = ["create_image", "delete_image", "rename_image", "set_persistent", "update_image"]
OURS = mark("MachineImage", "img").object
STRANGERS = (
    image(id=1, name="v1"),
    image(id=2, name="v2", owner=9, mark=mark("MachineImage", "img")),
    image(id=3, name="other", mark=mark("MachineImage", "img", installation="other")),
)


class Versions(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.front = OpenNebula(*STRANGERS)
        self.front.datastores[9] = replace(self.front.datastores[1], id=9, name="fast")
        self.world = World(rbx=self.front)
        self.spec: dict[str, Any] = {"name": "v1", "source": {"url": "https://x/1"}, "cloudRefs": [{"name": "rbx"}]}
        self.status: dict[str, Any] = {}
        self.generation, self.named = 1, set[str]()

    # -- a person changes spec

    def change(self, **fields: Any) -> None:
        self.spec = {**self.spec, **fields}
        self.generation += 1

    @rule(version=st.integers(1, 3))
    def declare_a_version(self, version: int) -> None:
        self.change(name=f"v{version}", source={"url": f"https://x/{version}"})

    @rule(name=st.sampled_from(["v1-b", "v2-b"]))
    def declare_a_name(self, name: str) -> None:
        self.change(name=name)

    @rule(text=st.sampled_from([None, "a", "b"]), persistent=st.sampled_from([None, True, False]))
    def declare_fields(self, text: str | None, persistent: bool | None) -> None:
        self.change(description=text, persistent=persistent)

    @rule(version=st.integers(1, 3), datastore=st.sampled_from([None, "default", "fast"]))
    def declare_another_place(self, version: int, datastore: str | None) -> None:
        self.change(name=f"v{version}-{datastore}", source={"url": f"https://x/{version}"}, datastore=datastore)

    # -- others

    @rule(names=st.sets(st.sampled_from(["v1", "v2", "v3", "v1-b"]), max_size=2))
    def instances_name(self, names: set[str]) -> None:
        self.named = names
        spec = {"vcpu": 1, "memory": "1Gi", "placement": {"cloudRef": {"name": "rbx"}}}
        users = [resource("HostedInstance", n, spec | {"source": {"image": n}}) for n in sorted(names)]
        self.world.resources = {u.key: u for u in users}

    @rule(used=st.booleans())
    def machines_use_them(self, used: bool) -> None:
        for one in self.mine():
            if one.state in {1, 2}:
                self.front.images[one.id] = replace(one, vms=(5,) if used else (), state=2 if used else 1)

    @rule(name=st.sampled_from(["oops", "v2"]))
    def somebody_renames_one(self, name: str) -> None:
        for one in self.mine()[:1]:
            if name not in {i.name for i in self.mine()}:
                self.front.images[one.id] = replace(one, name=name)

    @rule()
    def somebody_deletes_one(self) -> None:
        for one in self.mine()[:1]:
            if not one.vms:
                del self.front.images[one.id]

    @rule()
    def a_download_fails(self) -> None:
        for one in self.mine():
            if one.state == 4:
                self.front.images[one.id] = replace(one, state=5, time=0)

    @rule(verb=st.sampled_from(LOSABLE))
    def an_answer_is_lost(self, verb: str) -> None:
        self.front.lost.add(verb)

    @rule()
    def time_passes(self) -> None:
        self.front.tick()

    @rule()
    def status_is_lost(self) -> None:
        self.status = {}

    # -- the operator

    @rule()
    def the_operator_looks(self) -> None:
        self.look()

    @rule()
    def some_minutes_pass(self) -> None:
        for _ in range(4):
            self.look()
            self.front.tick()

    def look(self) -> Any:
        wanted = resource("MachineImage", "img", self.spec, self.status, generation=self.generation)
        before = dict(self.front.images)
        try:
            settled, plan, self.outcome = at_once(run(CONTROLLER, wanted, self.world))
        except OutsideError:
            return None
        self.status = settled.status.model_dump(by_alias=True, exclude_none=True)
        for number, one in before.items():
            gone = self.front.images.get(number)
            if gone is not None and gone.state == 7 and one.state != 7:
                assert not one.vms, "an image that machines use was deleted"
                assert one.name not in self.named, "an image that instances name was deleted"
        return plan

    def mine(self) -> list[Image]:
        return [i for i in self.front.images.values() if i.mark is not None and i.mark.object == OURS and i.id > 100]

    @invariant()
    def no_name_twice_and_no_stranger_touched(self) -> None:
        if not hasattr(self, "front"):
            return
        names = [i.name for i in self.mine() if i.state != 7]
        assert len(names) == len(set(names))
        for stranger in STRANGERS:
            assert self.front.images[stranger.id] == stranger

    def teardown(self) -> None:
        if not hasattr(self, "front"):
            return
        self.front.lost.clear()
        self.instances_name(set())
        self.machines_use_them(used=False)
        plan = None
        for _ in range(30):
            plan = self.look()
            self.front.tick()
        assert plan is not None
        if self.outcome.phase is Phase.STALLED:
            # Under the name of an image that is there already nothing else is made: it says so, and asks for another name.
            assert self.outcome.reason in {"WrongSource", "WrongDatastore", "NameTaken", "ImageError"}, self.outcome
            self.change(name="fresh")
            for _ in range(30):
                plan = self.look()
                self.front.tick()
        assert (plan.steps, [d for d in plan.drift if d.mendable]) == ((), []), self.outcome
        assert self.outcome.phase is Phase.DONE, self.outcome
        written = len(self.front.journal)
        assert self.look().steps == ()
        assert len(self.front.journal) == written
        (one,) = self.mine()
        wanted = resource("MachineImage", "img", self.spec, self.status)
        assert (one.name, one.notes[VERSION_NOTE]) == (wanted.outside_name, version_of(wanted))


TestVersions = Versions.TestCase
TestVersions.settings = settings(BASE, max_examples=MORE or 40, stateful_step_count=25)
