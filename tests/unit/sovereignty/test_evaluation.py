"""Whether what is known meets what a policy asks for: a sentence for each row, and no clock."""

import re
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from sovereigncloud.api import SovereigntyPolicy
from sovereigncloud.api.common.base import Key
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.core.locations import country_of
from sovereigncloud.kinds.sovereigntypolicy.validation import why_unusable
from sovereigncloud.sovereignty.countries import EEA, EU, expanded, why_no_country
from sovereigncloud.sovereignty.evaluation import Verdict, broken_policies, compliance, evaluate, refusals
from sovereigncloud.sovereignty.facts import Certificate, Entity, Facts, Grade, Part, Place, Provider
from sovereigncloud.sovereignty.rules import rules_of, together

NOW = datetime(2026, 11, 28, 23, 30, tzinfo=UTC)
CLOUD = Key("SovereignCloud", "platform", "ovh-rbx")
PASS, WARN, FAIL, UNKNOWN = Verdict.PASS, Verdict.WARN, Verdict.FAIL, Verdict.UNKNOWN


def rules(now=NOW, status=None, **spec):
    metadata = {"name": "fr-public-sector"}
    policy = {"metadata": metadata, "spec": spec, "status": status or {}}
    return rules_of(SovereigntyPolicy.model_validate(policy), now)


def at(region, what="host one-1", datacenter="", grade=Grade.OBSERVED):
    country = country_of(region)
    return Place(
        what, country, datacenter, grade if country else Grade.NONE, f"OVHcloud region {region}", "2026-11-24T16:25:00Z"
    )


RBX, ERI, BHS, NOWHERE = at("eu-west-rbx", datacenter="rbx8"), at("eu-west-eri"), at("ca-east-bhs"), at("eu-west-1")
PARIS = Place("host p-1", "FR", "PARIS-1", Grade.DECLARED, "ProviderProfile ministry")
ISO = Certificate(
    "ISO27001",
    frozenset({"GRA", "RBX"}),
    date(2027, 5, 1),
    Grade.ATTESTED,
    "ProviderProfile ovh, https://example.fr/iso.pdf",
)
OVH = Provider(
    "ovh", Entity("OVH SAS", "FR"), Entity("OVH Groupe SA", "FR"), (Entity("Hebergement OVH Inc.", "CA"),), (ISO,)
)
RESIDENCY = {"residency": {"allowedCountries": ["EU"]}}
LAW = {"jurisdiction": {"allowed": ["EU"]}}
CERTIFIED = {"certifications": [{"anyOf": ["ISO27001"], "minGrade": "Attested"}]}


def facts(*compute, provider=OVH, rehearsed="", **others):
    places = {Part.COMPUTE: compute or (RBX,)} | {Part(part): places for part, places in others.items()}
    return Facts(places, provider, rehearsed)


def certified(provider=OVH, **changed):
    return replace(provider, certificates=(replace(ISO, **changed),))


