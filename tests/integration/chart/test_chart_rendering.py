import http.server
import json
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import yaml
from tests.integration.chart.rendered import documents

from sovereigncloud.api.schema.crd import KUSTOMIZATION, manifests
from sovereigncloud.engine.settings import PREFIX, Settings, settings

REPOSITORY = Path(__file__).parents[3]
CHART = REPOSITORY / "charts" / "sovereign-cloud-operator"
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA = json.loads((CHART / "values.schema.json").read_text())

# Which value of the chart becomes which setting of the operator.
VALUE_OF = {
    "installation_id": "installationId",
    "workers": "workers",
    "sweep_interval": "sweepInterval",
    "settle_interval": "settleInterval",
    "late_write_grace": "lateWriteGrace",
    "lease_seconds": "leaseSeconds",
    "brake_objects": "brakes.objects",
    "brake_fraction": "brakes.fraction",
    "ovh_requests_per_minute": "limits.ovh.requestsPerMinute",
    "ovh_burst": "limits.ovh.burst",
    "opennebula_rate": "limits.openNebula.rate",
    "opennebula_burst": "limits.openNebula.burst",
    "ssh_port": "installer.sshPort",
    "site_latency_interval": "siteLatencyInterval",
    "plain_http_hosts": "plainHttpHosts",
    "ovh_endpoints": "ovhEndpoints",
    "tracing_endpoint": "tracing.endpoint",
    "log_format": "logs.format",
    "log_level": "logs.level",
}
# Not a person's choice in a pod: its own namespace, and where the probes and the Service ask. Made from several values: an
# image, and where authorities are mounted.
FIXED = {"namespace", "http_port", "http_host", "installer_image", "ca_file"}
# Several values together: tests of their own.
COMPOSED = {"watch_namespaces", "holdings"}


def nested(path, value):
    for part in reversed(path.split(".")):
        value = {part: value}
    return value


def part_of_schema(path):
    node = SCHEMA
    for part in path.split("."):
        node = node["properties"][part]
    return node


def value_at(path):
    node = VALUES
    for part in path.split("."):
        node = node[part]
    return node


def image(rendered):
    return rendered.container["image"]


def sandbox_images(rendered):
    containers = (
        one for deployment in rendered.all("Deployment") for one in deployment["spec"]["template"]["spec"]["containers"]
    )
    return {one["image"] for one in containers if one["name"] != "operator"}


def pod(rendered):
    return rendered.one("Deployment")["spec"]["template"]


def authorities(rendered):
    """The source of the volume that is mounted where the operator looks for authorities, None without one."""
    mounts = {mount["mountPath"]: mount["name"] for mount in rendered.container["volumeMounts"]}
    told = rendered.environment["SOVEREIGN_CA_FILE"]
    if "/etc/sovereign/private-ca" not in mounts:
        return None
    assert told == "/etc/sovereign/private-ca/ca.crt"
    volume = next(one for one in pod(rendered)["spec"]["volumes"] if one["name"] == mounts["/etc/sovereign/private-ca"])
    return {kind: source for kind, source in volume.items() if kind != "name"}


DIGEST = "sha256:" + "a" * 64
KINDS = {"CustomResourceDefinition", "ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"}
KINDS |= {"Deployment", "Service", "Pod", "ConfigMap", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}
WITHOUT = [
    (
        "admission policies are another release's; a Job refuses to uninstall",
        {"policies": {"enforce": False}},
        {"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"},
    ),
    ("CRDs come from elsewhere", {"crds": {"install": False}}, {"CustomResourceDefinition"}),
    ("the account is somebody else's", {"serviceAccount": {"create": False, "name": "theirs"}}, {"ServiceAccount"}),
    (
        "rights are given by somebody else",
        {"rbac": {"create": False}},
        {"ClusterRoleBinding", "Role", "RoleBinding"},
    ),
    (
        "also those of people",
        {"rbac": {"create": False}, "userRoles": {"create": False}},
        {"ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"},
    ),
    (
        "the test asks the Service, without one it has nobody to ask",
        {"metrics": {"service": {"enabled": False}}},
        {"Service", "Pod"},
    ),
]


