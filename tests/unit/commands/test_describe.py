"""`sovereign describe`: what is shown of objects in a cluster, on a fake of it that fails every write."""

import pytest
from tests.unit.commands.cli_fakes import (
    CLOUD_SPEC,
    CLOUD_STATUS,
    INSTANCE_SPEC,
    INSTANCE_STATUS,
    NOON,
    Outside,
    body,
    ready,
)
from typer.testing import CliRunner

from sovereigncloud.cli import app
from sovereigncloud.commands.shared.kind_names import kind_of, parse, short_name
from sovereigncloud.commands.shared.terminal import age

SECRETS = {("team", "one"): {"username": "oneadmin", "password": "hunter2"}}
EARLIER = "2026-07-01T11:20:00Z"


def condition(kind, status, reason, message="", since=EARLIER):
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": since}


def waiting(reason, message, **more):
    return {
        "observedGeneration": 1,
        "conditions": [condition("Ready", "False", reason, message), condition("Reconciling", "True", reason, message)],
        **more,
    }


def stuck(reason, message, **more):
    return {
        "observedGeneration": 1,
        "conditions": [condition("Ready", "False", reason, message), condition("Stalled", "True", reason, message)],
        **more,
    }


def cloud(status=CLOUD_STATUS, **metadata):
    return body("SovereignCloud", "paris", CLOUD_SPEC, status, **metadata)


def instance(status=INSTANCE_STATUS, name="web", spec=None, **metadata):
    return body("HostedInstance", name, INSTANCE_SPEC | (spec or {}), status, **metadata)


def composed_network(status):
    owner = {
        "apiVersion": "sovereigncloud.io/v1alpha1",
        "kind": "SovereignCloud",
        "name": "paris",
        "uid": "uid-paris",
        "controller": True,
    }
    return body(
        "VirtualNetwork", "paris-lan", {"cloudRef": {"name": "paris"}, "vlanID": 5}, status, ownerReferences=[owner]
    )


def describe(*words, bodies, options=(), **cluster):
    outside = Outside().with_cluster(*bodies, **{"secrets": SECRETS, **cluster})
    result = CliRunner().invoke(app, ["describe", *words, *options], obj=outside.connections)
    assert outside.writes == []
    assert "hunter2" not in result.output
    return result


def section(result, title):
    """The lines under a heading, spaces squeezed."""
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    if title not in lines:
        return []
    rest = lines[lines.index(title) + 1 :]
    end = rest.index("") if "" in rest else len(rest)
    return [" ".join(line.split()) for line in rest[:end]]


def tree(result):
    assert result.exit_code == 0, result.output
    return [line.rstrip() for line in result.stdout.split("\n\n")[0].splitlines()]


# --- the tree ------------------------------------------------------------------------------------------------------------


def test_the_tree_shows_what_it_uses_composed_and_is_used_by():
    bodies = [cloud(), composed_network(ready()), instance(), instance(waiting("Creating", "VM is being made"), "db")]
    assert tree(describe("scloud/paris", bodies=bodies)) == [
        "SovereignCloud paris  Ready 2h",
        "├── uses",
        "│   └── Secret one  there",
        "├── composed (1/1 ready)",
        "│   └── VirtualNetwork paris-lan  Ready 2h",
        "└── used by (1/2 ready)",
        "    ├── HostedInstance db  Creating 40m",
        "    └── HostedInstance web  Ready 2h",
    ]


def test_what_was_composed_shows_by_what():
    assert tree(describe("onevnet/paris-lan", bodies=[cloud(), composed_network(ready())])) == [
        "SovereignCloud paris  Ready 2h  composed it",
        "└── VirtualNetwork paris-lan  Ready 2h",
    ]


def test_of_thousands_that_use_it_the_first_that_are_not_ready_are_named():
    many = [instance(ready(), f"vm-{n:02}") for n in range(40)]
    shown = tree(describe("scloud/paris", bodies=[cloud(), *many, instance(stuck("NotFound", "no such image"), "zzz")]))
    assert "    ├── HostedInstance zzz  NotFound 40m" in shown
    assert shown[-1] == "    └── and 21 more"
    assert "└── used by (40/41 ready)" in shown


