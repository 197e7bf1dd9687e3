"""CRD schemas change in what they accept only on purpose: a digest of each schema without its texts is stored here.

A change of descriptions or validation messages keeps every digest. A change of fields, types, bounds or rules breaks one; then
replace the stored value by the one that the failure prints, and name the change in CHANGELOG.md.
"""

import hashlib
import json
from typing import Any

import pytest

from sovereigncloud.api import KINDS
from sovereigncloud.api.schema.crd import resource_schema

DIGESTS = {
    "SovereignCloud": "cffaba10c3af597ee0ecd8dc4a8c102859ac5a4d8c9852debb37340a862fed91",
    "BareMetalServer": "582700d18aac1abd6f56c0219dc778424027a948f0db22af712b342bfab9b282",
    "VirtualNetwork": "815e8e7a9361086704a3e112489240df00b1e5aaa961d90c4245d07062916c19",
    "MachineImage": "3a8a8abb7e00f60ffae95aae833a7c6971ca37d7a66d0c58188d7d98f8c1689b",
    "SecurityGroup": "0fceffbc9cf4c618efc62e7a77cb2762f62caedec68a1fe9b8ac01660db48cb4",
    "HostedInstance": "22dd883cce14d6eb071be27ec537202fd2037afbb33995f1ca50eb1198640ada",
    "Tenant": "ca0ff0dad1cc6677e52d7decba1abc90154f76e47e175440d701122c9507eab9",
    "SovereigntyPolicy": "7b8e1aefa0886a8999abd6011aabe4e4dcccb882002c7d9e1cf905df1b661fd6",
    "ProviderProfile": "771f339371871228a663d6b09abf861f42c65cde3d090f236e12bda30d663bcd",
    "FederatedZone": "5d97e0d52e8ecd9da5282e42d43aed8f9cdf20bed1488d722f4d81ec117593e6",
    "InstanceMigration": "e459d8c8604933f8a7e557a64a98e6dee8fd0a10c2f8197992efb7d69e95b266",
    "ExitPlan": "aaf90e64cdfedc2caef158f2b6bb2c7106d08359d3b427436975f46235029895",
}


def without_texts(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema without `description` and without the messages of validation rules, at every level."""
    out = {key: value for key, value in schema.items() if key != "description"}
    if "x-kubernetes-validations" in out:
        rules = out["x-kubernetes-validations"]
        out["x-kubernetes-validations"] = [{k: v for k, v in rule.items() if k != "message"} for rule in rules]
    if "properties" in out:
        # A property may be called description itself: its name stays.
        out["properties"] = {name: without_texts(child) for name, child in out["properties"].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(out.get(key), dict):
            out[key] = without_texts(out[key])
    return out


def digest(schema: dict[str, Any]) -> str:
    """SHA-256 of the schema without its texts; the order of fields does not matter."""
    return hashlib.sha256(json.dumps(without_texts(schema), sort_keys=True).encode()).hexdigest()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.crd.kind)
def test_the_schema_accepts_what_it_did(kind):
    assert digest(resource_schema(kind)) == DIGESTS[kind.crd.kind]


def test_texts_do_not_change_a_digest_and_fields_do():
    schema = {
        "type": "object",
        "description": "A thing.",
        "properties": {"description": {"type": "string", "description": "Free text."}},
        "x-kubernetes-validations": [{"rule": "true", "message": "never fails"}],
    }
    other_texts = {
        "type": "object",
        "description": "Another text.",
        "properties": {"description": {"type": "string", "description": "Another text."}},
        "x-kubernetes-validations": [{"rule": "true", "message": "another text"}],
    }
    assert digest(schema) == digest(other_texts)
    assert digest(schema) != digest(schema | {"properties": {}})
    assert digest(schema) != digest(schema | {"x-kubernetes-validations": []})