def test_the_default_makes_these_kinds(render):
    assert {document["kind"] for document in render()} == KINDS


@pytest.mark.parametrize(("why", "values", "missing"), WITHOUT)
def test_switches_leave_out_what_they_name_and_nothing_else(render, why, values, missing):
    assert {document["kind"] for document in render(values)} - {"Job"} == KINDS - missing, why


FORMS = [
    ("the tag is the chart's appVersion", {}, lambda r: image(r).endswith(f":{yaml.safe_load((CHART / 'Chart.yaml').read_text())['appVersion']}")),
    ("a tag may be chosen", {"image": {"tag": "edge"}}, lambda r: image(r).endswith(":edge")),
    ("a digest wins over the tag", {"image": {"tag": "x", "digest": DIGEST}}, lambda r: image(r).endswith(f"@{DIGEST}")),
    ("hosts are a list", {"plainHttpHosts": ["a.example", "b.example"]}, lambda r: r.environment["SOVEREIGN_PLAIN_HTTP_HOSTS"] == "a.example,b.example"),
    ("Helm would write 1e+06, which is no whole number", {"limits": {"openNebula": {"burst": 1000000}}}, lambda r: r.environment["SOVEREIGN_OPENNEBULA_BURST"] == "1000000"),
    ("a number with a point stays one", {"limits": {"ovh": {"requestsPerMinute": 0.25}}}, lambda r: r.environment["SOVEREIGN_OVH_REQUESTS_PER_MINUTE"] == "0.25"),
    ("an id of digits stays a text", {"installationId": "007"}, lambda r: r.environment["SOVEREIGN_INSTALLATION_ID"] == "007"),
    ("a proxy is environment", {"extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}]}, lambda r: r.environment["HTTPS_PROXY"] == "http://proxy:3128"),
    ("one from a Secret", {"extraEnv": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]}, lambda r: r.container["env"][-1]["valueFrom"]["secretKeyRef"] == {"name": "s", "key": "k"}),
    ("an account of another name is used everywhere", {"serviceAccount": {"name": "mine"}}, lambda r: {s["name"] for k in ("RoleBinding", "ClusterRoleBinding") for s in r.one(k)["subjects"]} == {"mine"} and pod(r)["spec"]["serviceAccountName"] == "mine"),
    ("labels of a person never break the selector", {"commonLabels": {"app.kubernetes.io/name": "x", "team": "t"}, "podLabels": {"app.kubernetes.io/instance": "y"}}, lambda r: r.one("Deployment")["spec"]["selector"]["matchLabels"].items() <= pod(r)["metadata"]["labels"].items() and pod(r)["metadata"]["labels"]["team"] == "t"),
    ("Prometheus finds the Service", {"metrics": {"serviceMonitor": {"enabled": True, "labels": {"release": "p"}}}}, lambda r: r.one("ServiceMonitor")["spec"]["selector"]["matchLabels"].items() <= r.one("Service")["metadata"]["labels"].items()),
    ("where it runs", {"nodeSelector": {"a": "b"}, "tolerations": [{"key": "k", "operator": "Exists"}], "affinity": {"nodeAffinity": {}}, "priorityClassName": "high"}, lambda r: {"nodeSelector", "tolerations", "affinity", "priorityClassName"} <= set(pod(r)["spec"])),
    ("a private registry", {"imagePullSecrets": [{"name": "registry"}]}, lambda r: all(spec["imagePullSecrets"] == [{"name": "registry"}] for spec in (pod(r)["spec"], r.one("Pod")["spec"]))),
    ("an umbrella chart sends these to all its charts", {"global": {"anything": {"goes": 1}}, "enabled": True}, bool),
    ("and a registry and its Secrets, which go before ours", {"global": {"imageRegistry": "registry.example", "imagePullSecrets": ["a", {"name": "b"}]}, "imagePullSecrets": [{"name": "a"}]}, lambda r: image(r).startswith("registry.example/sovereigncloud-io/") and r.environment["SOVEREIGN_INSTALLER_IMAGE"].startswith("registry.example/sovereigncloud-io/sovereign-cloud-installer:") and pod(r)["spec"]["imagePullSecrets"] == [{"name": "a"}, {"name": "b"}]),
    ("OpenShift chooses whom a pod runs as", {"podSecurityContext": {"runAsUser": None, "runAsGroup": None, "fsGroup": None}}, lambda r: set(pod(r)["spec"]["securityContext"]) == {"runAsNonRoot", "seccompProfile"}),
    ("a proxy, and what needs none", {"proxy": {"httpsProxy": "http://proxy:3128", "noProxy": ["10.0.0.0/8"]}}, lambda r: r.environment["HTTPS_PROXY"] == "http://proxy:3128" and "HTTP_PROXY" not in r.environment and {"$(KUBERNETES_SERVICE_HOST)", ".svc", "10.0.0.0/8"} <= set(r.environment["NO_PROXY"].split(","))),
    ("a proxy with a password is in a Secret", {"existingSecret": "mine"}, lambda r: {e["name"]: e["valueFrom"]["secretKeyRef"] for e in r.container["env"] if "secretKeyRef" in e.get("valueFrom", {})} == {name: {"name": "mine", "key": key, "optional": True} for name, key in (("OTEL_EXPORTER_OTLP_HEADERS", "tracingHeaders"), ("HTTP_PROXY", "httpProxy"), ("HTTPS_PROXY", "httpsProxy"), ("SOVEREIGN_INSTALLATION_ID", "installationId"))}),
    ("what is said in values goes before the Secret", {"existingSecret": "mine", "installationId": "here"}, lambda r: r.environment["SOVEREIGN_INSTALLATION_ID"] == "here"),
    ("authorities of a ConfigMap", {"privateCA": {"configMap": "ca"}}, lambda r: authorities(r) == {"configMap": {"name": "ca", "items": [{"key": "ca.crt", "path": "ca.crt"}]}}),
    ("or of a Secret, under another key", {"privateCA": {"secret": "ca", "key": "tls.crt"}}, lambda r: authorities(r) == {"secret": {"secretName": "ca", "items": [{"key": "tls.crt", "path": "ca.crt"}]}}),
    ("no authorities, no volume", {}, lambda r: authorities(r) is None and r.environment["SOVEREIGN_CA_FILE"] == ""),
    ("two stand on two nodes where they can", {"replicas": 2}, lambda r: pod(r)["spec"]["topologySpreadConstraints"] == [{"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": r.one("Deployment")["spec"]["selector"]}]),
    ("a person spreads them otherwise", {"replicas": 2, "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}]}, lambda r: [c["topologyKey"] for c in pod(r)["spec"]["topologySpreadConstraints"]] == ["zone"]),
    ("further volumes", {"extraVolumes": [{"name": "x", "configMap": {"name": "y"}}], "extraVolumeMounts": [{"name": "x", "mountPath": "/x"}]}, lambda r: pod(r)["spec"]["volumes"][-1] == {"name": "x", "configMap": {"name": "y"}} and r.container["volumeMounts"][-1] == {"name": "x", "mountPath": "/x"}),
    ("environment of a Secret", {"extraEnvFrom": [{"secretRef": {"name": "x"}}]}, lambda r: r.container["envFrom"] == [{"secretRef": {"name": "x"}}]),
    ("the sandbox's addresses leave those of a person alone", {"sandbox": {"enabled": True}, "ovhEndpoints": {"ovh-ca": {"api": "https://a.example/1.0", "token": "https://a.example/t"}}}, lambda r: set(json.loads(r.environment["SOVEREIGN_OVH_ENDPOINTS"])) == {"ovh-eu", "ovh-ca"}),
    ("the simulators have an image of their own", {"sandbox": {"enabled": True}, "image": {"tag": "edge"}}, lambda r: sandbox_images(r) == {f"{image(r).removesuffix(':edge')}-sandbox:edge"}),
    ("which may be chosen", {"sandbox": {"enabled": True, "image": {"registry": "r.example", "repository": "a/b", "tag": "x", "digest": DIGEST}}}, lambda r: sandbox_images(r) == {f"r.example/a/b@{DIGEST}"}),
    ("a digest of the operator's is not its", {"sandbox": {"enabled": True}, "image": {"tag": "edge", "digest": DIGEST}}, lambda r: {one.rpartition("-")[2] for one in sandbox_images(r)} == {"sandbox:edge"}),
    ("a long name leaves room for suffixes", {"fullnameOverride": "n" * 50}, lambda r: all(len(d["metadata"]["name"]) <= 63 for d in r if d["kind"] in {"Service", "Pod"})),
]  # fmt: skip


@pytest.mark.parametrize(("why", "values", "holds"), FORMS)
def test_a_value_has_its_effect(render, why, values, holds):
    assert holds(render(values)), why


REFUSED = [
    ("a misspelt value", {"workrs": 4}, "workrs"),
    ("a misspelt value further down", {"image": {"tagg": "1"}}, "tagg"),
    ("and deeper still", {"limits": {"openNebula": {"rates": 1}}}, "rates"),
    ("a misspelt part of a list", {"tolerations": [{"keys": "a"}]}, "keys"),
    ("a text where a number belongs", {"workers": "many"}, "workers"),
    ("no worker", {"workers": 0}, "workers"),
    ("an id that is no label", {"installationId": "My Cloud"}, "installationId"),
    ("a level that does not exist", {"logs": {"level": "LOUD"}}, "level"),
    ("a digest cut short", {"image": {"digest": "sha256:abc"}}, "digest"),
    ("a host with its scheme", {"plainHttpHosts": ["http://a.example"]}, "plainHttpHosts"),
    ("a setting past its value", {"extraEnv": [{"name": "SOVEREIGN_WORKERS", "value": "1"}]}, "extraEnv"),
    ("a ServiceMonitor without a Service", {"metrics": {"serviceMonitor": {"enabled": True}, "service": {"enabled": False}}}, "metrics.service.enabled"),
    ("namespaces of a release for the whole cluster", {"watchNamespaces": ["a"]}, "scope: Namespaced"),
    ("a pattern of namespaces", {"scope": "Namespaced", "watchNamespaces": ["team-*"]}, "watchNamespaces"),
    ("both kinds of monitors", {"metrics": {"serviceMonitor": {"enabled": True}, "podMonitor": {"enabled": True}}}, "choose one"),
    ("authorities from two places", {"privateCA": {"configMap": "a", "secret": "b"}}, "privateCA"),
    ("a pod that may be root", {"podSecurityContext": {"runAsNonRoot": False}}, "runAsNonRoot"),
    ("a volume that the restricted standard refuses", {"extraVolumes": [{"name": "x", "hostPath": {"path": "/"}}]}, "hostPath"),
    ("a volume that is ours", {"extraVolumes": [{"name": "tmp", "emptyDir": {}}]}, "extraVolumes"),
    ("a mount over ours", {"extraVolumeMounts": [{"name": "x", "mountPath": "/tmp"}]}, "extraVolumeMounts"),
    ("a proxy that is no URL", {"proxy": {"httpsProxy": "proxy:3128"}}, "httpsProxy"),
    ("a memory limit under a wrong name", {"resources": {"limits": {"mem": "1Gi"}}}, "mem"),
]  # fmt: skip


@pytest.mark.parametrize(("why", "values", "named"), REFUSED)
def test_a_wrong_value_is_refused_and_named(helm_template, why, values, named):
    finished = helm_template(values, check=False)
    assert finished.returncode != 0, why
    assert named in finished.stderr


def test_every_setting_is_a_value_and_every_variable_a_setting(render):
    environment = render().environment
    assert set(VALUE_OF) | FIXED | COMPOSED == set(Settings.model_fields)
    assert {name for name in environment if name.startswith(PREFIX)} == {
        f"{PREFIX}{name.upper()}" for name in {*VALUE_OF, *COMPOSED, *FIXED} - {"http_host"}
    }
    assert {name for name in environment if not name.startswith(PREFIX)} == set()


def test_defaults_of_the_chart_are_those_of_the_operator(render):
    rendered = render()
    (namespace,) = [one for one in rendered.container["env"] if one["name"] == "SOVEREIGN_NAMESPACE"]
    assert namespace["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.namespace"}}
    told = {name: text for name, text in rendered.environment.items() if text is not None}
    assert settings(told) == Settings(holdings=True)
    for name, path in VALUE_OF.items():
        default = Settings.model_fields[name].get_default()
        assert value_at(path) == (list(default) if isinstance(default, tuple) else default), path


SCOPES = [
    ("its own namespace unless told", {}, ["clouds"]),
    ("those that it is told, and not its own", {"watchNamespaces": ["b", "a"]}, ["a", "b"]),
]


@pytest.mark.parametrize(("why", "values", "watched"), SCOPES)
def test_a_namespaced_release_watches_and_may_write_only_there(render, why, values, watched):
    rendered = render({"scope": "Namespaced", "userRoles": {"create": False}, **values})
    assert rendered.environment["SOVEREIGN_WATCH_NAMESPACES"] == ",".join(watched), why
    everywhere = {
        (r, v) for rule in rendered.one("ClusterRole")["rules"] for r in rule["resources"] for v in rule["verbs"]
    }
    assert everywhere == {
        *((resource, verb) for resource in ("namespaces", "customresourcedefinitions") for verb in ("list", "watch")),
        ("customresourcedefinitions", "get"),
    }
    roles = {role["metadata"]["namespace"] for role in rendered.all("Role") if "watched" in role["metadata"]["name"]}
    assert roles == set(watched)
    everybody = {
        one["name"]
        for kind in ("RoleBinding", "ClusterRoleBinding")
        for b in rendered.all(kind)
        for one in b["subjects"]
    }
    assert everybody == {rendered.one("ServiceAccount")["metadata"]["name"]}


CHANGED = {
    "installation_id": "prod-1",
    "plain_http_hosts": ["one.example"],
    "ovh_endpoints": {"ovh-eu": {"api": "https://a.example/1.0", "token": "https://a.example/token"}},
    "tracing_endpoint": "http://collector:4318",
    "log_format": "text",
    "log_level": "DEBUG",
    "brake_fraction": 0.5,
}


@pytest.mark.parametrize("name", VALUE_OF)
def test_a_value_reaches_its_setting(render, name):
    value = CHANGED[name] if name in CHANGED else value_at(VALUE_OF[name]) + 1
    told = {key: text for key, text in render(nested(VALUE_OF[name], value)).environment.items() if text is not None}
    assert settings(told) == Settings.model_validate({name: value, "holdings": True}) != Settings(holdings=True)


@pytest.mark.parametrize("name", VALUE_OF)
def test_bounds_of_a_value_are_those_of_its_setting(name):
    bounds = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
    of_setting, of_value = Settings.model_json_schema()["properties"][name], part_of_schema(VALUE_OF[name])
    assert {key: of_value[key] for key in bounds if key in of_value} == {
        key: of_setting[key] for key in bounds if key in of_setting
    }
    if "enum" in of_value:
        assert of_setting["pattern"] == f"^({'|'.join(of_value['enum'])})$"
    elif "pattern" in of_setting:
        assert of_value["pattern"] == of_setting["pattern"]


def test_no_container_may_do_anything(render):
    rendered = render({"extraEnv": [{"name": "A", "value": "b"}]})
    released = render({"uninstall": {"policy": "Release"}})
    specs = [pod(rendered)["spec"], rendered.one("Pod")["spec"], released.one("Job")["spec"]["template"]["spec"]]
    for spec in specs:
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] >= 10000
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "runAsNonRoot": True,
                "capabilities": {"drop": ["ALL"]},
            }
            for kind in ("requests", "limits"):
                assert set(container["resources"][kind]) == {"cpu", "memory"}
    assert rendered.one("Pod")["spec"]["automountServiceAccountToken"] is False