@pytest.mark.parametrize(("secrets", "shown"), [(SECRETS, "Secret one  there"), ({}, "Secret one  missing")])
def test_a_secret_is_there_or_missing_and_never_shown(secrets, shown):
    assert shown in describe("scloud/paris", bodies=[cloud()], secrets=secrets).stdout


def test_a_reference_to_nothing_is_in_the_tree():
    assert tree(describe("hinst/web", bodies=[instance()]))[-1].endswith(
        "SovereignCloud paris  does not exist, or may not be read"
    )


def test_drift_and_deletion_are_on_the_label():
    result = describe(
        "hinst/web", bodies=[cloud(), instance(ready(driftCount=2), deletionTimestamp=EARLIER, finalizers=["x/y"])]
    )
    assert tree(result)[0] == "HostedInstance web  deleting Ready 2h  drift 2"
    assert "being deleted for 40m" in section(result, "Now")


# --- what it waits for -----------------------------------------------------------------------------------------------------


def test_the_cause_is_followed_to_where_it_is():
    bodies = [
        cloud(waiting("WaitingForNetworks", "network lan: not looked at yet")),
        composed_network(stuck("VrackNotFound", "there is no vRack pn-9")),
        instance(waiting("WaitingForDependency", "waits for SovereignCloud team/paris to answer")),
    ]
    assert section(describe("hinst/web", bodies=bodies), "Waits for") == [
        "WaitingForDependency: waits for SovereignCloud team/paris to answer",
        "<- SovereignCloud team/paris: WaitingForNetworks: network lan: not looked at yet",
        "<- VirtualNetwork team/paris-lan: VrackNotFound: there is no vRack pn-9",
    ]


def test_at_rest_it_waits_for_nothing_and_nothing_is_to_be_done():
    result = describe("hinst/web", bodies=[cloud(), instance()])
    assert section(result, "Waits for") == []
    assert section(result, "Do next") == []


@pytest.mark.parametrize(
    ("made", "advice", "why"),
    [
        (instance({"observedGeneration": -1}), "see that the operator runs and holds its Lease", "nobody has looked yet"),
        (instance(ready(), generation=2), "see that the operator runs and holds its Lease", "a newer generation waits"),
        (instance(ready(), annotations={"sovereigncloud.io/paused": "true"}),
         "let it go on: kubectl annotate hinst/web -n team sovereigncloud.io/paused-", "paused"),
        (instance(waiting("ApprovalRequired", "plan abc waits", plan={"hash": "abc", "steps": []}), spec={"management": "Approve"}),
         """kubectl patch hinst/web -n team --type merge -p '{"spec":{"approvedPlan":"abc"}}'""", "a plan to approve"),
        (instance(waiting("ApprovalRequired", "a restart", plan={"hash": "abc", "steps": [
            {"action": "Update", "target": "VM", "needs": "spec.updatePolicy.powerCycle: Allow"}]})),
         "set spec.updatePolicy.powerCycle: Allow", "consent to a restart"),
        (instance(waiting("InUse", "in use by x")), "delete or move what uses it", "in use"),
        (instance(stuck("ExternallyDeleted", "VM 12 was terminated")), "set spec.updatePolicy.replace: Allow", "terminated"),
        (instance(stuck("NetworkError", "x")), "kubectl annotate hinst/web -n team sovereigncloud.io/reconcile-requested-at=",
         "any other reason: how to have it looked at at once"),
        (instance(waiting("Creating", "x")), "wait: it goes on by itself", "under way"),
        (instance(ready(), annotations={"sovereigncloud.io/reconcile-requested-at": "t1"}), "a look was asked for (t1)",
         "asked for, not yet handled"),
    ],
)  # fmt: skip
def test_it_says_what_to_do_next(made, advice, why):
    said = section(describe("hinst/web", bodies=[cloud(), made]), "Do next")
    assert any(advice in line for line in said), (why, said)


