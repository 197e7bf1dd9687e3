"""CustomResourceDefinitions from the models: names, columns, schema, and the files of `crds/`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import yaml

from sovereigncloud.api import KINDS
from sovereigncloud.api.common.base import GROUP, VERSION, Column, Resource
from sovereigncloud.api.schema.structural import RULES, WithRules, prose, structural

CATEGORY = "sovereign"
KUSTOMIZATION = "kustomization.yaml"

_HEADER = "# Generated from the models in operator/sovereigncloud/api by `sovereign crds --write`. Do not edit.\n"


AnyResource = Resource[Any, Any]


def resource_schema(model: type[AnyResource]) -> dict[str, Any]:
    """The schema of a kind: what the API server accepts.

    The only default in it is `status.observedGeneration: -1`, which tells kstatus and Argo CD that nobody has looked at an
    object yet (docs of kstatus; without it a new object counts as ready).
    """
    parts = {}
    for part in ("spec", "status"):
        annotation: Any = model.model_fields[part].annotation
        parts[part] = structural(annotation.model_json_schema(schema_generator=WithRules))
    parts["status"].setdefault("description", "What the operator found and did. Only the operator writes it.")
    parts["status"]["default"] = {"observedGeneration": -1}
    schema: dict[str, Any] = {
        "type": "object",
        "description": prose(model.__doc__ or ""),
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},  # the server describes these three itself
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            **parts,
        },
    }
    if model.cel_rules:
        schema[RULES] = [rule.as_validation() for rule in model.cel_rules]
    return schema


def custom_resource_definition(model: type[AnyResource]) -> dict[str, Any]:
    """The CustomResourceDefinition of a kind, as it is applied: without status, timestamp or deprecated fields."""
    crd = model.crd
    names = {
        "kind": crd.kind,
        "listKind": f"{crd.kind}List",
        "plural": crd.plural,
        "singular": crd.kind.lower(),
        "shortNames": list(crd.short_names),
        "categories": [CATEGORY],
    }
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [_column(column) for column in crd.columns],
        "schema": {"openAPIV3Schema": resource_schema(model)},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{crd.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced" if crd.namespaced else "Cluster",
            "names": {key: value for key, value in names.items() if value},
            "versions": [version],
        },
    }


def _column(column: Column) -> dict[str, Any]:
    return column.model_dump(by_alias=True, exclude_defaults=True) | {"type": column.type}


def manifests() -> dict[str, str]:
    """The files of `crds/`: one CustomResourceDefinition per kind, and a kustomization of them."""
    files = {
        f"{GROUP}_{kind.crd.plural}.yaml": _HEADER + _yaml(custom_resource_definition(kind))
        for kind in sorted(KINDS, key=lambda kind: kind.crd.plural)
    }
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": list(files),
    }
    return {**files, KUSTOMIZATION: _HEADER + _yaml(kustomization)}


def compact_manifests() -> dict[str, str]:
    """The same definitions as the charts carry them, in JSON, which is YAML as well: a release of Helm is one Secret of at most 1 MiB,
    with each file once as it is and once as it was rendered, and a third of either was indentation.
    """
    return {
        f"{GROUP}_{kind.crd.plural}.yaml": json.dumps(
            custom_resource_definition(kind), ensure_ascii=False, separators=(",", ":")
        )
        + "\n"
        for kind in sorted(KINDS, key=lambda kind: kind.crd.plural)
    }


class _Plain(yaml.SafeDumper):
    """Without anchors: two fields of one type are two equal texts, not one and a reference."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  # the signature is yaml's
        return True


def _yaml(document: Mapping[str, Any]) -> str:
    return yaml.dump(document, Dumper=_Plain, sort_keys=False, width=120, allow_unicode=True)
