"""How the rest of the world reads a status: kstatus (so Helm and Flux), kubectl wait and Argo CD, for every kind in every
situation, each situation brought about for real, and every version of a status from an object's first second on."""

import re
import subprocess
import time
import xmlrpc.client
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml
from tests.integration.kstatus import CURRENT, FAILED, IN_PROGRESS, TERMINATING, judge
from tests.integration.status_scenes import (
    AGES,
    EXIT,
    GROUP,
    IMAGE,
    INSTANCE,
    MOVE,
    NETWORK,
    POLICY,
    PROFILE,
    SERVER,
    SLOW,
    SUBJECTS,
    TENANT,
    ZONE,
    Scenes,
)

from sovereigncloud.api import KINDS
from sovereigncloud.kinds.sovereigntypolicy.admission import INSTANCES
from sovereigncloud_sandbox.argocd import MANIFESTS
from sovereigncloud_sandbox.stage import condition

SETTINGS = {"sweep_interval": "1", "settle_interval": "0.3", "late_write_grace": "2"}

# row: (what a person would say, kstatus, whether `kubectl wait --for=condition=Ready` is content, Argo CD)
ROWS = {
    "new": ("created, and nobody has looked at it", IN_PROGRESS, False, "Progressing"),
    "progress": ("it is being made", IN_PROGRESS, False, "Progressing"),
    "ready": ("it is as declared", CURRENT, True, "Healthy"),
    "unseen": ("its spec was changed, and nobody has looked since", IN_PROGRESS, False, "Progressing"),
    "error": (
        "an API outside fails and is asked again; what was made is still there",
        IN_PROGRESS,
        True,
        "Progressing",
    ),
    "invalid": ("no retry mends it: a person must act", FAILED, False, "Degraded"),
    "reference": ("it waits for something that does not exist yet", IN_PROGRESS, False, "Progressing"),
    "consent": ("it waits for a person's word in spec", IN_PROGRESS, False, "Suspended"),
    "paused": ("it was paused while it was as declared", CURRENT, True, "Suspended"),
    "paused change": ("it was paused, then its spec was changed: nothing follows", IN_PROGRESS, False, "Suspended"),
    "drifted": ("somebody changed it outside; spec asks to report that only", CURRENT, True, "Healthy"),
    "lost": ("somebody took it away outside; spec asks to report that only", FAILED, False, "Degraded"),
    "deleting": ("it is being deleted", TERMINATING, None, "Progressing"),
}
CELLS = [(subject, row) for subject in SUBJECTS for row in ROWS]


@pytest.fixture(scope="module")
def foundation(stage, chronicle):
    """Clouds with an image and a network each; nothing happens to them yet."""
    made = Scenes(stage)
    stage.apply(made.foundation())
    for cloud in (made.home, made.flaky, made.slow):
        chronicle.ready(IMAGE, f"alpine-{cloud.name}")
        chronicle.ready(NETWORK, f"lan-{cloud.name}")
    return made


@pytest.fixture(scope="module")
def scenes(stage, foundation):
    """All of them begun."""
    made = foundation
    stage.one.call("POST", f"/clouds/{SLOW}/speeds", dict.fromkeys(("image", "vnet", "prolog"), AGES))
    stage.ovh.call("PATCH", "/timing", {"reinstall": AGES})
    wanted = [s for rows in made.of.values() for s in rows.values() if s.manifests and not s.late]
    stage.apply([manifest for scene in wanted for manifest in scene.manifests])
    return made


@pytest.fixture(scope="module")
def frozen(stage, chronicle, scenes):
    """Every object as it is in its situation, (subject, row) -> object; the operator is stopped."""
    open_cells = {
        (subject, row): scene
        for subject, rows in scenes.of.items()
        for row, scene in rows.items()
        if scene.manifests and not scene.late
    }
    waiting_for = {cell: [test for test in (scene.until, scene.shows) if test] for cell, scene in open_cells.items()}
    untrue = []
    current = set()
    deadline = time.monotonic() + 150
    while any(waiting_for.values()) and time.monotonic() < deadline:
        mark = chronicle.mark
        for cell, tests in waiting_for.items():
            found = chronicle.get(*where(open_cells[cell]))
            if found and judge(found) == CURRENT and cell not in current:
                current.add(cell)
                untrue += [] if is_there(scenes, cell, found) else [cell]
            if tests and found and tests[0](found):
                scene = open_cells[cell]
                if len(tests) == 2 and scene.then:
                    scene.then()
                tests.pop(0)
        if chronicle.mark == mark:
            time.sleep(0.1)
    absent = {
        cell: chronicle.get(*where(open_cells[cell])).get("status") for cell, tests in waiting_for.items() if tests
    }
    assert not absent, f"situations that did not come about:\n{yaml.safe_dump(absent)}"
    assert not untrue, f"said to be ready before they were: {untrue}"
    stage.stop_operator()
    late = [scene for rows in scenes.of.values() for scene in rows.values() if scene.late]
    stage.apply([manifest for scene in late for manifest in scene.manifests])
    for scene in open_cells.values():
        if scene.last:
            scene.last()
    return {
        (subject, row): stage.get(*where(scene))
        for subject, rows in scenes.of.items()
        for row, scene in rows.items()
        if scene.manifests
    }