ROWS = [
    ("a host in France is in the EU", RESIDENCY, facts(RBX), "residency.compute", PASS, "PoliciesMet", "host one-1 is in FR"),
    ("Erith is in Great Britain, whatever its region is called", RESIDENCY, facts(ERI), "residency.compute", FAIL, "ResidencyViolation", "host one-1 is in GB, and only EU is allowed"),
    ("Beauharnois is in Canada", RESIDENCY, facts(BHS), "residency.compute", FAIL, "ResidencyViolation", "is in CA"),
    ("a region that nobody knows is in no country, though it begins with eu-", RESIDENCY, facts(NOWHERE), "residency.compute", UNKNOWN, "LocationUnknown", "nobody knows in which country host one-1 is"),
    ("of several hosts the worst counts", RESIDENCY, facts(RBX, BHS, NOWHERE), "residency.compute", FAIL, "ResidencyViolation", "is in CA"),
    ("and how many more are as bad is said", RESIDENCY, facts(BHS, ERI), "residency.compute", FAIL, "ResidencyViolation", "1 more like it"),
    ("a part that is there and has no place is unknown", RESIDENCY, facts(RBX, storage=()), "residency.storage", UNKNOWN, "LocationUnknown", "nobody knows where it is"),
    ("a part that is not there is not asked about", RESIDENCY, facts(RBX), "residency.backups", None, "", ""),
    ("what the policy does not cover is not asked about", {"residency": {"allowedCountries": ["FR"], "covers": ["compute"]}}, facts(RBX, backups=(BHS,)), "residency.backups", None, "", ""),
    ("a backup in Canada breaks it by itself", RESIDENCY, facts(RBX, backups=(BHS,)), "residency.backups", FAIL, "ResidencyViolation", "is in CA"),
    ("declared is enough unless more is asked for", RESIDENCY, facts(PARIS), "residency.compute", PASS, "PoliciesMet", ""),
    ("declared is less than attested", {"residency": {"allowedCountries": ["FR"], "minGrade": "Attested"}}, facts(PARIS), "residency.compute", UNKNOWN, "EvidenceTooWeak", "which is only Declared, and the policy asks for Attested"),
    ("observed is more than attested", {"residency": {"allowedCountries": ["FR"], "minGrade": "Attested"}}, facts(RBX), "residency.compute", PASS, "PoliciesMet", ""),
    ("in a wrong country the grade matters no more", {"residency": {"allowedCountries": ["DE"], "minGrade": "Observed"}}, facts(PARIS), "residency.compute", FAIL, "ResidencyViolation", ""),
    ("a country without a grade is known from nobody", RESIDENCY, facts(Place("host x", "FR")), "residency.compute", UNKNOWN, "EvidenceTooWeak", "which is known from nobody"),
    ("a company in the EU", LAW, facts(), "jurisdiction.legalEntity", PASS, "PoliciesMet", "OVH SAS is under the law of FR"),
    ("bought by somebody else", LAW, facts(provider=replace(OVH, ultimate_parent=Entity("Acme Inc.", "US"))), "jurisdiction.ultimateParent", FAIL, "JurisdictionViolation", "Acme Inc. is under the law of US, and only EU is allowed"),
    ("without a parent nobody is asked for one", LAW, facts(provider=replace(OVH, ultimate_parent=None)), "jurisdiction.ultimateParent", None, "", ""),
    ("an affiliate under another law is disclosed", LAW, facts(), "jurisdiction.foreignAffiliates", WARN, "ForeignAffiliate", "Hebergement OVH Inc. (CA)"),
    ("or allowed", {"jurisdiction": {"allowed": ["EU"], "foreignAffiliates": "Allow"}}, facts(), "jurisdiction.foreignAffiliates", PASS, "PoliciesMet", ""),
    ("or forbidden", {"jurisdiction": {"allowed": ["EU"], "foreignAffiliates": "Forbid"}}, facts(), "jurisdiction.foreignAffiliates", FAIL, "JurisdictionViolation", "Hebergement OVH Inc. (CA)"),
    ("one under an allowed law is none", {"jurisdiction": {"allowed": ["EU", "CA"], "foreignAffiliates": "Forbid"}}, facts(), "jurisdiction.foreignAffiliates", PASS, "PoliciesMet", ""),
    ("who runs it, nobody said", LAW, facts(provider=None), "jurisdiction.legalEntity", UNKNOWN, "ProviderUnknown", "set spec.providerRef"),
    ("a certificate lists the site of the building", CERTIFIED, facts(), "certification.ISO27001", PASS, "PoliciesMet", "ISO27001 for rbx8 holds until 2027-05-01"),
    ("and not another site", CERTIFIED, facts(replace(RBX, datacenter="lim1")), "certification.ISO27001", FAIL, "CertificateOutOfScope", "no certificate of ISO27001 lists lim1"),
    ("each datacenter counts", CERTIFIED, facts(RBX, storage=(replace(RBX, datacenter="lim1"),)), "certification.ISO27001", FAIL, "CertificateOutOfScope", "lists lim1"),
    ("in a datacenter that nobody knows no certificate can be named", CERTIFIED, facts(replace(RBX, datacenter="")), "certification.ISO27001", UNKNOWN, "LocationUnknown", ""),
    ("on its last day it holds", CERTIFIED, facts(provider=certified(valid_until=date(2026, 11, 28))), "certification.ISO27001", WARN, "CertificateExpiring", "expires on 2026-11-28"),
    ("the day after it does not", CERTIFIED, facts(provider=certified(valid_until=date(2026, 11, 27))), "certification.ISO27001", FAIL, "CertificateExpired", "ISO27001 for rbx8 expired on 2026-11-27"),
    ("sixty days before its end it is time", CERTIFIED, facts(provider=certified(valid_until=date(2027, 1, 27))), "certification.ISO27001", WARN, "CertificateExpiring", ""),
    ("sixty-one days before it is not", CERTIFIED, facts(provider=certified(valid_until=date(2027, 1, 28))), "certification.ISO27001", PASS, "PoliciesMet", ""),
    ("its successor is there already", CERTIFIED, facts(provider=replace(OVH, certificates=(replace(ISO, valid_until=date(2026, 12, 1)), ISO))), "certification.ISO27001", PASS, "PoliciesMet", "until 2027-05-01"),
    ("somebody wrote it down, and attested is asked for", CERTIFIED, facts(provider=certified(grade=Grade.DECLARED)), "certification.ISO27001", UNKNOWN, "EvidenceTooWeak", ""),
    ("none of that scheme", {"certifications": [{"anyOf": ["SecNumCloud-3.2"]}]}, facts(), "certification.SecNumCloud-3.2", FAIL, "CertificateMissing", "lists no certificate of SecNumCloud-3.2"),
    ("one of several suffices", {"certifications": [{"anyOf": ["SecNumCloud-3.2", "ISO27001"]}]}, facts(), "certification.SecNumCloud-3.2|ISO27001", PASS, "PoliciesMet", ""),
    ("one of no datacenter in particular is not about this one", CERTIFIED, facts(provider=certified(datacenters=frozenset())), "certification.ISO27001", FAIL, "CertificateOutOfScope", ""),
    ("of the provider it is enough, wherever", {"certifications": [{"anyOf": ["ISO27001"], "scope": "Provider"}]}, facts(BHS, provider=certified(datacenters=frozenset())), "certification.ISO27001", PASS, "PoliciesMet", ""),
    ("a certificate of a provider that nobody named", CERTIFIED, facts(provider=None), "certification.ISO27001", UNKNOWN, "ProviderUnknown", ""),
    ("no rehearsal is recorded", {"exit": {"rehearsalMaxAge": "8760h"}}, facts(), "exit.rehearsal", UNKNOWN, "RehearsalOverdue", "no rehearsal of an exit is recorded"),
    ("it was too long ago", {"exit": {"rehearsalMaxAge": "8760h"}}, facts(rehearsed="2025-11-27T03:00:00Z"), "exit.rehearsal", FAIL, "RehearsalOverdue", "more than 365 days ago"),
    ("it took too long", {"exit": {"rehearsalMaxAge": "8760h", "maxDuration": "1m"}}, replace(facts(rehearsed="2026-11-28T03:00:00Z"), exit_took=61), "exit.rehearsal", FAIL, "ExitTooSlow", "took 61 s, more than the 60 s"),
    ("it was quick enough", {"exit": {"rehearsalMaxAge": "8760h", "maxDuration": "1m"}}, replace(facts(rehearsed="2026-11-28T03:00:00Z"), exit_took=60), "exit.rehearsal", PASS, "PoliciesMet", ""),
    ("what does not leave by itself is asked for no rehearsal", {"exit": {"rehearsalMaxAge": "8760h"}}, facts(rehearsed=None), "exit.rehearsal", None, "", ""),
    ("it was lately", {"exit": {"rehearsalMaxAge": "8760h"}}, facts(rehearsed="2025-11-28T03:00:00Z"), "exit.rehearsal", PASS, "PoliciesMet", ""),
    ("nothing about the age of a rehearsal is asked for", {"exit": {"maxDuration": "720h"}}, facts(), "exit.rehearsal", None, "", ""),
]  # fmt: skip


