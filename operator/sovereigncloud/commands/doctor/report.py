"""What `sovereign doctor` finds, as values. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from sovereigncloud.kinds.rights.operations import MEANING, Feature
from sovereigncloud.kinds.rights.policy import Lack, Need, addition, lacks
from sovereigncloud.ports.opennebula.login import Login
from sovereigncloud.ports.opennebula.views import CloudView, Front
from sovereigncloud.ports.ovh.iam import Identity

Json = dict[str, Any]
WORKS, FAILS = 0, 2
"""Exit codes; 1 is an error."""
_IMAGES = 0  # the type of a datastore for images


class Verdict(StrEnum):
    """Whether a feature will work. Unknown: the API does not say before it is tried."""

    WORKS = "Works"
    FAILS = "Fails"
    UNKNOWN = "Unknown"


class One(StrEnum):
    """What is asked of an OpenNebula."""

    OBSERVE = "Observe"
    INSTANCES = "Instances"
    IMAGES = "Images"
    NETWORKS = "Networks"
    HOSTS = "Hosts"


REACH = "Reach"
ONE_MEANING: Mapping[One, str] = {
    One.OBSERVE: "read machines, networks, images, hosts, datastores and templates",
    One.INSTANCES: "make virtual machines, and look after them",
    One.IMAGES: "make images",
    One.NETWORKS: "make virtual networks",
    One.HOSTS: "register the hosts of a hosted cloud, enable and mark them",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """Whether one feature works at one API.

    Attributes:
        api: OVHcloud or OpenNebula.
        where: the Secret, the endpoint or the environment that was tried.
        feature: Reach, or what a person wants of it.
        needed: whether somebody asks for it: an object's spec, or --feature.
    """

    api: str
    where: str
    feature: str
    meaning: str
    verdict: Verdict
    message: str = ""
    needed: bool = True

    def as_json(self) -> Json:
        return {
            "api": self.api,
            "where": self.where,
            "feature": self.feature,
            "meaning": self.meaning,
            "needed": self.needed,
            "verdict": str(self.verdict),
            "message": self.message,
        }


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All findings, and the policies that add what lacks."""

    findings: tuple[Finding, ...] = ()
    policies: tuple[Json, ...] = ()

    def __add__(self, other: Diagnosis) -> Diagnosis:
        return Diagnosis(self.findings + other.findings, self.policies + other.policies)

    @property
    def exit_code(self) -> int:
        return FAILS if any(one.needed and one.verdict is Verdict.FAILS for one in self.findings) else WORKS

    def wanting(self, features: Iterable[str]) -> Diagnosis:
        """With these needed instead."""
        wanted = {one.lower() for one in features} | {REACH.lower()}
        changed = tuple(replace(one, needed=one.feature.lower() in wanted) for one in self.findings)
        return replace(self, findings=changed)

    def as_json(self) -> Json:
        """With stable keys."""
        return {
            "format": 1,
            "result": "Fails" if self.exit_code else "Works",
            "exitCode": self.exit_code,
            "items": [one.as_json() for one in self.findings],
            "policies": list(self.policies),
        }


def reach(api: str, where: str, message: str, verdict: Verdict = Verdict.WORKS) -> Finding:
    """Whether somebody answers there who knows the credential."""
    return Finding(api, where, REACH, "answer, and know the credential", verdict, message)


def rights(
    need: Need, everything: Need, who: Identity, refused: Mapping[str, frozenset[str]] | None, where: str
) -> Diagnosis:
    """Of each feature whether its rights are there. `refused` None: IAM does not say."""
    findings = [reach("OVHcloud", where, f"account {who.account}")]
    for feature in Feature:
        needed = feature in need.features
        asked = replace(everything if not needed else need, features=frozenset({feature}))
        if refused is None:
            verdict, message = Verdict.UNKNOWN, "the API does not say what the credential may do"
        elif found := lacks(asked, who, refused):
            verdict, message = Verdict.FAILS, _listed(found)
        else:
            verdict, message = Verdict.WORKS, ""
        findings.append(Finding("OVHcloud", where, feature, MEANING[feature], verdict, message, needed=needed))
    missing = lacks(need, who, refused) if refused is not None else ()
    added = addition(need, who, missing)
    return Diagnosis(tuple(findings), (added,) if added else ())


def _listed(found: Iterable[Lack]) -> str:
    parts = []
    for lack in found:
        doubt = " (nothing is granted there: is it in this account?)" if lack.all_of_it else ""
        parts.append(f"lacks on {lack.urn}: {', '.join(lack.actions)}{doubt}")
    return "; ".join(dict.fromkeys(parts))


def open_nebula(
    where: str, front: Front, login: Login, view: CloudView | None, refusal: str, needed: frozenset[One]
) -> Diagnosis:
    """What a user may do. `view` None: `refusal` says which call was not allowed."""
    groups = f"group {login.group}" + ("" if login.administers else ", which is not oneadmin")
    findings = [reach("OpenNebula", where, f"version {front.version}, as user {login.name} of {groups}")]
    for feature in One:
        verdict, message = _may(feature, login, view, refusal)
        meaning = ONE_MEANING[feature]
        findings.append(Finding("OpenNebula", where, feature, meaning, verdict, message, needed=feature in needed))
    return Diagnosis(tuple(findings))


def _may(feature: One, login: Login, view: CloudView | None, refusal: str) -> tuple[Verdict, str]:
    if feature is One.OBSERVE or view is None:
        return (Verdict.FAILS, refusal) if view is None else (Verdict.WORKS, _seen(view))
    if login.administers:
        return Verdict.WORKS, ""
    match feature:
        case One.INSTANCES:
            return (
                Verdict.UNKNOWN,
                "the rules (ACL) of its groups decide: a new group has CREATE on VM unless it was taken",
            )
        case One.IMAGES if not any(one.type == _IMAGES for one in view.datastores.values()):
            return Verdict.FAILS, "it sees no datastore for images: give its group USE on one"
        case One.IMAGES:
            return (
                Verdict.UNKNOWN,
                "the rules (ACL) of its groups decide: a new group has CREATE on IMAGE unless it was taken",
            )
        case One.NETWORKS:
            return Verdict.UNKNOWN, "it needs a rule (ACL) that gives CREATE on NET, which a new group does not have"
        case _ if not view.hosts:
            return Verdict.FAILS, "it sees no host: use a user of the group oneadmin, or give it MANAGE on HOST"
        case _:
            return Verdict.UNKNOWN, "it needs rules (ACL) that give CREATE and MANAGE on HOST"


def _seen(view: CloudView) -> str:
    """A user sees what its rights let it see: that there is nothing may mean that it may not."""
    counts = {
        "machines": view.vms, "networks": view.networks, "images": view.images, "hosts": view.hosts,
        "datastores": view.datastores, "templates": view.templates,
    }  # fmt: skip
    return "it sees " + ", ".join(f"{len(found)} {name}" for name, found in counts.items())
