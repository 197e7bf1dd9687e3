"""Which rights at OVHcloud lack for what an object needs, and the policy that grants them. Pure."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from sovereigncloud.kinds.rights.operations import OPERATIONS, Feature, Operation
from sovereigncloud.ports.ovh.iam import AccessRule, Identity

TAG: Final = "account:apiovh:iam/resource/tag/"
_ACCOUNT_WIDE: Final = frozenset({"account", "order"})
_TAGGED: Final = frozenset({"dedicatedServer", "vrack", "ip"})


def kind_of(action: str) -> str:
    """The type of resource that an action is on: vrack of vrack:apiovh:ip/attach."""
    return action.partition(":")[0]


def actions(features: Iterable[Feature]) -> tuple[str, ...]:
    """All that these need, each once, in the order of the table."""
    wanted = frozenset(features)
    return tuple(dict.fromkeys(a for one in OPERATIONS if one.feature in wanted for a in one.actions))


@dataclass(frozen=True, slots=True)
class Need:
    """What an object needs of one credential.

    Attributes:
        endpoint: ovh-eu, ovh-ca or ovh-us.
        secret: in the object's namespace.
        names: of the things that it is needed on, by type of resource: those that are known.
    """

    endpoint: str
    secret: str
    features: frozenset[Feature]
    names: Mapping[str, tuple[str, ...]]

    @property
    def plate(self) -> str:
        """Which of OVHcloud's three: the third part of every URN."""
        return self.endpoint.removeprefix("ovh-")

    def urns(self, account: str) -> tuple[str, ...]:
        """Of all that it is needed on, the account last."""
        things = (f"urn:v1:{self.plate}:resource:{kind}:{name}" for kind, names in self.names.items() for name in names)
        return (*things, account_urn(self.plate, account))


def account_urn(plate: str, account: str) -> str:
    return f"urn:v1:{plate}:resource:account:{account}"


@dataclass(frozen=True, slots=True)
class Lack:
    """Rights that are missing on a thing. `actions` are of IAM, or calls where a consumer key does not allow them.

    Attributes:
        all_of_it: nothing that is needed is granted: the account may not even have it.
    """

    kind: str
    name: str
    actions: tuple[str, ...]
    all_of_it: bool = False

    @property
    def urn(self) -> str:
        """The last parts of it, for people."""
        return f"{self.kind} {self.name}" if self.name else self.kind


def lacks(need: Need, who: Identity, refused: Mapping[str, frozenset[str]]) -> tuple[Lack, ...]:
    """What is missing, by what it is missing on."""
    return (*_of_policies(need, who, refused), *_of_rules(need, who.rules))


def _of_policies(need: Need, who: Identity, refused: Mapping[str, frozenset[str]]) -> Iterator[Lack]:
    wanted = actions(need.features)
    for kind, names in need.names.items():
        on_it = [a for a in wanted if kind_of(a) == kind]
        for name in names:
            urn = f"urn:v1:{need.plate}:resource:{kind}:{name}"
            missing = tuple(a for a in on_it if a in refused.get(urn, frozenset()))
            if missing:
                yield Lack(kind, name, missing, all_of_it=len(missing) == len(on_it) > 1)
    # Whether such an action is asked for on the account or on the thing itself, its schema does not say: either will do.
    asked = [refused[urn] for urn in need.urns(who.account) if urn in refused]
    missing = tuple(a for a in wanted if kind_of(a) in _ACCOUNT_WIDE and asked and all(a in one for one in asked))
    if missing:
        yield Lack("account", who.account, missing)


def _of_rules(need: Need, rules: tuple[AccessRule, ...] | None) -> Iterator[Lack]:
    if rules is None:
        return
    calls = [one for one in OPERATIONS if one.feature in need.features and not _in_vain(one)]
    missing = tuple(dict.fromkeys(one.call for one in calls if not _allowed(one, need, rules)))
    if missing:
        yield Lack("consumer key", "", missing)