@pytest.mark.parametrize(("why", "spec", "known", "rule", "verdict", "reason", "words"), ROWS, ids=[r[0] for r in ROWS])
def test_a_rule(why, spec, known, rule, verdict, reason, words):
    found = {r.rule: r for r in evaluate(rules(**spec), known, namespace="prefecture", name="web")}
    if verdict is None:
        assert rule not in found, why
        return
    assert (found[rule].verdict, str(found[rule].reason)) == (verdict, reason), (why, found[rule])
    assert words in found[rule].fact, found[rule].fact


def test_the_fact_its_source_and_its_time_are_told():
    (result,) = evaluate(rules(**RESIDENCY), facts(BHS), namespace="prefecture", name="web")
    told = compliance([result])
    assert told == {
        "type": "Compliant",
        "status": "False",
        "reason": "ResidencyViolation",
        "message": "breaks SovereigntyPolicy fr-public-sector: residency.compute: host one-1 is in CA, and only EU is allowed"
        " (OVHcloud region ca-east-bhs, since 2026-11-24T16:25:00Z)",
    }


def test_unknown_is_not_compliant_and_a_violation_is_more_than_that():
    judge = lambda known: compliance(evaluate(rules(**RESIDENCY), known, namespace="p", name="web"))  # noqa: E731
    assert judge(facts(RBX))["status"] == "True"
    assert judge(facts(RBX, NOWHERE))["status"] == "Unknown"
    assert judge(facts(RBX, storage=(NOWHERE,), backups=(BHS,)))["status"] == "False"
    assert compliance(()) is None, "where nothing binds nothing is said"
    met = compliance(evaluate(rules(**LAW), facts(), namespace="p", name="web"))
    assert (met["status"], met["reason"]) == ("True", "ForeignAffiliate")
    assert "Hebergement OVH Inc. (CA)" in met["message"]


