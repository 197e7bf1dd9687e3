"""Policies in the running engine: who is judged anew and when, what is counted, what stands at the API server, and rest."""

from datetime import UTC, datetime

import pytest
from tests.fakes import objects
from tests.fakes.objects import CLOUD, NAMESPACE, key
from tests.fakes.policies import PolicyBench, named, policy
from tests.fakes.virtual_time import run

from sovereigncloud.engine.cache.namespaces import Namespaces
from sovereigncloud.engine.cache.store import Store
from sovereigncloud.engine.policy.bindings import Borders
from sovereigncloud.engine.telemetry.metric_catalogue import COMPLIANCE
from sovereigncloud.kinds.contract.controller import Uses
from sovereigncloud.kinds.sovereigntypolicy.admission import IMAGES, INSTANCES, NAMESPACES
from sovereigncloud.sovereignty.verdict import Judged

RESTRICTED = {"namespaceSelector": {"matchLabels": {"data-class": "restricted"}}}


def story(test):
    def wrapper():
        async def body():
            await test(PolicyBench())

        run(body())

    wrapper.__name__, wrapper.__doc__ = test.__name__, test.__doc__
    return wrapper


async def judged(b, *names, **spec):
    await b.running(*(names or ("web",)))
    b.label(NAMESPACE, **{"data-class": "restricted"})
    b.api.apply(policy(**spec))
    await b.after(6)


@story
async def test_a_new_policy_is_judged_by_at_once_and_nothing_outside_is_read_for_it(b):
    b.machines.countries["db"] = "CA"
    await b.running("web", "db")
    b.label(NAMESPACE)
    await b.after(61)
    reads = b.outside.views
    b.api.apply(policy())
    await b.after(4)
    assert (b.compliant("web"), b.compliant("db")) == ("True", "False")
    assert (
        "breaks SovereigntyPolicy fr: residency.compute: host one-1 is in CA"
        in b.api.condition(key("db"), "Compliant")["message"]
    )
    assert b.outside.views == reads
    await b.after(4)
    status = b.api.status(named("fr"))
    assert (status["compliant"], status["enforcement"], status["countries"]) == ("1/2", "Audit", "FR")
    counted = {
        c: b.metrics.registry.get_sample_value("sovereign_policy_objects", {"kind": "HostedInstance", "compliant": c})
        for c in COMPLIANCE
    }
    assert counted == {"True": 1, "False": 1, "Unknown": 0}
    told = [event[:3] for event in b.api.events if event[2] == "ResidencyViolation"]
    assert told == [("db", "Warning", "ResidencyViolation")]
    await b.after(300)
    assert [event[:3] for event in b.api.events if event[2] == "ResidencyViolation"] == told, "once"


@story
async def test_at_rest_nothing_is_written_and_no_machine_compared(b):
    await judged(b, "web", "db")
    await b.after(200)
    b.quiet()
    looks, b.admission.writes = b.machines.looks, []
    await b.after(600)
    assert (b.api.writes, b.admission.writes, b.api.events) == ([], [], [])
    assert b.machines.looks == looks


@story
async def test_a_label_binds_and_frees_at_once(b):
    await judged(b, appliesTo=RESTRICTED)
    assert b.compliant("web") == "True"
    b.label(NAMESPACE, **{"data-class": "open"})
    await b.after(3)
    assert b.compliant("web") == "", "nobody asks anything of it any more"
    b.label(NAMESPACE, **{"data-class": "restricted"})
    await b.after(3)
    assert b.compliant("web") == "True"


@story
async def test_a_namespace_of_which_nobody_told_is_bound(b):
    await b.running()
    b.api.apply(policy(appliesTo=RESTRICTED))
    await b.after(3)
    assert b.compliant("web") == "True"


@story
async def test_another_spec_is_judged_by_at_once_and_a_deleted_one_no_more(b):
    await judged(b)
    b.api.edit(named("fr"), spec={"residency": {"allowedCountries": ["DE"]}})
    await b.after(3)
    assert b.compliant("web") == "False"
    b.api.delete(named("fr"))
    await b.after(5)
    assert named("fr") not in b.api.objects
    assert b.compliant("web") == ""
    assert b.admission.bindings == {}


