"""A kustomize overlay of manifests/examples with the addresses and credentials of the simulators."""

from __future__ import annotations

import os
from pathlib import Path

import yaml

from sovereigncloud_sandbox.stage import EXAMPLES, Json, Stage

EXISTING_PASSWORD = "existing"
ADOPTED_PASSWORD = "adopted"
EXISTING_HOST, ADOPTED_HOST = 30, 20


def prepare(stage: Stage) -> Path:
    """Make the two clouds that others built, and a kustomization over the examples; returns its folder."""
    existing, adopted = stage.address(EXISTING_HOST), stage.address(ADOPTED_HOST)
    hosts = (stage.address(31), stage.address(32))
    endpoints = {
        "onprem-paris": stage.make_cloud("onprem-paris", existing, password=EXISTING_PASSWORD, hosts=hosts),
        "ovh-adopted": stage.make_cloud("ovh-adopted", adopted, password=ADOPTED_PASSWORD, hosts=(adopted,)),
    }
    stage.ovh.call("PATCH", "/servers/ns3012347.ip-57-131-167.eu", {"ip": adopted})
    account = stage.ovh_connection["accounts"][0]["serviceAccounts"][0]
    folder = stage.directory / "overlay"
    folder.mkdir(exist_ok=True)
    kustomization: Json = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [os.path.relpath(EXAMPLES, folder)],
        "patches": [
            _replace("SovereignCloud", "onprem-paris", "/spec/existing/endpoint", endpoints["onprem-paris"]),
            _replace(
                "SovereignCloud", "ovh-adopted", "/spec/hosted/openNebula/adopt/endpoint", endpoints["ovh-adopted"]
            ),
            _replace("Secret", "onprem-one", "/stringData", {"username": "oneadmin", "password": EXISTING_PASSWORD}),
            _replace(
                "Secret", "ovh-adopted-one", "/stringData", {"username": "oneadmin", "password": ADOPTED_PASSWORD}
            ),
            _replace(
                "Secret",
                "ovh-account",
                "/stringData",
                {"clientId": account["clientId"], "clientSecret": account["clientSecret"]},
            ),
        ],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    return folder


def _replace(kind: str, name: str, path: str, value: object) -> Json:
    patch = [{"op": "replace", "path": path, "value": value}]
    return {"target": {"kind": kind, "name": name}, "patch": yaml.safe_dump(patch)}
