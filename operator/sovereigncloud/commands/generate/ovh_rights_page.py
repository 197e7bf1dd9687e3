"""The page of the documentation on the rights at OVHcloud: the policies, from the calls that the operator makes.

The page has a part written by hand, and below a mark this part.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from sovereigncloud.kinds.rights.operations import DENIED, MEANING, MONEY, OPERATIONS, Feature
from sovereigncloud.kinds.rights.policy import policy

PAGE = "ovh-rights.md"
MARK = "<!-- Below: generated from operator/sovereigncloud/kinds/rights/operations.py by `sovereign crds --write`. Do not edit. -->\n"
_IDENTITY = "urn:v1:eu:identity:credential:xx1111-ovh/oauth2-CLIENT_ID"
_BUYER = "urn:v1:eu:identity:credential:xx1111-ovh/oauth2-CLIENT_ID_THAT_ORDERS"
_ACCOUNT = "urn:v1:eu:resource:account:xx1111-ovh"


def page(directory: Path) -> str:
    """The page: what is written by hand in it, and the policies as they are."""
    path = directory / PAGE
    by_hand = path.read_text(encoding="utf-8").partition(MARK)[0] if path.exists() else "# Rights at OVHcloud\n\n"
    return by_hand + MARK + "".join(_sections())


def _sections() -> Iterator[str]:
    operate = [feature for feature in Feature if feature not in MONEY]
    yield "\n## The policy\n\nAll that the operator ever asks for but what concerns money.\n\n"
    yield _block("policy.json", policy("sovereign-cloud-operator", operate, identity=_IDENTITY))
    yield "\n## Ordering\n\nOnly where a server is ordered, and better for a credential of its own (`order.credentialsSecretRef`).\n\n"
    yield _block("ordering.json", policy("sovereign-cloud-operator-orders", MONEY, identity=_BUYER))
    yield "\n## What is never called\n\nA deny of OVHcloud's IAM wins over every allow, of any policy.\n\n"
    yield _block("deny.json", _denial())
    yield "\n## What each is for\n\n| feature | what it is | calls | actions |\n| --- | --- | --- | --- |\n"
    yield from (_row(feature) for feature in Feature)


def _denial() -> dict[str, object]:
    things = ("dedicatedServer:*", "vrack:*", "ip:*")
    return {
        "name": "sovereign-cloud-operator-never",
        "identities": [_IDENTITY, _BUYER],
        "resources": [{"urn": _ACCOUNT}, *({"urn": f"urn:v1:eu:resource:{thing}"} for thing in things)],
        "permissions": {"deny": [{"action": action} for action in DENIED]},
    }


def _row(feature: Feature) -> str:
    found = [one for one in OPERATIONS if one.feature is feature]
    calls = "<br>".join(f"`{one.call}`" for one in found)
    needed = "<br>".join(f"`{action}`" for action in dict.fromkeys(a for one in found for a in one.actions))
    return f"| `{feature}` | {MEANING[feature]} | {calls} | {needed or 'none of its own'} |\n"


def _block(title: str, value: dict[str, object]) -> str:
    short = re.sub(r'\{\n\s+("\w+": "[^"]*")\n\s+\}', r"{\1}", json.dumps(value, indent=2))
    return f'```json title="{title}"\n{short}\n```\n'