@story
async def test_a_day_that_passes_is_noticed(b):
    """The clock of the bench begins on 2026-11-24."""
    let_be = {
        "rule": "residency.compute",
        "namespace": NAMESPACE,
        "reason": "4711",
        "approvedBy": "dpo",
        "expires": "2026-11-24",
    }
    b.machines.countries["web"] = "CA"
    await judged(b, exceptions=[let_be])
    assert b.api.condition(key("web"), "Compliant")["reason"] == "ExceptionGranted"
    assert b.api.status(named("fr"))["liveExceptions"] == [f"{NAMESPACE}/*"]
    await b.after(86_400)
    assert b.api.condition(key("web"), "Compliant")["reason"] == "ExceptionExpired"
    assert "liveExceptions" not in b.api.status(named("fr"))


@story
async def test_where_a_machine_breaks_it_the_cloud_is_held_until_it_is_over(b):
    b.machines.countries["web"] = "CA"
    await judged(b, enforcement="Enforce", onViolation="Hold")
    await b.after(5)
    assert b.api.status(named("fr"))["heldClouds"] == [f"{NAMESPACE}/{CLOUD.name}"]
    b.machines.countries["web"] = "FR"
    b.api.edit(key("web"), annotations={"sovereigncloud.io/reconcile-requested-at": "now"})
    await b.after(10)
    assert "heldClouds" not in b.api.status(named("fr"))


@story
async def test_bindings_stand_and_are_mended_and_go_with_what_asked_for_them(b):
    await judged(b, appliesTo=RESTRICTED, enforcement="Enforce", residency={"allowedCountries": ["FR"]})
    names = {f"fr.{to}" for to in (INSTANCES, IMAGES, NAMESPACES)}
    assert set(b.admission.bindings) == names
    assert {tuple(one["spec"]["validationActions"]) for one in b.admission.bindings.values()} == {("Deny",)}
    binding = b.admission.bindings[f"fr.{INSTANCES}"]
    assert binding["spec"]["matchResources"]["namespaceSelector"] == {"matchLabels": {"data-class": "restricted"}}
    assert binding["spec"]["paramRef"] == {"name": "fr", "parameterNotFoundAction": "Deny"}
    b.admission.bindings[f"fr.{INSTANCES}"] = {**binding, "spec": {**binding["spec"], "validationActions": ["Warn"]}}
    del b.admission.bindings[f"fr.{IMAGES}"]
    await b.after(125)
    assert b.admission.bindings[f"fr.{INSTANCES}"] == binding, "what somebody changed is put right"
    assert set(b.admission.bindings) == names
    b.api.edit(named("fr"), spec={"enforcement": "Audit", "residency": {"covers": ["compute"]}, "appliesTo": None})
    await b.after(5)
    assert set(b.admission.bindings) == {f"fr.{INSTANCES}"}
    assert b.admission.bindings[f"fr.{INSTANCES}"]["spec"]["validationActions"] == ["Warn", "Audit"]


@story
async def test_without_the_charts_policies_an_enforced_one_says_that_nothing_refuses(b):
    b.admission.policies.clear()
    await judged(b, enforcement="Enforce")
    assert b.reason(named("fr")) == "Stalled/AdmissionMissing"
    assert b.admission.bindings == {}
    b.admission.policies.update((INSTANCES, IMAGES, NAMESPACES))
    await b.after(125)
    assert b.ready(named("fr"))
    assert f"fr.{INSTANCES}" in b.admission.bindings


@story
async def test_two_that_leave_nothing_are_told_by_name(b):
    await judged(b)
    b.api.apply(policy("de", countries=["DE"]))
    await b.after(8)
    for one, other in (("fr", "de"), ("de", "fr")):
        condition = b.api.condition(named(one), "Satisfiable")
        assert (condition["status"], condition["reason"]) == ("False", "PolicyConflict")
        assert f"SovereigntyPolicy {one} and SovereigntyPolicy {other}" in condition["message"]
    b.api.edit(named("de"), spec={"appliesTo": {"namespaceSelector": {"matchLabels": {"data-class": "other"}}}})
    await b.after(8)
    assert b.api.condition(named("fr"), "Satisfiable")["status"] == "True", "they bind no namespace together any more"


@story
async def test_a_country_that_is_none_is_said(b):
    await judged(b, countries=["UK"])
    assert b.reason(named("fr")) == "Stalled/InvalidSpec"
    assert "write GB" in b.message(named("fr"))