def test_the_policies_that_are_broken_are_read_from_what_was_said():
    one, two = rules(**RESIDENCY), replace(rules(**RESIDENCY), policy="eu-baseline")
    both = [r for each in (one, two) for r in evaluate(each, facts(BHS), namespace="p", name="web")]
    unsure = evaluate(replace(two, policy="unsure"), facts(NOWHERE), namespace="p", name="web")
    assert broken_policies(compliance([*both, *unsure])["message"]) == ("fr-public-sector", "eu-baseline")
    assert broken_policies(compliance(unsure)["message"]) == ()
    assert broken_policies(compliance(evaluate(one, facts(), namespace="p", name="web"))["message"]) == ()


LET_BE = {"rule": "residency.backups", "namespace": "prefecture", "name": "web", "reason": "4711", "approvedBy": "dpo", "expires": "2026-11-28"}  # fmt: skip
EXCEPTIONS = [
    ("on its last day it holds", {}, "web", WARN, "ExceptionGranted", "let be until 2026-11-28 by dpo"),
    ("the day after it does not, and that is said", {"expires": "2026-11-27"}, "web", FAIL, "ExceptionExpired", "the exception that dpo approved expired on 2026-11-27"),
    ("of another machine", {"name": "db"}, "web", FAIL, "ResidencyViolation", ""),
    ("of another namespace", {"namespace": "town"}, "web", FAIL, "ResidencyViolation", ""),
    ("of another rule", {"rule": "residency.compute"}, "web", FAIL, "ResidencyViolation", ""),
    ("of all of the namespace", {"name": None}, "db", WARN, "ExceptionGranted", ""),
    ("of one machine it is none for whatever may come", {}, "", FAIL, "ResidencyViolation", ""),
]  # fmt: skip


