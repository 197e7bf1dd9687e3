"""One stage for all tests here, and beside it another one that rests for ten minutes (at_rest.py)."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.integration.argocd.gitops import Folder, namespace
from tests.integration.argocd.started import started
from tests.integration.conftest import QUICK

from sovereigncloud_sandbox.chronicle import Chronicle

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
RESTING = pytest.StashKey[Path]()
PROCESS = pytest.StashKey[subprocess.Popen]()
RESTS = "resting"
"""The fixture of the test that judges the ten minutes."""


def pytest_collection_modifyitems(items):
    """That test comes last: by then the ten minutes are over."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.argocd)
    items.sort(key=lambda item: RESTS in getattr(item, "fixturenames", ()))


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session):
    """Begin to rest before the first test, once everything is built; with several workers the first one begins."""
    config = session.config
    if config.option.collectonly or not any(RESTS in getattr(item, "fixturenames", ()) for item in session.items):
        return
    worker = hasattr(config, "workerinput")
    base = config._tmp_path_factory.getbasetemp()
    directory = (base.parent if worker else base) / "at-rest"
    config.stash[RESTING] = directory
    try:
        directory.mkdir()
    except FileExistsError:
        return
    with (directory / "log").open("wb") as log:
        config.stash[PROCESS] = subprocess.Popen(
            [sys.executable, str(HERE / "at_rest.py"), str(directory), str(os.getppid() if worker else os.getpid())],
            stdout=log,
            stderr=log,
            env={**os.environ, "PYTHONPATH": f"{ROOT / 'operator'}{os.pathsep}{ROOT}"},
            start_new_session=True,
        )


@pytest.fixture(scope="session")
def resting(pytestconfig):
    """Where the process that rests writes its report."""
    return pytestconfig.stash[RESTING]


@pytest.fixture(scope="session")
def gitops(tmp_path_factory, argocd_programs):
    with started(tmp_path_factory.mktemp("argocd"), argocd_programs, QUICK) as everything:
        yield everything


@pytest.fixture(scope="session")
def chronicle(gitops):
    """Every version of every object of ours."""
    with Chronicle(gitops.stage.cluster.kubeconfig) as told:
        yield told


@pytest.fixture
def make_folder(gitops):
    """Makes folders of one test with the foundation of a cloud in each; Application and namespace go with the test."""
    made = []

    def make(name, **options):
        cloud = gitops.cloud(name, **options)
        folder = Folder(gitops, name)
        folder.put(namespace(name), *cloud.foundation())
        made.append((cloud, folder))
        return cloud, folder

    yield make
    for cloud, folder in made:
        gitops.stage.heal(cloud.name)
        folder.argo.terminate(folder.name)
        folder.delete()
