"""A renewed certificate: brought by a run of its own, once, and never instead of the installer."""

import pytest
from tests.unit.kinds.cloud_fakes import run
from tests.unit.kinds.sovereigncloud.test_architectures import NAMED, TLS, Built, machine, spec, three
from tests.unit.providers.installer.installations import GUARDED

from sovereigncloud.kinds.sovereigncloud.installation.records import CERTIFICATE_TAG, INSTALLED_TAG, inventory_hash
from sovereigncloud.ports.installer.installation import InstallState
from sovereigncloud.providers.installer.installation import job_name, manifest

RENEWED = TLS.replace("MIIB", "MIIC")


def names(plan):
    return tuple(type(s).__name__ for s in plan.steps)


def scene(made=None, *, brought=True):
    """A cloud with a certificate, installed by its first run."""
    found = Built(spec=made or spec(access=NAMED))
    machine(found)
    if brought:
        from sovereigncloud.kinds.endpoint.certificate_source import observe_certificate  # noqa: PLC0415

        digest = run(observe_certificate(found.cloud, found.world)).digest
        found.account.servers["ns1"].tags[CERTIFICATE_TAG] = digest
    return found


def renew(found):
    found.world.kubernetes.secrets["platform", "one-tls"]["tls.crt"] = RENEWED


def end(found, state="Succeeded", message=""):
    jobs = found.world.installer.jobs
    jobs.update({digest: InstallState(state, message) for digest in jobs})


def test_at_rest_nothing_is_done():
    assert names(scene().plan()) == ()


def test_a_renewed_one_is_brought_without_consent_though_there_are_machines():
    found = scene()
    renew(found)
    plan = found.plan()
    assert names(plan) == ("BringCertificate",)
    assert not plan.steps[0].needs
    assert plan.steps[0].target == "certificate of one.example.fr on one-1"


def test_only_front_ends_are_touched():
    found = scene(three(access=NAMED))
    renew(found)
    (step,) = found.plan().steps
    assert [t.name for t in step.installation.targets] == ["one-1", "one-2", "one-3"]
    found = scene()
    renew(found)
    (step,) = found.plan().steps
    assert [t.name for t in step.installation.targets] == ["one-1"]


@pytest.mark.parametrize("lost", ["ok", "before", "lost"])
def test_it_is_brought_once_whatever_is_lost(lost):
    found = scene()
    renew(found)
    found.world.installer.faults = [lost]
    found.account.faults = [lost]
    loop = found.loop()

    async def go():
        for _ in range(6):
            await loop.once()
            found.world.clock.pass_(61)
            end(found)

    run(go())
    assert list(found.world.installer.started.values()) == [1]
    assert found.world.installer.last.only_certificate
    assert names(found.plan()) == ()


def test_while_it_is_brought_the_cloud_stays_ready():
    found = scene()
    renew(found)
    looked = run(found.loop().once())
    assert (looked.outcome.reason, looked.outcome.available) == ("UpdatingCertificate", True)


def test_a_failure_is_told_and_begun_anew_when_its_job_is_deleted():
    found = scene()
    renew(found)
    run(found.loop().once())
    end(found, "Failed", "certificate.yml failed in TASK [Reload] on one-1")
    plan = found.plan()
    assert plan.outcome.reason == "InstallationFailed"
    assert "TASK [Reload] on one-1" in plan.outcome.message
    found.world.installer.jobs.clear()
    assert names(found.plan()) == ("BringCertificate",)


def test_before_the_installer_made_a_place_for_it_nothing_is_brought():
    """Access was declared afterwards: that is a matter of the installer, which waits for consent."""
    found = Built()
    machine(found)
    found.raw["spec"]["hosted"]["access"] = NAMED
    assert names(found.plan()) == ("InstallOpenNebula",)


def test_the_installer_brings_it_along():
    found = Built("servers", spec(access=NAMED))
    run(found.loop().once())
    tags = found.account.servers["ns1"].tags
    assert len(tags[CERTIFICATE_TAG]) == 8
    assert tags[INSTALLED_TAG] == inventory_hash(found.cloud)


def test_its_job_runs_one_playbook_and_has_a_name_of_its_own():
    from dataclasses import replace  # noqa: PLC0415

    renewal = replace(GUARDED, hash=f"{GUARDED.hash}-89abcdef", only_certificate=True)
    assert job_name(renewal).startswith("ovh-rbx-certificate-")
    assert job_name(replace(renewal, hash=f"{GUARDED.hash}-00000000")) != job_name(renewal)
    pod = manifest(renewal, "i", {})["spec"]["template"]["spec"]
    told = {e["name"]: e["value"] for e in pod["containers"][0]["env"]}
    assert told["PLAYBOOKS"] == "certificate.yml"
    assert {v["name"] for v in pod["volumes"]} == {"runner", "credentials", "certificate", "bastion"}