@pytest.mark.parametrize(
    ("why", "change", "name", "verdict", "reason", "words"), EXCEPTIONS, ids=[e[0] for e in EXCEPTIONS]
)
def test_an_exception(why, change, name, verdict, reason, words):
    written = {k: v for k, v in {**LET_BE, **change}.items() if v is not None}
    found = evaluate(
        rules(**RESIDENCY, exceptions=[written]), facts(RBX, backups=(BHS,)), namespace="prefecture", name=name
    )
    result = next(r for r in found if r.rule == "residency.backups")
    assert (result.verdict, str(result.reason)) == (verdict, reason), why
    assert words in result.fact


ENFORCED = {"enforcement": "Enforce"}
REFUSALS = [
    ("audit refuses nothing", RESIDENCY, {}, facts(BHS), []),
    ("a foreign host", ENFORCED | RESIDENCY, {}, facts(BHS), ["residency.compute: host one-1 is in CA"]),
    ("a host that nobody knows", ENFORCED | RESIDENCY, {}, facts(NOWHERE), ["residency.compute"]),
    ("a warning is no refusal", ENFORCED | LAW, {}, facts(), []),
    ("the law and the certificate, each with its reason", ENFORCED | LAW | CERTIFIED, {}, facts(provider=None), ["jurisdiction.legalEntity", "certification.ISO27001"]),
    ("a rehearsal is about what is there", ENFORCED | {"exit": {"rehearsalMaxAge": "1h"}}, {}, facts(), []),
    ("a cloud that is held", ENFORCED | {"onViolation": "Hold"}, {"heldClouds": ["platform/ovh-rbx"]}, facts(), ["holds platform/ovh-rbx"]),
    ("as well where it says Relocate", ENFORCED | {"onViolation": "Relocate"}, {"heldClouds": ["platform/ovh-rbx"]}, facts(), ["holds platform/ovh-rbx"]),
    ("another cloud is not", ENFORCED | {"onViolation": "Hold"}, {"heldClouds": ["platform/other"]}, facts(), []),
    ("who only reports holds nothing", ENFORCED, {"heldClouds": ["platform/ovh-rbx"]}, facts(), []),
]  # fmt: skip


@pytest.mark.parametrize(("why", "spec", "status", "known", "words"), REFUSALS, ids=[r[0] for r in REFUSALS])
def test_what_may_not_be_placed_there(why, spec, status, known, words):
    found = refusals([rules(status=status, **spec)], known, namespace="prefecture", name="web", cloud=CLOUD)
    assert len(found) == len(words), (why, found)
    assert all(word in one and "fr-public-sector" in one for word, one in zip(words, found, strict=True)), found


def test_countries():
    assert (len(EU), len(EEA)) == (27, 30)
    assert not {"GB", "CH"} & EEA
    assert expanded(["EU", "CH"]) == EU | {"CH"}
    assert {"IS", "LI", "NO"} == EEA - EU
    assert [why_no_country(name) for name in ("FR", "EU", "EEA", "GB", "RE")] == [""] * 5
    assert why_no_country("UK").endswith("write GB")
    assert "no code" in why_no_country("ZZ")
    one, two = (rules(residency={"allowedCountries": names}) for names in (["FR", "DE"], ["DE", "PL"]))
    assert together([one, two, rules()]) == {"DE"}
    assert together([rules()]) is None


