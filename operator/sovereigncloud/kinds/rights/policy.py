"""Compare the required permissions with the granted ones, and build IAM policies. Pure."""

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
    """Return the resource type of an IAM action: vrack of vrack:apiovh:ip/attach."""
    return action.partition(":")[0]


def actions(features: Iterable[Feature]) -> tuple[str, ...]:
    """Return the IAM actions that these features require, each once, in table order."""
    wanted = frozenset(features)
    return tuple(dict.fromkeys(a for one in OPERATIONS if one.feature in wanted for a in one.actions))


@dataclass(frozen=True, slots=True)
class RequiredRights:
    """The permissions that an object requires of one credential.

    Attributes:
        endpoint: ovh-eu, ovh-ca or ovh-us.
        secret: in the object's namespace.
        names: the known resources that they are required on, by resource type.
    """

    endpoint: str
    secret: str
    features: frozenset[Feature]
    names: Mapping[str, tuple[str, ...]]

    @property
    def region(self) -> str:
        """Return the region of the endpoint, the third part of every URN: eu, ca or us."""
        return self.endpoint.removeprefix("ovh-")

    def urns(self, account: str) -> tuple[str, ...]:
        """Return the URNs of all resources that they are required on, the account last."""
        things = (
            f"urn:v1:{self.region}:resource:{kind}:{name}" for kind, names in self.names.items() for name in names
        )
        return (*things, account_urn(self.region, account))


def account_urn(region: str, account: str) -> str:
    return f"urn:v1:{region}:resource:account:{account}"


@dataclass(frozen=True, slots=True)
class MissingRights:
    """Permissions missing on one resource.

    `actions` are IAM actions, or API calls where a consumer key does not allow them.

    Attributes:
        nothing_granted: no required permission is granted: the resource may belong to another account.
    """

    kind: str
    name: str
    actions: tuple[str, ...]
    nothing_granted: bool = False

    @property
    def urn(self) -> str:
        """Return resource type and name, for messages."""
        return f"{self.kind} {self.name}" if self.name else self.kind


def find_missing_rights(
    need: RequiredRights, who: Identity, refused: Mapping[str, frozenset[str]]
) -> tuple[MissingRights, ...]:
    """Return the missing permissions, grouped by resource."""
    return (*_missing_in_policies(need, who, refused), *_missing_in_rules(need, who.rules))


def _missing_in_policies(
    need: RequiredRights, who: Identity, refused: Mapping[str, frozenset[str]]
) -> Iterator[MissingRights]:
    wanted = actions(need.features)
    for kind, names in need.names.items():
        on_it = [a for a in wanted if kind_of(a) == kind]
        for name in names:
            urn = f"urn:v1:{need.region}:resource:{kind}:{name}"
            missing = tuple(a for a in on_it if a in refused.get(urn, frozenset()))
            if missing:
                yield MissingRights(kind, name, missing, nothing_granted=len(missing) == len(on_it) > 1)
    # Whether such an action is asked for on the account or on the thing itself, its schema does not say: either will do.
    asked = [refused[urn] for urn in need.urns(who.account) if urn in refused]
    missing = tuple(a for a in wanted if kind_of(a) in _ACCOUNT_WIDE and asked and all(a in one for one in asked))
    if missing:
        yield MissingRights("account", who.account, missing)


def _missing_in_rules(need: RequiredRights, rules: tuple[AccessRule, ...] | None) -> Iterator[MissingRights]:
    if rules is None:
        return
    calls = [one for one in OPERATIONS if one.feature in need.features and not _is_optional(one)]
    missing = tuple(dict.fromkeys(one.call for one in calls if not _allowed(one, need, rules)))
    if missing:
        yield MissingRights("consumer key", "", missing)


def _is_optional(operation: Operation) -> bool:
    """Whether the operator works without this call: it only queries its own permissions."""
    return operation.path.startswith("/v1/auth/") or operation.path.endswith("/authorization/check")


def _allowed(operation: Operation, need: RequiredRights, rules: tuple[AccessRule, ...]) -> bool:
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


def format_missing_rights(found: Iterable[MissingRights], where: str) -> str:
    """Build one message with all missing permissions, independent of the order of the API's answer."""
    grouped: dict[tuple[str, tuple[str, ...], bool], list[str]] = {}
    for lack in found:
        grouped.setdefault((lack.kind, lack.actions, lack.nothing_granted), []).append(lack.name)
    parts = []
    for (kind, missing, nothing_granted), names in sorted(grouped.items()):
        on = f"{kind} {', '.join(sorted(names)[:_NAMES])}".strip()
        on += f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
        doubt = " (nothing is granted there: is it in this account?)" if nothing_granted else ""
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
    """Build an IAM policy that grants these features."""
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


def missing_rights_policy(need: RequiredRights, who: Identity, found: Iterable[MissingRights]) -> Json | None:
    """Build the IAM policy that adds exactly what is missing; None if IAM cannot grant it."""
    missing: dict[str, list[str]] = {}
    for lack in found:
        if lack.kind != "consumer key":
            missing.setdefault(f"urn:v1:{need.region}:resource:{lack.kind}:{lack.name}", []).extend(lack.actions)
    if not missing:
        return None
    if any(a.startswith(TAG) for a in missing.get(account_urn(need.region, who.account), ())):
        missing |= {urn: missing.get(urn, []) for urn in need.urns(who.account)}
    return {
        "name": "sovereign-cloud-operator-addition",
        "identities": [who.identity],
        "resources": [{"urn": urn} for urn in missing],
        "permissions": {"allow": [{"action": a} for a in dict.fromkeys(a for each in missing.values() for a in each)]},
    }
