"""What the chart becomes for those who install it in these ways: kept in golden/, and taken by a real API server.

A change shows in golden/ as its users will see it. `SOVEREIGN_WRITE_GOLDEN=1 pytest tests/integration/chart/test_chart_renders.py`
writes it anew.
"""

import json
import os
import re
import shutil
from pathlib import Path

import pytest
import yaml
from tests.integration.chart.monitoring import install_monitoring_crds
from tests.integration.chart.rendered import CHART, documents

HERE = Path(__file__).parent
NAMESPACE = "clouds"
SETS = sorted(path.stem for path in (HERE / "values").glob("*.yaml"))
UMBRELLA = "umbrella"
# The alerts and the dashboards have files and tests of their own.
SHIPPED = re.compile(r"(/templates/(?:prometheusrule|dashboards)\.yaml\n.*?\n)(spec|data):\n.*", re.DOTALL)
VERSION = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]


@pytest.fixture(scope="session")
def umbrella(tmp_path_factory):
    """The company's chart as `helm dependency build` leaves it."""
    chart = tmp_path_factory.mktemp("charts") / "platform"
    shutil.copytree(HERE / UMBRELLA, chart)
    shutil.copytree(CHART, chart / "charts" / CHART.name)
    return chart


@pytest.fixture(scope="session")
def renders(control_plane, umbrella):
    """The text of each rendering, made once."""
    made = {}

    def render(name):
        if name not in made:
            chart = [str(umbrella)] if name == UMBRELLA else [str(CHART), f"--values={HERE}/values/{name}.yaml"]
            made[name] = control_plane.helm("template", "demo", *chart, f"--namespace={NAMESPACE}").stdout
        return made[name]

    return render


def kept(text):
    """What a golden file keeps: not the CRDs, which are generated files of their own, and not the version, which moves."""
    parts = (part for part in text.split("\n---\n") if '"kind":"CustomResourceDefinition"' not in part)
    told = "\n---\n".join(SHIPPED.sub(r"\1\2: as in files/", part) for part in parts)
    return re.sub(
        rf"(app.kubernetes.io/version: |{CHART.name}(?:-sandbox)?:|sovereign-cloud-installer:){re.escape(VERSION)}",
        r"\1VERSION",
        told,
    )


@pytest.mark.parametrize("name", [*SETS, UMBRELLA])
def test_it_renders_as_it_did(renders, name):
    golden, text = HERE / "golden" / f"{name}.yaml", kept(renders(name))
    if os.environ.get("SOVEREIGN_WRITE_GOLDEN"):
        golden.write_text(text)
    assert text == golden.read_text(), "look at the difference; if it is meant, write it anew (see above)"


def test_no_golden_file_is_left_over():
    assert {path.stem for path in (HERE / "golden").glob("*.yaml")} == {*SETS, UMBRELLA}


@pytest.mark.parametrize("name", SETS)
def test_lint_has_nothing_to_say(control_plane, name):
    control_plane.helm("lint", "--strict", str(CHART), f"--values={HERE}/values/{name}.yaml")


def test_the_companys_values_reach_the_operator(renders):
    rendered = documents(renders(UMBRELLA))
    assert rendered.container["image"].startswith("registry.corp.example/")
    assert rendered.environment["SOVEREIGN_INSTALLATION_ID"] == "prod-1"
    (deployment,) = rendered.all("Deployment")
    assert deployment["spec"]["template"]["spec"]["imagePullSecrets"] == [{"name": "corp-registry"}]
    teams = {document["metadata"]["labels"].get("team") for document in rendered if document["kind"] != "Pod"}
    assert teams == {"platform"}


def test_alerts_and_dashboards_arrive_as_they_are(renders):
    """What is in braces there is templating of Prometheus and Grafana, not of Helm."""
    rendered = documents(renders("monitoring"))
    rules = {path.stem: path.read_text() for path in (CHART / "files" / "rules").glob("*.yaml")}
    assert [rule["spec"] for rule in rendered.all("PrometheusRule")] == [
        yaml.safe_load(text) for text in rules.values()
    ]
    told = {name: text for one in rendered.all("ConfigMap") for name, text in one.get("data", {}).items()}
    for path in (CHART / "files" / "dashboards").glob("*.json"):
        assert json.loads(told[path.name]) == json.loads(path.read_text())
    assert rules
    assert told


# --- on a real API server -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def plane(own_control_plane):
    """Where everything that the renderings need is: kinds, and a namespace that admits restricted pods only."""
    install_monitoring_crds(own_control_plane)
    labels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn", "audit")}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}
    own_control_plane.kubectl("apply", "--filename=-", input=json.dumps(namespace))
    for watched in ("team-1", "team-1-test"):
        own_control_plane.kubectl("create", "namespace", watched)
    return own_control_plane


@pytest.mark.parametrize("name", [*SETS, UMBRELLA])
def test_the_api_server_takes_it(plane, renders, name):
    """Everything, strictly: a field that it does not know is an error. What it warns of is none of ours to cause."""
    done = plane.kubectl(
        "apply", "--server-side", "--dry-run=server", "--validate=strict", "--filename=-", input=renders(name)
    )
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == len(documents(renders(name)))


def pods_of(rendered):
    """Every pod that a rendering makes, as its controller would."""
    for document in rendered:
        if document["kind"] in {"Deployment", "Job"}:
            template = document["spec"]["template"]
            metadata = {**template["metadata"], "name": document["metadata"]["name"], "namespace": NAMESPACE}
            yield {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
        elif document["kind"] == "Pod":
            yield document


@pytest.mark.parametrize("name", [*SETS, UMBRELLA])
def test_its_pods_are_admitted_where_pods_must_be_restricted(plane, renders, name):
    rendered = documents(renders(name))
    accounts = [document for document in rendered if document["kind"] == "ServiceAccount"]
    plane.kubectl("apply", "--server-side", "--force-conflicts", "--filename=-", input=yaml.safe_dump_all(accounts))
    pods = list(pods_of(rendered))
    assert pods
    done = plane.kubectl("create", "--dry-run=server", "--filename=-", input=yaml.safe_dump_all(pods))
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == len(pods)


def test_a_pod_that_may_more_would_not_be_admitted(plane, renders):
    """That the namespace refuses at all."""
    pod = next(pods_of(documents(renders("default"))))
    pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    done = plane.kubectl("create", "--dry-run=server", "--filename=-", input=yaml.safe_dump(pod), check=False)
    assert 'violates PodSecurity "restricted' in done.stderr