def _in_vain(operation: Operation) -> bool:
    """Whether nothing is lost where it is refused: who may do what is asked with it."""
    return operation.path.startswith("/v1/auth/") or operation.path.endswith("/authorization/check")


def _allowed(operation: Operation, need: Need, rules: tuple[AccessRule, ...]) -> bool:
    kind = {"/v1/dedi": "dedicatedServer", "/v1/vrac": "vrack", "/v1/ip/{": "ip", "/v1/doma": "dnsZone"}.get(
        operation.path[:8]
    )
    names = need.names.get(kind or "") or ("x",)
    return all(any(_matches(rule, operation, name) for rule in rules) for name in names)


def _matches(rule: AccessRule, operation: Operation, name: str) -> bool:
    if rule.method.upper() != operation.method:
        return False
    path = operation.path.replace("{}", name, 1).replace("{}", "x")
    # Which of the two a rule names is not documented for the second version of the API.
    return any(fnmatch.fnmatchcase(one, rule.path) for one in (path, path[len("/v1") :]))


def told(found: Iterable[Lack], where: str) -> str:
    """One message with everything that is missing; the same for the same, in whatever order the API answered."""
    grouped: dict[tuple[str, tuple[str, ...], bool], list[str]] = {}
    for lack in found:
        grouped.setdefault((lack.kind, lack.actions, lack.all_of_it), []).append(lack.name)
    parts = []
    for (kind, missing, all_of_it), names in sorted(grouped.items()):
        on = f"{kind} {', '.join(sorted(names)[:_NAMES])}".strip()
        on += f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
        doubt = " (nothing is granted there: is it in this account?)" if all_of_it else ""
        parts.append(f"on {on}: {', '.join(missing)}{doubt}")
    return (
        f"the credential in Secret {where} lacks rights that this needs: {'; '.join(parts)}. `sovereign doctor` prints the"
        " policy to add, docs/ovh-rights.md explains it"
    )


_NAMES: Final = 5


# --- as OVHcloud's IAM takes it ------------------------------------------------------------------------------------------

_URNS: Final = {
    "dedicatedServer": "urn:v1:eu:resource:dedicatedServer:*",
    "vrack": "urn:v1:eu:resource:vrack:pn-123456",
    "ip": "urn:v1:eu:resource:ip:*",
    "dnsZone": "urn:v1:eu:resource:dnsZone:example.org",
    "account": "urn:v1:eu:resource:account:xx1111-ovh",
}

Json = dict[str, object]


def policy(name: str, features: Iterable[Feature], *, identity: str, urns: Mapping[str, str] = _URNS) -> Json:
    """A policy that grants these."""
    wanted = actions(features)
    kinds = {"account" if kind_of(a) in _ACCOUNT_WIDE else kind_of(a) for a in wanted}
    if any(a.startswith(TAG) for a in wanted):
        kinds |= _TAGGED
    return {
        "name": name,
        "identities": [identity],
        "resources": [{"urn": urn} for kind, urn in urns.items() if kind in kinds],
        "permissions": {"allow": [{"action": a} for a in wanted]},
    }


def addition(need: Need, who: Identity, found: Iterable[Lack]) -> Json | None:
    """The policy that adds what is missing, and nothing else; None where it is not for IAM to give."""
    missing: dict[str, list[str]] = {}
    for lack in found:
        if lack.kind != "consumer key":
            missing.setdefault(f"urn:v1:{need.plate}:resource:{lack.kind}:{lack.name}", []).extend(lack.actions)
    if not missing:
        return None
    if any(a.startswith(TAG) for a in missing.get(account_urn(need.plate, who.account), ())):
        missing |= {urn: missing.get(urn, []) for urn in need.urns(who.account)}
    return {
        "name": "sovereign-cloud-operator-addition",
        "identities": [who.identity],
        "resources": [{"urn": urn} for urn in missing],
        "permissions": {"allow": [{"action": a} for a in dict.fromkeys(a for each in missing.values() for a in each)]},
    }