def test_what_only_a_person_can_do_is_said_line_by_line():
    commands = ["# on the front-end of team/paris, as root:", "systemctl restart opennebula"]
    spec = {"cloudRef": {"name": "paris"}, "role": "Master"}
    zone = body("FederatedZone", "paris", spec, waiting("ManualStepRequired", "nobody gets in", commands=commands))
    assert section(describe("fzone/paris", bodies=[cloud(), zone]), "Do next") == [
        "type this, line by line:",
        *commands,
    ]


def test_a_missing_secret_is_to_be_created():
    missing = cloud(waiting("SecretMissing", "Secret team/one does not exist"))
    assert section(describe("scloud/paris", bodies=[missing], secrets={}), "Do next") == [
        "create the Secret one in namespace team"
    ]


# --- details -----------------------------------------------------------------------------------------------------------------


def test_the_details_have_live_ages():
    status = ready(
        external={"vm": "12"},
        state="Running",
        addresses=["10.0.0.5", "10.0.0.6"],
        placement={"cloud": "team/paris", "host": "one-1"},
        drift=[{"path": "spec.memory", "desired": "4Gi", "observed": "2Gi", "action": "Correcting", "since": EARLIER}],
        plan={
            "hash": "abcd",
            "steps": [{"action": "Update", "target": "VM 12", "fields": ["spec.memory"], "disruption": "Restart"}],
        },
    )
    events = (
        {
            "involvedObject": {"name": "web"},
            "lastTimestamp": "2026-07-01T11:00:00Z",
            "type": "Normal",
            "reason": "Created",
            "message": "VM 12 created",
        },
        {
            "involvedObject": {"name": "web"},
            "lastTimestamp": EARLIER,
            "type": "Warning",
            "reason": "DriftDetected",
            "message": "memory",
            "count": 3,
        },
        {
            "involvedObject": {"name": "other"},
            "lastTimestamp": EARLIER,
            "type": "Normal",
            "reason": "Elsewhere",
            "message": "x",
        },
    )
    result = describe("hinst/web", bodies=[cloud(), instance(status)], events=events)
    now = section(result, "Now")
    for line in ("age 3d", "generation 1, looked at: 1", "state Running", "addresses 10.0.0.5", "10.0.0.6", "outside: vm 12",
                 "placement cloud team/paris, host one-1", "when deleted Delete what exists outside"):  # fmt: skip
        assert line in now
    assert "Ready True 2h AsDeclared as declared" in section(result, "Conditions")
    assert "spec.memory 4Gi 2Gi Correcting 40m" in section(result, "Drift")
    assert "Update VM 12 spec.memory Restart - -" in section(result, "Plan")
    assert section(result, "Last steps")[2:] == [
        "1h Normal Created VM 12 created",
        "40m Warning DriftDetected memory (x3)",
    ]


LOCATIONS = [
    {
        "name": "cluster/default/RBX", "covers": ["compute"], "country": "FR", "datacenter": "RBX", "grade": "Observed",
        "source": "OVHcloud region eu-west-rbx of server ns1", "since": EARLIER, "hosts": ["192.0.2.1"],
    },
    {"name": "cluster/default/unknown", "grade": "None", "source": "host h9: no server has that address", "since": EARLIER},
]  # fmt: skip


def test_where_a_cloud_is_has_a_table_of_its_own():
    result = describe("scloud/paris", bodies=[cloud(CLOUD_STATUS | {"locations": LOCATIONS, "country": "FR, unknown"})])
    header, _, known, unknown = section(result, "Where it is")
    assert header == "PART COUNTRY DATACENTER GRADE FOR SOURCE"
    assert known == "cluster/default/RBX FR RBX Observed 40m OVHcloud region eu-west-rbx of server ns1"
    assert unknown == "cluster/default/unknown unknown - None 40m host h9: no server has that address"
    facts = section(result, "Now")
    assert any("FR, unknown" in line for line in facts)
    assert not any("locations" in line for line in facts)