def where(scene):
    """Kind, name and namespace, which a Tenant has none of."""
    manifest = scene.manifests[-1]
    return manifest["kind"], manifest["metadata"]["name"], manifest["metadata"].get("namespace", "")


def is_there(scenes, cell, found):
    """Whether what an object speaks of exists and does its job, seen from the other side."""
    subject, _ = cell
    stage, name = scenes.stage, found["metadata"]["name"]
    if subject in {INSTANCE, IMAGE, NETWORK}:
        cloud = scenes.flaky if name.endswith("-error") else scenes.home
        pool = {IMAGE: "images", NETWORK: "vnets", INSTANCE: "vms"}[subject]
        works = {("READY", None), ("USED", None), ("ACTIVE", "RUNNING")}
        of_the_name = (o for o in stage.cloud(cloud.name)[pool] if o["name"] == name)
        return any((o["state"], o.get("lcm")) in works for o in of_the_name)
    if subject in {GROUP, TENANT}:
        (here,) = found["status"]["clouds"]
        cloud = scenes.flaky if name.endswith("-error") else scenes.home
        return asked_until_answered(lets_through if subject == GROUP else is_let_in, cloud, here, found["spec"])
    if subject == ZONE:
        return stage.calls(found["spec"]["cloudRef"]["name"])["one.zone.rename"] > 0
    if subject == PROFILE:
        return True
    if subject == EXIT:
        return "/" in found["status"]["movable"]
    if subject == MOVE:  # its copy was there, and is not any more, or runs
        cloud, phase, state = (scenes.flaky, "Grace", 3) if name.endswith("-error") else (scenes.mute, "Succeeded", 6)
        copy = asked_until_answered(cloud.administrator.vm.info, int(found["status"]["target"]["id"]))
        return (copy.STATE, found["status"]["phase"]) == (state, phase)
    if subject == POLICY:
        bindings = stage.cluster.get("validatingadmissionpolicybindings")["items"]
        return f"{name}.{INSTANCES}" in {one["metadata"]["name"] for one in bindings}
    if subject == SERVER:
        ovh = found["spec"]["ovh"]
        return stage.private_interface(ovh["serviceName"])["vrack"] == ovh["vrack"]
    return all(h["state"] in {"MONITORED", "MONITORING_MONITORED"} for h in stage.cloud(name)["hosts"])


def asked_until_answered(look, *args):
    """The cloud of the situation "error" answers its administrator with 502, too, again and again."""
    for _ in range(100):
        try:
            return look(*args)
        except xmlrpc.client.ProtocolError:
            time.sleep(0.05)
    return look(*args)


def lets_through(cloud, here, spec):
    """Whether there is a group with these rules and no other."""
    group = cloud.administrator.secgroup.info(int(here["id"]))
    rules = group.TEMPLATE["RULE"]
    rules = rules if isinstance(rules, list) else [rules]
    told = [(rule["RULE_TYPE"].lower(), rule["PROTOCOL"], rule.get("RANGE")) for rule in rules]
    return told == [(rule["direction"].lower(), rule["protocol"], rule.get("range")) for rule in spec["rules"]]


def is_let_in(cloud, here, spec):
    """Whether there is a group with its quota, in a VDC of its own only, and a user of each namespace in it."""
    (wanted,) = spec["clouds"]
    group, one = int(here["group"]), cloud.administrator
    vdcs = {vdc.ID for vdc in one.vdcpool.info().VDC if group in vdc.GROUPS.ID}
    users = {user["namespace"] for user in here["users"] if group == one.user.info(int(user["id"])).GID}
    limits = [vm.VMS for vm in one.group.info(group).VM_QUOTA.VM] if "quota" in wanted else []
    asked = [str(wanted["quota"]["vms"])] if "quota" in wanted else []
    return (vdcs, users, limits) == ({int(here["vdc"])}, set(spec["namespaces"]), asked)


# --- Helm ------------------------------------------------------------------------------------------------------------


