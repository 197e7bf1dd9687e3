"""A release as a person handles it, and the chart as it was before."""

import json
import shutil

import yaml

from sovereigncloud_sandbox.stage import CHART

OPERATOR = "sovereign-cloud-operator"
BEFORE = "0.0.9"

# How the chart carried its CRDs up to 0.0.9: templates of its own, not a chart inside.
CRDS_TEMPLATE = """
{{- range $path, $_ := .Files.Glob "files/crds/*.yaml" }}
{{- $crd := $.Files.Get $path | fromYaml }}
{{- $_ := set $crd.metadata "annotations" (dict "helm.sh/resource-policy" "keep") }}
---
{{ toJson $crd }}
{{- end }}
"""
NEW_FIELD = ("spec", "driftPolicy")
"""Of HostedInstance: the chart before did not have it yet."""


class Release:
    """One release in one namespace."""

    def __init__(self, plane, name, namespace, values):
        self.plane, self.name, self.namespace, self.values = plane, name, namespace, values

    def helm(self, verb, *arguments, check=True):
        return self.plane.helm(verb, self.name, *arguments, f"--namespace={self.namespace}", check=check, timeout=150)

    def install(self, chart, *arguments, check=True):
        return self.helm("install", str(chart), *self._waiting, *arguments, check=check)

    def upgrade(self, chart, *arguments, check=True):
        return self.helm("upgrade", str(chart), *self._waiting, *arguments, check=check)

    @property
    def _waiting(self):
        """--wait: Helm believes nothing before the pod is ready."""
        return (f"--values={self.values}", "--wait", "--timeout=90s")

    @property
    def revision(self):
        return self._status["version"]

    @property
    def status(self):
        return self._status["info"]["status"]

    @property
    def _status(self):
        return yaml.safe_load(self.helm("status", "--output=json").stdout)

    def pods(self):
        """Names of the operator's pods that are ready."""
        selector = f"--selector=app.kubernetes.io/name={OPERATOR},app.kubernetes.io/instance={self.name}"
        found = self.plane.get("pods", selector, f"--namespace={self.namespace}")["items"]
        return [pod["metadata"]["name"] for pod in found if is_ready(pod)]

    def leftovers(self):
        """What is there of the release: everything that carries its label, of kinds that a chart makes."""
        kinds = "all,configmaps,serviceaccounts,roles,rolebindings,networkpolicies,poddisruptionbudgets"
        cluster = "clusterroles,clusterrolebindings,validatingadmissionpolicies,validatingadmissionpolicybindings"
        selector = f"--selector=app.kubernetes.io/instance={self.name}"
        found = [
            *self.plane.get(kinds, selector, f"--namespace={self.namespace}")["items"],
            *self.plane.get(cluster, selector)["items"],
        ]
        return sorted((one["kind"], one["metadata"]["name"]) for one in found)

    def until_gone(self, stage):
        """Helm does not wait for pods that are still ending."""
        stage.until(lambda: not self.leftovers(), "without leftovers", seconds=60)


def is_ready(pod):
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any((c["type"], c["status"]) == ("Ready", "True") for c in conditions)


def package(plane, chart, directory):
    """The chart as it is handed out."""
    plane.helm("package", str(chart), f"--destination={directory}")
    version = yaml.safe_load((chart / "Chart.yaml").read_text())["version"]
    return directory / f"{chart.name}-{version}.tgz"


def chart_before(directory):
    """The chart of a version before, in what matters to an upgrade from it: CRDs without the newest field, as templates of
    its own, and no word about uninstalling. Made from the present chart: a tag would have to be there, in CI's shallow clone
    too, and would need the image of then.
    """
    chart = directory / OPERATOR
    shutil.copytree(CHART, chart, ignore=shutil.ignore_patterns("charts", "policies", "uninstall"))
    description = yaml.safe_load((chart / "Chart.yaml").read_text())
    del description["dependencies"]
    description |= {"version": BEFORE, "appVersion": BEFORE}
    (chart / "Chart.yaml").write_text(yaml.safe_dump(description))
    (chart / "templates" / "crds.yaml").write_text(CRDS_TEMPLATE)
    (chart / "files" / "crds").mkdir()
    for source in (CHART / "charts" / "sovereign-cloud-crds" / "files").iterdir():
        crd = yaml.safe_load(source.read_text())
        if crd["spec"]["names"]["kind"] == "HostedInstance":
            del properties(crd, NEW_FIELD[:-1])[NEW_FIELD[-1]]
        (chart / "files" / "crds" / source.name).write_text(json.dumps(crd, separators=(",", ":")))
    return chart


def properties(crd, path):
    node = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for part in path:
        node = node["properties"][part]
    return node["properties"]