def test_management_that_comes_from_the_cloud_is_said():
    watched = body("SovereignCloud", "paris", CLOUD_SPEC | {"management": "Observe"}, CLOUD_STATUS)
    now = section(describe("hinst/web", bodies=[watched, instance()]), "Now")
    assert "management Observe (as what it is in says; its own is Manage)" in now


# --- what cannot be shown ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said", "why"),
    [
        (["hinst/wbe"], "there is no HostedInstance wbe in namespace team: did you mean web?", "a typing error"),
        (["scloud/web"], "there is no SovereignCloud web in namespace team: did you mean paris?", "the few that there are"),
        (["bms/one-1"], "there is no BareMetalServer one-1 in namespace team, nor any other", "none at all"),
        (["hinst/web", "-n", "prod"], "there is one in namespace team: -n team", "another namespace"),
        (["hints/web"], "there is no kind hints: did you mean hinst?", "a kind mistyped"),
        (["pod/web"], "it is one of SovereignCloud (scloud)", "not ours: ours are listed"),
        (["wbe"], "there is no object wbe in namespace team: did you mean hinst/web", "no kind, and a typing error"),
        (["hinst/"], "write KIND/NAME", "no name"),
        (["hinst/a/b"], "write KIND/NAME", "too much"),
        (["hinst"], "which HostedInstance? Write hinst/NAME", "a kind alone"),
        (["hinst", "web", "db"], "one object at a time", "several"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_one_line(words, said, why):
    result = describe(*words, bodies=[cloud(), instance()])
    assert result.exit_code == 1, why
    assert said in result.stderr, why
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("outside", "said"),
    [
        (Outside(), "no cluster to look into: no kubeconfig: set KUBECONFIG, or give --kubeconfig or --context"),
        (Outside().with_cluster(silent=True), "no answer from the cluster at https://fake:6443"),
        (Outside().with_cluster(only=frozenset()), "cannot read sovereignclouds from the cluster"),
        (Outside().with_cluster(body("HostedInstance", "web", {"source": 5})), "holds what this version does not understand: spec.source"),
    ],
)  # fmt: skip
def test_a_cluster_that_cannot_be_read_is_one_line(outside, said):
    result = CliRunner().invoke(app, ["describe", "hinst/web"], obj=outside.connections)
    assert result.exit_code == 1
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("typed", "kind"),
    [
        ("hinst", "HostedInstance"),
        ("HostedInstance", "HostedInstance"),
        ("hostedinstances", "HostedInstance"),
        ("hostedinstances.sovereigncloud.io", "HostedInstance"),
        ("hostedinstances.v1alpha1.sovereigncloud.io", "HostedInstance"),
        ("BMS", "BareMetalServer"),
        ("onevnet", "VirtualNetwork"),
        ("mimg", "MachineImage"),
        ("scloud", "SovereignCloud"),
    ],
)
def test_kinds_are_typed_as_kubectl_takes_them(typed, kind):
    assert kind_of(typed) == kind
    assert parse([f"{typed}/a"]) == parse([typed, "a"]) == (kind, "a")
    assert kind_of(short_name(kind)) == kind


@pytest.mark.parametrize(
    ("since", "shown"),
    [
        ("2026-07-01T11:59:15Z", "45s"), ("2026-07-01T11:48:00Z", "12m"), ("2026-07-01T08:48:00Z", "3h12m"),
        ("2026-07-01T09:00:00Z", "3h"), ("2026-06-27T10:00:00Z", "4d2h"), ("2026-06-01T12:00:00Z", "30d"),
        ("2026-07-01T12:00:05Z", "0s"), ("", "-"), (None, "-"), ("yesterday", "-"),
    ],
)  # fmt: skip
def test_ages_are_as_kubectl_writes_them(since, shown):
    assert age(since, NOON) == shown