def test_the_deployment_is_one_writer_that_is_probed_and_leaves_in_time(render):
    deployment = render().one("Deployment")["spec"]
    assert (deployment["replicas"], deployment["strategy"]) == (1, {"type": "Recreate"})
    spec = deployment["template"]["spec"]
    assert spec["terminationGracePeriodSeconds"] == 10
    assert spec["volumes"] == [{"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}}]
    (container,) = spec["containers"]
    assert container["volumeMounts"] == [{"name": "tmp", "mountPath": "/tmp"}]
    (port,) = container["ports"]
    probes = {kind: container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")}
    assert {probe["port"] for probe in probes.values()} == {port["name"]}
    assert {kind: probe["path"] for kind, probe in probes.items()} == {
        "startup": "/healthz",
        "liveness": "/healthz",
        "readiness": "/readyz",
    }
    assert (
        str(port["containerPort"]) == {one["name"]: one.get("value") for one in container["env"]}["SOVEREIGN_HTTP_PORT"]
    )


def test_crds_are_the_generated_ones_and_are_kept(render):
    wanted = {}
    for name, text in manifests().items():
        if name != KUSTOMIZATION:
            document = yaml.safe_load(text)
            wanted[document["metadata"]["name"]] = document
    found = {document["metadata"]["name"]: document for document in render().all("CustomResourceDefinition")}
    assert found.keys() == wanted.keys()
    for name, document in found.items():
        assert document["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
        assert document["metadata"].pop("labels")["app.kubernetes.io/instance"] == "demo"
        assert document == wanted[name], "Helm's way through JSON changes no number and no text"


def test_the_same_values_render_the_same_without_a_cluster(helm_template):
    assert helm_template().stdout == helm_template().stdout
    for template in (CHART / "templates").rglob("*"):
        if template.is_file():
            found = re.findall(
                r"\b(lookup|rand\w+|uuidv4|gen\w+|now|derivePassword)\b",
                " ".join(re.findall(r"\{\{.*?\}\}", template.read_text())),
            )
            assert found == [], f"{template.name}: Argo CD renders at every sync and would never be in sync"


UNINSTALLS = [
    ("an admission policy refuses", {}, {"ConfigMap"}, []),
    ("without one a Job does", {"policies": {"enforce": False}}, {"ConfigMap", "Job"}, ["release", "--check"]),
    ("or it lets go", {"uninstall": {"policy": "Release"}}, {"ConfigMap", "Job"}, ["release", "--force"]),
]


@pytest.mark.parametrize(("why", "values", "kinds", "arguments"), UNINSTALLS)
def test_what_happens_before_an_uninstallation(render, why, values, kinds, arguments):
    """Beside the test no other hooks: Argo CD would run them at every sync."""
    rendered = render(values)
    hooks = [(d, d["metadata"]["annotations"]["helm.sh/hook"]) for d in rendered if is_hook(d)]
    assert {document["kind"] for document, hook in hooks if hook == "pre-delete"} == kinds, why
    assert [document["kind"] for document, hook in hooks if hook != "pre-delete"] == ["Pod"]
    for job in rendered.all("Job"):
        spec = job["spec"]["template"]["spec"]
        (container,) = spec["containers"]
        assert container["args"] == arguments
        assert container["env"] == rendered.container["env"], "it asks as the operator does"
        assert spec["serviceAccountName"] == rendered.one("ServiceAccount")["metadata"]["name"]
    assert rendered.environment["SOVEREIGN_HOLDINGS"] == str(not arguments).lower(), "the list is kept for the policy"


def is_hook(document):
    return "helm.sh/hook" in (document["metadata"].get("annotations") or {})


def test_an_admission_policy_is_named_with_its_installation(render):
    for values, name in (({"installationId": "prod-1"}, "prod-1"), ({}, "clouds-demo-sovereign-cloud-operator")):
        rendered = render(values)
        policies = [one["metadata"]["name"] for one in rendered.all("ValidatingAdmissionPolicy")]
        of_the_cluster = {
            f"{kind}.borders.sovereigncloud.io" for kind in ("hostedinstances", "machineimages", "namespaces")
        }
        assert of_the_cluster <= set(policies), "which SovereigntyPolicies bind by that name"
        policies = [one for one in policies if one not in of_the_cluster]
        bindings = rendered.all("ValidatingAdmissionPolicyBinding")
        assert sorted(policies) == [f"sovereign-{name}-public-cards", f"sovereign-{name}-uninstall"]
        assert [one["metadata"]["name"] for one in bindings] == policies
        assert [one["spec"]["policyName"] for one in bindings] == policies


def test_an_umbrella_chart_may_carry_it_under_another_name(control_plane, tmp_path):
    umbrella = tmp_path / "umbrella"
    shutil.copytree(CHART, umbrella / "charts" / "sovereign-cloud-operator")
    dependency = {"name": "sovereign-cloud-operator", "version": "*", "alias": "clouds", "condition": "clouds.enabled"}
    chart = {"apiVersion": "v2", "name": "umbrella", "version": "1.0.0", "dependencies": [dependency]}
    (umbrella / "Chart.yaml").write_text(yaml.safe_dump(chart))
    for enabled, kinds in ((True, KINDS), (False, set())):
        values = json.dumps({"global": {"a": 1}, "clouds": {"enabled": enabled, "workers": 3}})
        text = control_plane.helm("template", "u", str(umbrella), "--values=-", input=values).stdout
        assert {document["kind"] for document in documents(text)} == kinds


METRICS = "# HELP sovereign_queue_depth Keys.\nsovereign_queue_depth 0.0\n"
ANSWERS = [
    ("a healthy operator", {"/readyz": (200, "ok\n"), "/metrics": (200, METRICS)}, True),
    ("it still lists", {"/readyz": (503, "listing\n"), "/metrics": (200, METRICS)}, False),
    ("no metrics", {"/readyz": (200, "ok\n"), "/metrics": (500, "")}, False),
    ("another program's metrics", {"/readyz": (200, "ok\n"), "/metrics": (200, "go_threads 7\n")}, False),
]


@pytest.mark.parametrize(("why", "answers", "passes"), ANSWERS)
def test_the_test_pod_judges_what_the_operator_answers(render, why, answers, passes):
    class Operator(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            status, text = answers.get(self.path, (404, ""))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_):
            pass

    (container,) = render().one("Pod")["spec"]["containers"]
    python, option, script, url = container["command"]
    assert (python, option) == ("python", "-c")
    service = render().one("Service")
    assert url == f"http://{service['metadata']['name']}.clouds.svc:{service['spec']['ports'][0]['port']}"
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Operator) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        at = f"http://127.0.0.1:{server.server_port}"
        finished = subprocess.run([sys.executable, "-c", script, at], capture_output=True, timeout=30, check=False)
        server.shutdown()
    assert (finished.returncode == 0) is passes, why