def declared(found):
    """An object as its owner would write it down."""
    metadata = {key: found["metadata"][key] for key in ("name", "namespace") if key in found["metadata"]}
    return {"apiVersion": found["apiVersion"], "kind": found["kind"], "metadata": metadata, "spec": found["spec"]}


def helm(stage, directory, verb, release, objects, *options, timeout):
    """`helm install|upgrade --wait` of a chart that is these objects."""
    (directory / "templates").mkdir(exist_ok=True)
    (directory / "Chart.yaml").write_text("apiVersion: v2\nname: objects\nversion: 1.0.0\n")
    (directory / "templates" / "objects.yaml").write_text(yaml.safe_dump_all(objects))
    wait = ("--wait", f"--timeout={timeout}s", "--namespace=platform")
    return stage.cluster.helm(verb, release, str(directory), *wait, *options, check=False, timeout=timeout + 60)


def test_helm_waits_through_a_life_and_tells_what_it_waits_for(stage, foundation, tmp_path):
    home = foundation.home
    web = home.instance("helm-web")
    made = helm(stage, tmp_path, "install", "web", [web], timeout=30)
    assert made.returncode == 0, made.stderr
    vm = home.vm("helm-web")
    assert vm.running

    web["spec"]["memory"] = "1Gi"
    held = helm(stage, tmp_path, "upgrade", "web", [web], timeout=3)
    assert held.returncode != 0
    assert "status: InProgress" in held.stderr
    assert "set spec.updatePolicy.powerCycle: Allow" in held.stderr

    web["spec"]["updatePolicy"] = {"powerCycle": "Allow"}
    resized = helm(stage, tmp_path, "upgrade", "web", [web], timeout=30)
    assert resized.returncode == 0, resized.stderr
    after = home.vm("helm-web")
    assert (after.id, after.template["MEMORY"], after.running) == (vm.id, "1024", True)

    gone = stage.cluster.helm("uninstall", "web", "--namespace=platform", "--wait", "--timeout=30s", timeout=60)
    assert "uninstalled" in gone.stdout
    assert home.onlooker.machine(vm.id).done


def test_helm_gives_up_at_once_on_what_only_a_person_can_mend(stage, foundation, tmp_path):
    begun = time.monotonic()
    said = helm(
        stage,
        tmp_path,
        "install",
        "typo",
        [foundation.home.instance("helm-typo", source={"image": "alpin"})],
        timeout=40,
    )
    assert said.returncode != 0
    assert time.monotonic() - begun < 20
    assert "status: Failed" in said.stderr
    assert 'has no image called "alpin"' in said.stderr
    assert "there are: alpine" in said.stderr, "what there is instead"


def test_helm_waits_for_what_a_reference_waits_for(stage, foundation, tmp_path):
    early = foundation.home.instance("helm-early", placement={"cloudRef": {"name": "nowhere"}})
    said = helm(stage, tmp_path, "install", "early", [early], timeout=3)
    assert said.returncode != 0
    assert "status: InProgress" in said.stderr
    assert "SovereignCloud platform/nowhere does not exist: create it, or correct the reference" in said.stderr


# --- the matrix ------------------------------------------------------------------------------------------------------


def test_every_kind_has_a_scene_or_a_reason_for_every_row(scenes):
    assert {subject.split()[0] for subject in SUBJECTS} == {kind.crd.kind for kind in KINDS}
    assert {s: set(rows) for s, rows in scenes.of.items()} == {subject: set(ROWS) for subject in SUBJECTS}
    assert all(bool(scene.manifests) != bool(scene.why) for rows in scenes.of.values() for scene in rows.values())


@pytest.mark.parametrize(("subject", "row"), CELLS, ids=lambda value: value.replace(" ", "-"))
def test_kstatus(frozen, scenes, subject, row):
    why, expected, *_ = ROWS[row]
    if scenes.of[subject][row].why:
        return
    found = frozen[subject, row]
    assert judge(found) == expected, f"{why}\n{yaml.safe_dump(found.get('status'))}"


def test_kubectl_wait_is_content_where_it_is_ready_and_nowhere_else(stage, frozen):
    names = {f"{o['kind'].lower()}.sovereigncloud.io/{o['metadata']['name']}": cell for cell, o in frozen.items()}
    asked = stage.cluster.kubectl(
        "wait", "--for=condition=Ready", "--timeout=0s", "-n", "platform", *names, check=False, timeout=120
    )
    content = {names[line.split()[0]] for line in asked.stdout.splitlines() if line.endswith("condition met")}
    expected = {cell for cell in frozen if ROWS[cell[1]][2]}
    judged = {cell for cell in frozen if ROWS[cell[1]][2] is not None}
    assert content & judged == expected


