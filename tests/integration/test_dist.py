"""The files of a release: made twice, in two folders, from two copies, in two time zones, under two umasks, and the same bytes."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml

import sovereigncloud

REPOSITORY = Path(__file__).parents[2]
VERSION = sovereigncloud.__version__
NEEDED = (
    "charts",
    "crds",
    "manifests",
    "operator",
    "release",
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "requirements.runtime.lock",
)
WHEN = 1_790_000_000

pytestmark = pytest.mark.timeout(600)


def make(folder, zone, umask, clock):
    """`make dist` in a copy of the repository without Git; `clock` is the time of its files."""
    for name in NEEDED:
        source, target = REPOSITORY / name, folder / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"), copy_function=shutil.copyfile)
        else:
            shutil.copyfile(source, target)
    for path in folder.rglob("*"):
        os.utime(path, (clock, clock))
    finished = subprocess.run(
        [sys.executable, folder / "release" / "dist.py", "--output", folder / "dist"],
        env={**os.environ, "TZ": zone, "SOURCE_DATE_EPOCH": str(WHEN), "PYTHONPATH": str(folder / "operator")},
        umask=umask, cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    return folder / "dist"


@pytest.fixture(scope="module")
def twice(tmp_path_factory, programs):
    first = make(tmp_path_factory.mktemp("first"), "UTC", 0o022, 1_700_000_000)
    second = make(tmp_path_factory.mktemp("a-folder-of-another-name"), "Asia/Tokyo", 0o077, 1_750_000_000)
    return first, second


@pytest.fixture(scope="module")
def dist(twice):
    return twice[0]


def sums(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_twice_the_same_bytes(twice):
    first, second = map(sums, twice)
    assert first == second


def test_all_of_it_is_there_with_its_checksum(dist):
    told = dict(reversed(line.split("  ")) for line in (dist / "SHA256SUMS").read_text().splitlines())
    found = sums(dist)
    del found["SHA256SUMS"]
    assert told == found
    charts = {yaml.safe_load(path.read_text())["name"] for path in (REPOSITORY / "charts").glob("*/Chart.yaml")}
    assert found.keys() == {
        f"sovereign_cloud_operator-{VERSION}-py3-none-any.whl",
        f"sovereign_cloud_operator-{VERSION}.tar.gz",
        "install.yaml",
        "sbom.cdx.json",
        *(f"{chart}-{VERSION}.tgz" for chart in charts),
    }


def test_every_time_in_it_is_the_commits(dist):
    for path in dist.glob("*.tgz"):
        with tarfile.open(path) as packed:
            assert {member.mtime for member in packed.getmembers()} == {WHEN}, path.name
    with tarfile.open(next(dist.glob("*.tar.gz"))) as packed:
        assert {member.mtime for member in packed.getmembers()} == {WHEN}
    with zipfile.ZipFile(next(dist.glob("*.whl"))) as packed:
        assert len({entry.date_time for entry in packed.infolist()}) == 1


def test_no_path_of_this_machine_is_in_it(dist, tmp_path):
    for path in dist.glob("*.t*gz"):
        with tarfile.open(path) as packed:
            packed.extractall(tmp_path, filter="data")
    texts = [
        path
        for folder in (dist, tmp_path)
        for path in folder.rglob("*")
        if path.suffix in {".json", ".yaml", ".md", ".txt"}
    ]
    home = str(Path(sys.prefix).parent)
    assert [path.name for path in texts if home in path.read_text()] == []


def test_install_yaml_is_the_base(dist, control_plane):
    """What kubectl applies from one file is what it applies from the folder (which the API server takes: test_manifests.py)."""

    def objects(text):
        documents = [document for document in yaml.safe_load_all(text) if document]
        return {(one["kind"], one["metadata"]["name"]): one for one in documents}

    base = control_plane.kubectl("kustomize", str(REPOSITORY / "manifests" / "base")).stdout
    assert objects((dist / "install.yaml").read_text()) == objects(base)


def test_the_bill_lists_what_the_image_runs(dist):
    bill = json.loads((dist / "sbom.cdx.json").read_text())
    assert bill["metadata"]["component"]["version"] == VERSION
    assert bill["metadata"]["timestamp"] == "2026-09-21T14:13:20Z"
    listed = {(one["name"].lower().replace("_", "-"), one["version"]) for one in bill["components"]}
    pinned = re.findall(
        r"^([a-z0-9.\-_]+)==(\S+)", (REPOSITORY / "requirements.runtime.lock").read_text(), re.MULTILINE
    )
    assert listed == set(pinned)
    assert all(reference["hashes"] for one in bill["components"] for reference in one["externalReferences"][:1])


def test_without_git_and_without_a_time_it_says_what_to_set(tmp_path):
    shutil.copytree(REPOSITORY / "release", tmp_path / "release")
    environment = {name: value for name, value in os.environ.items() if name != "SOURCE_DATE_EPOCH"}
    told = subprocess.run(
        [sys.executable, tmp_path / "release" / "dist.py"], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**environment, "PYTHONPATH": str(REPOSITORY / "operator")},
    )  # fmt: skip
    assert (told.returncode, told.stderr) == (
        1, "error: there is no Git repository to take the time from: set SOURCE_DATE_EPOCH\n",
    )  # fmt: skip
