"""What somebody changes behind the operator's back: named field by field, and mended, reported or ignored as said.

Three of each thing, alike but for their driftPolicy, are changed in the same way at the same moment.
"""

from collections import Counter
from dataclasses import dataclass, field

import pytest
from tests.integration.existing_cloud import ExistingCloud

from sovereigncloud_sandbox.stage import condition, is_ready

SETTINGS = {"sweep_interval": "1", "settle_interval": "0.3"}

CORRECT, REPORT, IGNORE = "correct", "report", "ignore"
POWERED_OFF = 8


@dataclass(frozen=True)
class Change:
    """Somebody's change to a machine or a network, and how it is to be told."""

    why: str
    thing: str
    what: str
    path: str
    desired: str
    observed: str
    arguments: dict = field(default_factory=dict)

    @property
    def kind(self):
        return "virtualnetwork" if self.what.startswith("vnet") else "hostedinstance"

    def policy(self, word):
        if word == CORRECT:
            return None
        if word == REPORT:
            return {"default": "Report"}
        return {"fields": [{"path": self.path, "action": "Ignore"}]}


CHANGES = [
    Change("a guest shut itself down", "off", "vm-power-off", "spec.power", "Running", "PoweredOff"),
    Change("less memory", "size", "vm-resize", "spec.memory", "512Mi", "256Mi", {"memory": 256}),
    Change("a card was taken out", "nic", "vm-detach-nic", "spec.networks[lan]", "attached", "absent"),
    Change("renamed", "name", "rename", "spec.name", "{name}", "not-mine", {"kind": "VM", "name": "not-mine"}),
    Change(
        "another gateway",
        "gw",
        "vnet-edit",
        "spec.gateway",
        "{ip}.1",
        "{ip}.254",
        {"attributes": {"GATEWAY": "{ip}.254"}},
    ),
    Change(
        "a smaller range",
        "ar",
        "vnet-resize-range",
        "spec.addressRanges[{ip}.10]",
        "{ip}.10+200",
        "{ip}.10+50",
        {"size": 50},
    ),
]
WORDS = (CORRECT, REPORT, IGNORE)