def test_helm_judges_each_of_them_as_the_rules_in_these_tests_do(stage, frozen, tmp_path):
    """Helm takes them all over, waits for them with the real kstatus, and says of each what it was."""
    said = helm(stage, tmp_path, "install", "cells", [*map(declared, frozen.values())], "--take-ownership", timeout=4)
    assert said.returncode != 0
    told = dict(re.findall(r"resource (\w+/(?:platform)?/[\w.-]+) not ready\. status: (\w+)", said.stderr))
    expected = {
        f"{o['kind']}/{o['metadata'].get('namespace', '')}/{o['metadata']['name']}": judge(o) for o in frozen.values()
    }
    assert told == {name: status for name, status in expected.items() if status != CURRENT}


@pytest.mark.argocd
def test_argo_cd_judges_each_of_them_by_the_health_check_that_is_shipped(argocd_programs, frozen, tmp_path):
    """Its own program with our argocd-cm.yaml. What is being deleted never reaches a health check: Progressing."""
    alike = defaultdict(list)
    for cell, found in frozen.items():
        if judge(found) != TERMINATING:
            alike[seen_by_argo_cd(found)].append(cell)

    def ask(cells):
        file = tmp_path / f"{'-'.join(cells[0])}.yaml".replace(" ", "-")
        file.write_text(yaml.safe_dump(frozen[cells[0]]))
        asked = (
            "admin",
            "settings",
            "resource-overrides",
            "health",
            file,
            "--argocd-cm-path",
            MANIFESTS / "argocd-cm.yaml",
        )
        answer = subprocess.run(
            [argocd_programs.resolve("argocd"), *asked], capture_output=True, text=True, check=True, timeout=60
        )
        return answer.stdout

    with ThreadPoolExecutor(2) as several:
        answers = list(several.map(ask, alike.values()))
    told = {cell: answer for cells, answer in zip(alike.values(), answers, strict=True) for cell in cells}
    judged = {cell: re.search(r"STATUS: (\w+)", answer)[1] for cell, answer in told.items()}
    assert judged == {cell: ROWS[cell[1]][3] for cell in judged}
    for cell, answer in told.items():
        if ROWS[cell[1]][3] in {"Degraded", "Suspended"} and cell in {cells[0] for cells in alike.values()}:
            kinds = ("Paused", "Stalled", "Reconciling")
            said = next(m for m in (condition(frozen[cell], kind).get("message") for kind in kinds) if m)
            assert said in answer, "the operator's own message"


def seen_by_argo_cd(found):
    """What a health check can tell apart: many objects are one case for it."""
    status = found.get("status") or {}
    conditions = tuple((c["type"], c["status"], c["reason"]) for c in status.get("conditions") or ())
    return status.get("observedGeneration") == found["metadata"]["generation"], conditions


def test_conditions_are_told_only_while_they_are_true_and_never_both(chronicle, frozen):
    """In every version that there ever was: what is abnormal is there while it is, Ready always, reasons are given."""
    for found in all_versions(chronicle):
        told = {c["type"]: c for c in (found.get("status") or {}).get("conditions") or ()}
        if not told:
            assert found["status"] == {"observedGeneration": -1}
            continue
        assert "Ready" in told
        assert not {"Reconciling", "Stalled"} <= told.keys()
        assert all(told[kind]["status"] == "True" for kind in ("Reconciling", "Stalled", "Paused") if kind in told)
        assert all(re.fullmatch(r"[A-Z][A-Za-z0-9]+", c["reason"]) for c in told.values()), told
        assert all(c["message"] for c in told.values()), told


# --- a whole life ----------------------------------------------------------------------------------------------------


def all_versions(chronicle):
    return [version for found in chronicle.objects() for version in versions(chronicle, found)]


def versions(chronicle, found):
    return chronicle.versions(found["kind"], found["metadata"]["name"])


@pytest.mark.parametrize("subject", SUBJECTS)
def test_nothing_is_called_failed_on_its_way_nor_ready_and_then_not(chronicle, frozen, scenes, subject):
    """From the first second: InProgress until it is there (which was looked at from outside), then Current."""
    for row in ("ready", "unseen", "drifted", "paused", "deleting"):
        scene = scenes.of[subject][row]
        if scene.why:
            continue
        first, *others = [judge(version) for version in versions(chronicle, frozen[subject, row])]
        assert first == IN_PROGRESS
        course = [IN_PROGRESS, *others]
        turns = [status for number, status in enumerate(course) if status != course[number - 1] or number == 0]
        assert turns[:2] == [IN_PROGRESS, CURRENT], f"{row}: {turns}"
        assert FAILED not in turns, f"{row}: {turns}"