LABELS = {"data-class": "restricted", "team": "a"}
BINDING = [
    ("no selector: everything", {}, True),
    ("its label", {"matchLabels": {"data-class": "restricted"}}, True),
    ("another value", {"matchLabels": {"data-class": "open"}}, False),
    ("all of them must fit", {"matchLabels": {"data-class": "restricted", "team": "b"}}, False),
    ("one of the values", {"matchExpressions": [{"key": "team", "operator": "In", "values": ["a", "b"]}]}, True),
    ("none of the values", {"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["a"]}]}, False),
    ("NotIn fits where the label is not there", {"matchExpressions": [{"key": "no", "operator": "NotIn", "values": ["a"]}]}, True),
    ("there", {"matchExpressions": [{"key": "team", "operator": "Exists"}]}, True),
    ("not there", {"matchExpressions": [{"key": "team", "operator": "DoesNotExist"}]}, False),
]  # fmt: skip


@pytest.mark.parametrize(("why", "selector", "binds"), BINDING, ids=[b[0] for b in BINDING])
def test_whom_it_binds(why, selector, binds):
    one = rules(appliesTo={"namespaceSelector": selector})
    assert one.binding.binds(LABELS, CLOUD) is binds, why
    elsewhere = rules(appliesTo={"namespaceSelector": selector, "clouds": [{"name": "x", "namespace": "platform"}]})
    assert not elsewhere.binding.binds(LABELS, CLOUD), "in another cloud"


WRONG = [
    ("a country that is none", {"residency": {"allowedCountries": ["UK"]}}, "spec.residency.allowedCountries: UK is no code of ISO 3166-1: write GB"),
    ("a law of no country", {"jurisdiction": {"allowed": ["ZZ"]}}, "spec.jurisdiction.allowed: ZZ is no code"),
    ("an exception from no rule", {"exceptions": [{**LET_BE, "rule": "residency.backup"}]}, "spec.exceptions[0].rule: no rule is called residency.backup"),
    ("one from a certificate that nobody asks for", {"exceptions": [{**LET_BE, "rule": "certification.HDS"}]}, "no rule is called certification.HDS"),
    ("a day that no calendar has", {"exceptions": [{**LET_BE, "expires": "2027-02-30"}]}, "spec.exceptions[0].expires: 2027-02-30 is no day"),
    ("In without values", {"appliesTo": {"namespaceSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}}, "In needs values"),
    ("nothing", {**RESIDENCY, **CERTIFIED, "exceptions": [LET_BE, {**LET_BE, "rule": "certification.ISO27001"}]}, ""),
]  # fmt: skip


@pytest.mark.parametrize(("why", "spec", "words"), WRONG, ids=[w[0] for w in WRONG])
def test_what_is_wrong_with_a_spec(why, spec, words):
    said = why_unusable(SovereigntyPolicy.model_validate({"metadata": {"name": "p"}, "spec": spec, "status": {}}))
    assert bool(said) == bool(words), why
    assert words in said


def test_every_reason_of_a_rule_is_in_the_table():
    told = {row[5] for row in ROWS} | {row[4] for row in EXCEPTIONS}
    policies = {r for r in Reason if r.name in {
        "POLICIES_MET", "RESIDENCY_VIOLATION", "LOCATION_UNKNOWN", "EVIDENCE_TOO_WEAK", "JURISDICTION_VIOLATION",
        "FOREIGN_AFFILIATE", "PROVIDER_UNKNOWN", "CERTIFICATE_MISSING", "CERTIFICATE_EXPIRED", "CERTIFICATE_EXPIRING",
        "CERTIFICATE_OUT_OF_SCOPE", "EXCEPTION_GRANTED", "EXCEPTION_EXPIRED", "REHEARSAL_OVERDUE", "EXIT_TOO_SLOW",
    }}  # fmt: skip
    assert {str(r) for r in policies} == told - {""}


def test_the_api_server_means_the_same_by_a_group():
    """The chart's expressions know the members of EU and EEA, too."""
    chart = Path(__file__).parents[3] / "charts" / "sovereign-cloud-operator" / "templates" / "_helpers.tpl"
    groups = dict(re.findall(r"'(EU|EEA)': \[([^]]*)\]", chart.read_text()))
    assert {name: frozenset(re.findall("[A-Z]{2}", text)) for name, text in groups.items()} == {"EU": EU, "EEA": EEA}