class Trio:
    """Three things alike, one per word of driftPolicy, as one change is done to them."""

    def __init__(self, cloud, change, number):
        self.cloud, self.change = cloud, change
        self.names = {word: f"{change.thing}-{word}" for word in WORDS}
        self.nets = {word: 40 + 3 * number + place for place, word in enumerate(WORDS)}

    def manifests(self):
        for word, name in self.names.items():
            policy = {"driftPolicy": policy} if (policy := self.filled(word, self.change.policy(word))) else {}
            if self.change.kind == "virtualnetwork":
                yield self.cloud.network(name, self.nets[word], **policy)
            else:
                yield self.cloud.instance(name, updatePolicy={"powerCycle": "Allow"}, **policy)

    def filled(self, word, value):
        """With the addresses and the name of this one."""
        if isinstance(value, dict):
            return {key: self.filled(word, inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.filled(word, inner) for inner in value]
        if isinstance(value, str):
            return value.format(ip=f"10.{self.nets[word]}.0", name=self.names[word])
        return value

    def outside(self, word):
        number = int(self.cloud.get(self.change.kind, self.names[word])["status"]["id"])
        things = (
            self.cloud.onlooker.networks() if self.change.kind == "virtualnetwork" else self.cloud.onlooker.machines()
        )
        return next(thing for thing in things if thing.id == number)

    def happen(self, word):
        which = self.outside(word).id
        key = "which" if self.change.what == "rename" else "vnet" if self.change.kind == "virtualnetwork" else "vm"
        self.cloud.mischief(self.change.what, **{key: which}, **self.filled(word, self.change.arguments))

    def entry(self, word, action):
        return {
            "path": self.filled(word, self.change.path),
            "desired": self.filled(word, self.change.desired),
            "observed": self.filled(word, self.change.observed),
            "action": action,
        }


@pytest.fixture(scope="module")
def trios(stage, paris):
    """All of them, as declared."""
    made = [Trio(paris, change, number) for number, change in enumerate(CHANGES)]
    stage.apply([manifest for trio in made for manifest in trio.manifests()])
    for trio in made:
        for name in trio.names.values():
            stage.wait_ready(trio.change.kind, name)
    return {trio.change.thing: trio for trio in made}


def entries(found):
    return [{key: value for key, value in one.items() if key != "since"} for one in found["status"].get("drift", [])]


def test_at_rest_nothing_is_written_and_nothing_is_asked_per_object(stage, paris, trios):
    paris.at_rest()
    before, asked = stage.kubernetes_writes(), stage.calls("paris")

    paris.swept(3)

    told = stage.calls("paris") - asked
    assert stage.kubernetes_writes() - before == Counter()
    assert {method for method in told if not method.endswith(("pool.info", "pool.infoextended"))} <= {
        "one.system.version",
        "one.user.info",
    }, "something was written, or asked per object"
    objects = sum(len(trio.names) for trio in trios.values())
    assert max(told.values()) <= 5 < objects, "more reads than sweeps"


@pytest.mark.parametrize("thing", [change.thing for change in CHANGES])
def test_a_change_is_named_and_mended_or_reported_or_ignored(stage, trios, thing):
    trio = trios[thing]
    kind = trio.change.kind
    before = {word: trio.outside(word) for word in WORDS}
    first = {word: stage.get(kind, name) for word, name in trio.names.items()}
    for word in WORDS:
        trio.happen(word)
    assert {word for word in WORDS if trio.outside(word) == before[word]} == set(), "nothing happened"

    reported = stage.wait(kind, trio.names[REPORT], "drifted", entries)
    assert entries(reported) == [trio.entry(REPORT, "Reported")]
    assert reported["status"]["drift"][0]["since"]
    assert reported["status"]["driftCount"] == 1
    assert (condition(reported, "Drifted")["status"], condition(reported, "Drifted")["reason"]) == (
        "True",
        "ReportOnly",
    )
    assert is_ready(reported), "a difference that is only reported does not make it unready, nor current (kstatus)"
    assert not condition(reported, "Stalled")

    ignored = stage.wait(kind, trio.names[IGNORE], "drifted", entries)
    assert entries(ignored) == [trio.entry(IGNORE, "Ignored")]
    assert "driftCount" not in ignored["status"]
    assert condition(ignored, "Drifted")["status"] == "False"
    assert is_ready(ignored)

    name = trio.names[CORRECT]
    stage.wait(
        kind, name, "mended", lambda f: is_ready(f) and not entries(f) and same(trio.outside(CORRECT), before[CORRECT])
    )
    seen = [entry for version in stage.versions(first[CORRECT]) for entry in entries(version)]
    assert trio.entry(CORRECT, "Correcting") in seen, "mended without a word"
    (told,) = [e for e in stage.events(first[CORRECT]["kind"], name) if e["reason"] == "DriftDetected"]
    assert trio.entry(CORRECT, "")["path"] in told["message"]
    for word in (REPORT, IGNORE):
        assert not same(trio.outside(word), before[word]), f"{word}: touched"


def same(one, other):
    """Whether a thing is as it was, but for notes and new addresses."""
    keys = ("MEMORY", "CPU", "VCPU", "GATEWAY", "DNS", "VLAN_ID")
    sizes = [r.get("SIZE") for r in one.vectors.get("AR", ())], [r.get("SIZE") for r in other.vectors.get("AR", ())]
    return (
        (one.name, one.state, one.networks) == (other.name, other.state, other.networks)
        and all(one.template.get(key) == other.template.get(key) for key in keys)
        and sizes[0] == sizes[1]
    )


def test_what_is_reported_is_mended_as_soon_as_spec_says_so(stage, paris, trios):
    stage.apply(paris.instance("pardon", driftPolicy={"default": "Report"}))
    stage.wait_ready("hostedinstance", "pardon")
    paris.mischief("vm-power-off", vm="pardon")
    stage.wait("hostedinstance", "pardon", "drifted", entries)
    assert paris.vm("pardon").state == POWERED_OFF

    stage.patch("hostedinstance", "pardon", {"spec": {"driftPolicy": None}})

    stage.wait("hostedinstance", "pardon", "mended", lambda f: is_ready(f) and not entries(f))
    assert paris.vm("pardon").running


def test_where_spec_says_nothing_the_guest_does_as_it_likes(stage, paris):
    stage.apply(paris.instance("free", power=None))
    stage.wait_ready("hostedinstance", "free")
    paris.mischief("vm-power-off", vm="free")

    found = stage.wait("hostedinstance", "free", "off", lambda f: f["status"]["state"] == "PoweredOff")

    assert is_ready(found)
    assert not entries(found)
    paris.swept()
    assert paris.vm("free").state == POWERED_OFF


def test_hosts_of_somebody_elses_cloud_are_only_watched(stage, make_cloud):
    lille = make_cloud("lille")
    stage.apply(lille.foundation())
    lille.wait("sovereigncloud", "lille", "2/2", lambda f: is_ready(f) and f["status"]["hostsReady"] == "2/2")
    one, other = lille.hosts
    wrote = stage.writing_calls("lille")

    lille.mischief("host-disable", host=one)
    found = lille.wait("sovereigncloud", "lille", "1/2", lambda f: f["status"]["hostsReady"] == "1/2")
    assert {host["name"]: host["state"] for host in found["status"]["hosts"]} == {one: "disabled", other: "monitored"}
    assert is_ready(found)
    lille.mischief("host-delete", host=other)
    found = lille.wait("sovereigncloud", "lille", "0/1", lambda f: f["status"]["hostsReady"] == "0/1")
    assert [host["name"] for host in found["status"]["hosts"]] == [one]
    assert is_ready(found)
    assert stage.writing_calls("lille") == wrote, "a host of somebody else was touched"


# --- what is gone


def test_a_machine_that_somebody_terminated_is_reported_and_not_made_again(stage, paris, trios):
    stage.apply(paris.instance("victim"))
    stage.wait_ready("hostedinstance", "victim")
    vm = paris.vm("victim")

    paris.mischief("vm-terminate", vm=vm.id)
    found = paris.says(
        "hostedinstance", "victim", "Stalled", "ExternallyDeleted", f"VM {vm.id}", "spec.updatePolicy.replace: Allow"
    )

    assert condition(found, "Ready")["status"] == "False"
    assert found["status"]["state"] == "Terminated"
    assert [entry["path"] for entry in entries(found)] == ["spec"]
    paris.swept()
    assert paris.onlooker.machines("victim") == []
    asked = stage.calls("paris")["one.vm.info"]
    paris.swept(3)
    assert stage.calls("paris")["one.vm.info"] - asked <= 4, "asked for it more often than once per sweep"

    stage.patch("hostedinstance", "victim", {"spec": {"updatePolicy": {"replace": "Allow"}}})
    found = stage.wait_ready("hostedinstance", "victim")
    assert found["status"]["id"] == str(paris.vm("victim").id) != str(vm.id)


def test_with_consent_it_is_made_again_once(stage, paris, trios):
    stage.apply(paris.instance("hydra", updatePolicy={"replace": "Allow"}))
    stage.wait_ready("hostedinstance", "hydra")
    vm = paris.vm("hydra")

    paris.mischief("vm-terminate", vm=vm.id)

    stage.wait("hostedinstance", "hydra", "another", lambda f: is_ready(f) and f["status"]["id"] != str(vm.id))
    assert len(paris.onlooker.machines("hydra", even_done=True)) == 2


def test_a_network_and_an_image_that_somebody_deleted_are_made_again(stage, paris):
    stage.apply([paris.network("lost-lan", 60), paris.image("lost-image")])
    network = stage.wait_ready("virtualnetwork", "lost-lan")["status"]["id"]
    stage.wait_ready("machineimage", "lost-image")
    (image,) = paris.onlooker.images("lost-image")

    paris.mischief("vnet-delete", vnet="lost-lan")
    found = stage.wait(
        "virtualnetwork", "lost-lan", "made again", lambda f: is_ready(f) and f["status"]["id"] != network
    )
    assert [str(one.id) for one in paris.onlooker.networks("lost-lan")] == [found["status"]["id"]]

    paris.mischief("image-delete", image=image.id)
    stage.wait(
        "machineimage",
        "lost-image",
        "made again",
        lambda f: is_ready(f) and f["status"]["clouds"][0]["id"] != str(image.id),
    )
    assert len(paris.onlooker.images("lost-image")) == 1


def test_a_size_that_needs_a_restart_to_be_mended_waits_for_consent(stage, paris):
    stage.apply(paris.instance("shrunk"))
    stage.wait_ready("hostedinstance", "shrunk")
    paris.mischief("vm-resize", vm="shrunk", memory=256)

    found = paris.says(
        "hostedinstance", "shrunk", "Reconciling", "ApprovalRequired", "spec.updatePolicy.powerCycle: Allow"
    )
    assert [(d["path"], d["observed"]) for d in found["status"]["drift"]] == [("spec.memory", "256Mi")]
    assert condition(found, "Ready")["status"] == "True", "it runs, and nothing of spec was changed"
    paris.swept()
    assert (paris.vm("shrunk").running, paris.vm("shrunk").template["MEMORY"]) == (True, "256")

    stage.patch("hostedinstance", "shrunk", {"spec": {"updatePolicy": {"powerCycle": "Allow"}}})
    stage.wait("hostedinstance", "shrunk", "mended", lambda f: is_ready(f) and not entries(f))
    assert (paris.vm("shrunk").running, paris.vm("shrunk").template["MEMORY"]) == (True, "512")


# --- the brakes

MANY = 50


@pytest.fixture(scope="module")
def crowded(stage):
    """A cloud with so many machines, all of which may be made again."""
    cloud = ExistingCloud(stage, "crowded")
    stage.apply(
        [*cloud.foundation(), cloud.image("crowd-image", name="alpine"), cloud.network("crowd-lan", 33, name="lan")]
    )
    names = [f"many-{number}" for number in range(MANY)]
    stage.apply([cloud.instance(name, memory="64Mi", updatePolicy={"replace": "Allow"}) for name in names])
    for name in names:
        stage.wait_ready("hostedinstance", name)
    return cloud, names


def test_a_pool_that_answers_empty_is_believed_by_nobody_and_heals_by_itself(stage, crowded):
    cloud, names = crowded
    before = cloud.onlooker.machines()
    ids = {name: stage.get("hostedinstance", name)["status"]["id"] for name in names}
    wrote = stage.writing_calls("crowded")

    cloud.mischief("empty-pool")
    try:
        words = (f"{MANY} changes", "HostedInstance platform/many-0", "spec.approvedPlan")
        cloud.says("sovereigncloud", "crowded", "Stalled", "TooManyChanges", *words)
        cloud.swept()
        assert stage.writing_calls("crowded") == wrote, "something was done"
        assert {name: stage.get("hostedinstance", name)["status"]["id"] for name in names} == ids
    finally:
        cloud.mischief("empty-pool", empty=False)

    found = stage.wait_ready("sovereigncloud", "crowded")
    assert not condition(found, "Stalled")
    for name in names:
        stage.wait_ready("hostedinstance", name)
    assert cloud.onlooker.machines() == before
    assert stage.writing_calls("crowded") == wrote


def test_fifty_terminated_at_once_wait_for_a_persons_word(stage, crowded):
    cloud, names = crowded
    ids = {stage.get("hostedinstance", name)["status"]["id"] for name in names}
    wrote = stage.writing_calls("crowded")

    cloud.mischief("vm-terminate-all")
    found = cloud.says("sovereigncloud", "crowded", "Stalled", "TooManyChanges", f"{MANY} changes", "spec.approvedPlan")
    cloud.swept()
    assert stage.writing_calls("crowded") == wrote, "something was done"
    assert cloud.onlooker.machines() == []

    stage.patch("sovereigncloud", "crowded", {"spec": {"approvedPlan": "not-it"}})
    cloud.swept()
    assert stage.writing_calls("crowded") == wrote, "another word let it go on"

    digest = condition(stage.get("sovereigncloud", "crowded"), "Stalled")["message"].rpartition(" ")[2]
    stage.patch("sovereigncloud", "crowded", {"spec": {"approvedPlan": digest}})
    for name in names:
        stage.wait("hostedinstance", name, "made again", lambda f: is_ready(f) and f["status"]["id"] not in ids)
    found = stage.wait_ready("sovereigncloud", "crowded")
    assert not condition(found, "Stalled")
    machines = cloud.onlooker.machines()
    assert sorted(vm.name for vm in machines) == sorted(names)


def test_the_operator_met_nothing_that_it_did_not_expect(stage):
    assert "Traceback" not in stage.log()
