"""The workflows of GitHub, as far as they can be judged without GitHub: what they run is there, what they use is pinned, what they may is
little.
"""

import re
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).parents[3]
FILES = sorted((REPOSITORY / ".github" / "workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z][\w-]*):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
PINNED = re.compile(r"uses: [\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")
WRITES = {"contents", "packages", "id-token", "attestations"}

every_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)


def read(file):
    # YAML 1.1 reads `on` as true.
    return yaml.safe_load(file.read_text().replace("\non:", '\n"on":'))


def jobs(file):
    return read(file)["jobs"]


def steps(file):
    return [step for job in jobs(file).values() for step in job["steps"]]


def test_there_are_the_two():
    assert [file.name for file in FILES] == ["ci.yml", "release.yml"]


@every_file
def test_every_action_is_pinned_by_commit_with_its_version_beside_it(file):
    lines = [line.strip().removeprefix("- ") for line in file.read_text().splitlines() if "uses:" in line]
    assert lines
    assert [line for line in lines if not PINNED.fullmatch(line)] == []


def test_an_action_has_one_version_in_all_files():
    used = {line.split("uses: ")[1] for file in FILES for line in file.read_text().splitlines() if "uses: " in line}
    assert len(used) == len({line.split("@")[0] for line in used})


@every_file
def test_rights_are_none_or_to_read_unless_a_job_says_more(file):
    assert read(file)["permissions"] in ({}, {"contents": "read"})
    for name, job in jobs(file).items():
        written = {right for right, level in job.get("permissions", {}).items() if level == "write"}
        assert written <= (WRITES if name == "publish" else set()), name


@every_file
def test_no_job_hangs_and_none_keeps_a_token_in_the_checkout(file):
    for job in jobs(file).values():
        assert job["timeout-minutes"] <= 90
        assert job["runs-on"] == "ubuntu-24.04"
        for step in job["steps"]:
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False


@every_file
def test_what_is_run_is_there(file):
    for step in steps(file):
        run = step.get("run", "")
        assert set(re.findall(r"\bmake (\w[\w-]*)", run)) <= TARGETS, run
        for path in re.findall(r"\b((?:tests|release|docs|charts)/[\w./-]+\.\w+)", run):
            assert (REPOSITORY / path).exists(), path
        # What an event says may be written by a stranger: it reaches a shell through the environment only.
        assert "${{" not in run, run


@every_file
def test_what_a_step_or_job_refers_to_exists(file):
    defined = jobs(file)
    for job in defined.values():
        needs = [job["needs"]] if isinstance(job.get("needs"), str) else job.get("needs", [])
        assert set(needs) <= defined.keys()
        text = yaml.safe_dump(job)
        assert set(re.findall(r"needs\.(\w+)\.outputs", text)) <= set(needs)
        ids = {step.get("id") for step in job["steps"]}
        assert set(re.findall(r"steps\.(\w+)\.outputs", text)) <= ids
        for needed, output in re.findall(r"needs\.(\w+)\.outputs\.(\w+)", text):
            assert output in defined[needed]["outputs"]


def test_a_release_signs_what_it_pushes_and_tests_before():
    release = FILES[-1].read_text()
    for word in (
        "make test",
        "make dist",
        "diff -r first dist",
        "cosign sign",
        "sbom-path: dist/sbom.cdx.json",
        "subject-checksums: dist/SHA256SUMS",
        "helm push",
    ):
        assert word in release, word
    assert jobs(FILES[-1])["publish"]["needs"] == "files"
    assert "secrets." not in release, "nothing is signed or pushed with a stored key"


def test_ci_runs_what_a_person_runs():
    assert "make test" in (REPOSITORY / ".ci" / "run").read_text()
    assert "run: make test" in FILES[0].read_text()
