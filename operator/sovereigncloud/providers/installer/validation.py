"""The Job of OpenNebula's own suite, one-deploy-validation: its manifest, and what its pod said at its end."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import yaml

from sovereigncloud.api.common.base import GROUP
from sovereigncloud.ports.errors import Conflict, OutsideError
from sovereigncloud.ports.installer.validation import Validation, ValidationState
from sovereigncloud.providers.installer.job_api import JobApi, job_of, only_one, state_of
from sovereigncloud.providers.installer.pod import file, pod

Json = dict[str, Any]

VALIDATION_LABEL = f"{GROUP}/validation"
REPORTS = "/reports"

_DEADLINE = 10800  # seconds; benchmarks and test machines on every network
_NAME = 38
_TOLD = 300

SWITCHES = {
    "CoreServices": "run_core_services",
    "OneFlow": "run_one_flow",
    "Networks": "networks_verification",
    "StorageBenchmark": "run_storage_benchmark",
    "NetworkBenchmark": "run_network_benchmark",
    "TestVM": "run_test_vm",
}
"""The suite's own switches, by the names of the test cases here."""
_ALWAYS_OFF = ("run_conn_matrix", "run_ldap_auth", "run_vm_ha", "run_fe_ha", "run_federation")
"""As in the configuration that the suite recommends: they need what not every cloud has, or a person at the keyboard."""
_ALPINE = "Alpine Linux 3.21"
_REACHED = "downloads.opennebula.io"
_SERVICES = {
    "opennebula.service": "OpenNebula core (oned)",
    "opennebula-gate.service": "OpenNebula gate",
    "opennebula-flow.service": "OpenNebula flow",
    "opennebula-fireedge.service": "OpenNebula Fireedge GUI",
}


async def validation_state(api: JobApi, wanted: Validation) -> ValidationState:
    """Absent, Running or Ended."""
    namespace, name = wanted.installation.namespace, job_name(wanted)
    found = await api.job(namespace, name)
    if found is None:
        return ValidationState("Absent")
    state = state_of(found)
    if state.state == "Running":
        return ValidationState("Running", state.message)
    try:
        pods = await api.pods(namespace, f"job-name={name}")
    except OutsideError as error:
        return ValidationState("Ended", f"its pod cannot be asked: {error}")
    said = next(filter(None, map(_said, pods)), "")
    return read_result(said) or ValidationState("Ended", said[:_TOLD] or state.message or f"Job {name} left no result")


async def start_validation(api: JobApi, wanted: Validation, image: str, environment: Mapping[str, str]) -> None:
    """Make the Job unless it is there, finished or not. Raises Conflict while another one of the cloud runs."""
    namespace, name = wanted.installation.namespace, job_name(wanted)
    if await api.job(namespace, name) is not None:
        return
    await only_one(api, namespace, wanted.installation.cloud, name)
    try:
        await api.create_job(namespace, manifest(wanted, image, environment))
    except Conflict:
        return  # of the same name, so the same run


def job_name(wanted: Validation) -> str:
    """Named by the run: it is never made twice."""
    return f"{wanted.installation.cloud[:_NAME].rstrip('-.')}-validate-{wanted.run}"


def directory(wanted: Validation) -> str:
    """Where the report is, in the volume."""
    return f"{wanted.installation.namespace}/{wanted.installation.cloud}/{wanted.run}"


def _said(pod_: Mapping[str, Any]) -> str:
    statuses = (pod_.get("status") or {}).get("containerStatuses") or ()
    told = [((s.get("state") or {}).get("terminated") or {}).get("message") or "" for s in statuses]
    return str(next(filter(None, told), ""))


def read_result(said: str) -> ValidationState | None:
    """What `validation_summary.py` wrote; None: it is something else."""
    try:
        told = json.loads(said)
        results = {str(k): (str(r), str(m)) for k, (r, m) in told["checks"].items()}
        return ValidationState("Ended", "", results, str(told.get("digest", "")), str(told.get("path", "")))
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def variables(wanted: Validation) -> Json:
    """The suite's configuration: what it recommends, with the switches of the cloud."""
    network = {"vnet_name": wanted.network} if wanted.network else {}
    suite: Json = {variable: wanted.switches.get(name, True) for name, variable in SWITCHES.items()}
    suite |= dict.fromkeys(_ALWAYS_OFF, False)
    suite |= {
        "core_services": {
            "service_list": [{"name": name, "desc": desc} for name, desc in _SERVICES.items()],
            "check_fireedge_ui": True,
        },
        "network": {"ext_host": _REACHED},
        "storage_benchmark": dict(network),
        "network_benchmark": {"iperf_port": 5201, "iperf_test_time": 10},
        "test_vm": {"vm": {"check_connection": True, "market_name": _ALPINE}, "create_vnet": False, **network},
    }
    cloud = wanted.installation
    return {
        "validation": suite,
        "prompt_report_customer": f"{cloud.namespace}/{cloud.cloud}",
        "prompt_report_document_version": str(wanted.run),
        "prompt_report_abstract": "",
        "prompt_report_revision_comment": "",
        "prompt_report_revision_version": "",
    }


def manifest(wanted: Validation, image: str, environment: Mapping[str, str]) -> Json:
    """The Job. Its pod is the installer's, with another command and a volume for the report."""
    labels = {VALIDATION_LABEL: str(wanted.run)}
    return job_of(wanted.installation, job_name(wanted), labels, _DEADLINE, _pod(wanted, image, environment))


def _pod(wanted: Validation, image: str, environment: Mapping[str, str]) -> Json:
    extra = {
        "VARIABLES": yaml.safe_dump(variables(wanted), sort_keys=True),
        "SUMMARY": file("validation_summary.py"),
        "REPORT": f"{REPORTS}/{directory(wanted)}",
        "CHECKS": " ".join(name for name in SWITCHES if wanted.switches.get(name, True)),
    }
    made = pod(wanted.installation, image, {**environment, **extra})
    (container,) = made["containers"]
    container["command"] = ["/bin/sh", "-c", file("validate.sh")]
    container["volumeMounts"].append({"name": "reports", "mountPath": REPORTS})
    made["volumes"].append({"name": "reports", "persistentVolumeClaim": {"claimName": wanted.claim}})
    return made