@story
async def test_a_profile_tells_what_ends_on_the_day_that_it_does(b):
    certificate = {"scheme": "ISO27001", "validUntil": "2026-11-24"}
    b.api.apply(
        objects.body(
            "ProviderProfile", "ovh", {"legalEntity": {"name": "OVH SAS", "country": "FR"}, "certifications": [certificate]},
            namespace="",
        )
    )  # fmt: skip
    await b.start()
    await b.after(5)
    profile = named("ovh", "ProviderProfile")
    assert b.ready(profile)
    assert b.api.status(profile)["expiring"] == ["ISO27001"]
    b.quiet()
    await b.after(80_000)
    assert b.api.writes == []
    await b.after(6_500)
    assert b.api.status(profile)["expired"] == ["ISO27001"]
    assert "expiring" not in b.api.status(profile)
    assert "the last day of ISO27001 has passed" in b.message(profile)


def test_an_image_counts_once_wherever_it_is_wanted_and_only_where_it_is_bound():
    store, namespaces = Store(), Namespaces()
    elsewhere = [{"name": "paris", "namespace": NAMESPACE}]
    for name, spec in (("here", {"clouds": elsewhere}), ("nowhere", {"clouds": [{"name": "x", "namespace": "y"}]})):
        store.put(policy(name, appliesTo=spec))
    judged = {"conditions": [objects.condition("Compliant", "False", message="breaks SovereigntyPolicy here: ...")]}
    image, _ = store.put(objects.body("MachineImage", "alpine", {"cloudRefs": [{"name": "paris"}]}, status=judged))
    store.set_uses(image, Uses(objects=(key("lyon", "SovereignCloud"), CLOUD)))
    borders = Borders(store, namespaces, lambda: datetime(2026, 11, 24, tzinfo=UTC))
    assert borders.judged("here") == (Judged(image, CLOUD, "False", ("here",)),)
    assert borders.judged("nowhere") == ()
    before = borders.of(NAMESPACE, CLOUD)
    store.put(
        policy("here", appliesTo={"clouds": elsewhere})
        | {"status": {"compliant": "0/1"}, "metadata": {"name": "here", "uid": "u", "resourceVersion": "9"}}
    )
    assert borders.of(NAMESPACE, CLOUD)[0] is before[0], (
        "what says the same is the very same, so that nobody compares anew"
    )


TOGETHER = [
    ("alone", {"a": {}}, [["a"]]),
    ("both bind everything", {"a": {}, "b": {}}, [["a", "b"]]),
    ("the other one binds another namespace", {"a": {}, "b": {"namespaceSelector": {"matchLabels": {"x": "no"}}}}, [["a"]]),
    ("in one namespace they do", {"a": {}, "b": {"namespaceSelector": {"matchLabels": {"x": "1"}}}}, [["a"], ["a", "b"]]),
    ("in one cloud they do", {"a": {}, "b": {"clouds": [{"name": "paris", "namespace": NAMESPACE}]}}, [["a"], ["a", "b"]]),
    ("in other clouds", {"a": {"clouds": [{"name": "paris", "namespace": NAMESPACE}]}, "b": {"clouds": [{"name": "lyon", "namespace": NAMESPACE}]}}, [["a"]]),
]  # fmt: skip


@pytest.mark.parametrize(("why", "bound", "groups"), TOGETHER, ids=[t[0] for t in TOGETHER])
def test_which_policies_bind_together(why, bound, groups):
    store, namespaces = Store(), Namespaces()
    namespaces.listed({"one": {"x": "1"}, "two": {}})
    for name in ("paris", "lyon"):
        store.put(objects.cloud(name))
    for name, applies_to in bound.items():
        store.put(policy(name, appliesTo=applies_to))
    borders = Borders(store, namespaces, lambda: datetime(2026, 11, 24, tzinfo=UTC))
    assert [[rules.policy for rules in group] for group in borders.beside("a")] == groups, why


@story
async def test_of_three_that_leave_nothing_together_all_are_named(b):
    await judged(b, countries=["FR", "DE"])
    b.api.apply(policy("de", countries=["DE", "PL"]))
    b.api.apply(policy("pl", countries=["PL", "FR"]))
    await b.after(10)
    said = b.api.condition(named("fr"), "Satisfiable")
    assert said["status"] == "False"
    assert all(f"SovereigntyPolicy {name}" in said["message"] for name in ("fr", "de", "pl"))
