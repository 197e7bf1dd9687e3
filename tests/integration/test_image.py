"""What the image runs, made and run as the Dockerfile says, without an engine: the tree from the locks, then not as root, without
capabilities, on a read-only root. Made once, which takes most of a minute.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

import pytest

import sovereigncloud

REPOSITORY = Path(__file__).parents[2]
MEGABYTES = 180
"""Site-packages without bytecode; the six packages of the design alone are 129."""

pytestmark = pytest.mark.timeout(1200)  # a minute on two idle cores; what else runs on them may make it ten


@pytest.fixture(scope="module")
def image():
    """A folder that everybody may enter, with `venv` in it, and `sandbox`, which the sandbox's image has beside it."""
    folder = Path(tempfile.mkdtemp(prefix="sovereign-image-", dir="/var/tmp"))
    folder.chmod(0o755)
    context = folder / "context"
    dockerfile = (REPOSITORY / "Dockerfile").read_text()
    build, _, _ = dockerfile.partition(" AS runtime")
    for line in re.findall(r"^COPY (?!--from)(.+)$", build, re.MULTILINE):
        *sources, target = line.split()
        for source in sources:
            place = context / (target if target.endswith("/") and target != "./" else "") / Path(source).name
            if (REPOSITORY / source).is_dir():
                shutil.copytree(REPOSITORY / source, context / target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(REPOSITORY / source, place)
    script = re.search(r"^RUN PYTHON=python (\S+) /venv$", dockerfile, re.MULTILINE)[1]
    # The image has bytecode, which takes a third of the time and is not looked at here.
    environment = {**os.environ, "PYTHON": sys._base_executable, "PYTHONPATH": "", "PIP_NO_COMPILE": "1"}
    made = subprocess.run(
        [context / script, folder / "venv"], cwd=context, env=environment, capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr
    copied = re.search(r"^COPY (operator/sovereigncloud_sandbox/) /(sandbox/\S+/)$", dockerfile, re.MULTILINE)
    shutil.copytree(REPOSITORY / copied[1], folder / copied[2], ignore=shutil.ignore_patterns("__pycache__", "tools"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def inside(image, *command, **environment):
    """The arguments that run a command as the image does."""
    if os.geteuid() != 0:
        pytest.skip("a mount namespace of its own needs root")
    environment = {
        "PATH": f"{image}/venv/bin:/usr/bin:/bin",
        "HOME": "/tmp",
        "PYTHONDONTWRITEBYTECODE": "1",
        **environment,
    }
    words = [f"{name}={value}" for name, value in environment.items()]
    prefix = Path(sys._base_executable).parents[1]
    unshare = ["unshare", "--mount", "--propagation", "private", REPOSITORY / "release" / "in-image.sh", prefix]
    return [*unshare, "env", "-i", *words, *command]


def output(image, *command, **environment):
    return subprocess.run(inside(image, *command, **environment), capture_output=True, text=True, check=False)


def packages(image):
    (found,) = (image / "venv" / "lib").glob("python3.*/site-packages")
    return found


def test_it_holds_the_lock_and_nothing_more(image):
    pinned = re.findall(
        r"^([a-z0-9.\-_]+)==(\S+)", (REPOSITORY / "requirements.runtime.lock").read_text(), re.MULTILINE
    )
    found = {tuple(path.name.removesuffix(".dist-info").rsplit("-", 1)) for path in packages(image).glob("*.dist-info")}
    same = {(re.sub(r"[-_.]+", "-", name).lower(), version) for name, version in found}
    assert same - {("sovereign-cloud-operator", sovereigncloud.__version__)} == set(pinned)
    assert not (image / "venv" / "bin" / "pip").exists()


def test_it_is_small(image):
    files = [path for path in packages(image).rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    size = sum(path.stat().st_size for path in files) / 1e6
    print(f"site-packages without bytecode: {size:.0f} MB")
    assert size < MEGABYTES


def test_it_runs_as_nobody_on_a_read_only_root(image):
    told = output(
        image, "sh", "-c", "id -u; sovereign version; touch /x; touch $0; touch /tmp/x && echo written", f"{image}/x"
    )
    assert told.stdout.split("\n")[:3] == ["65532", f"sovereign {sovereigncloud.__version__}", "written"]
    assert told.stderr.count("Read-only file system") == 2
    assert "doctor" in output(image, "sovereign", "--help").stdout


def test_it_is_without_the_sandbox_and_says_so(image):
    assert not list(packages(image).glob("sovereigncloud_sandbox*"))
    assert "sandbox" not in output(image, "sovereign", "--help").stdout
    told = output(image, "sovereign", "sandbox", "ovh")
    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr.startswith("error: `sandbox` is not installed here")


def test_the_sandboxs_image_has_it_with_the_packages_of_the_operators(image):
    both = {"PYTHONPATH": f"{image}/sandbox"}
    assert "sandbox" in output(image, "sovereign", "--help", **both).stdout
    for simulator in ("ovh", "opennebula", "installer"):
        told = output(image, "sovereign", "sandbox", simulator, "--help", **both)
        assert told.returncode == 0, told.stderr


def test_without_a_cluster_it_says_what_to_set(image):
    told = output(image, "sovereign", "run")
    assert told.returncode == 1
    assert re.search(r"no cluster to run against: .*: set KUBECONFIG or --context", told.stderr), told.stderr


def test_the_operator_starts_serves_and_ends(image, control_plane):
    control_plane.kubectl("create", "namespace", "image")
    kubeconfig = image / "kubeconfig"
    settings = {
        "NAMESPACE": "image",
        "INSTALLATION_ID": "image",
        "HTTP_HOST": "127.0.0.1",
        "HTTP_PORT": "0",
        "LOG_FORMAT": "text",
    }
    told = {f"SOVEREIGN_{name}": value for name, value in settings.items()}
    command = inside(image, "sovereign", "run", KUBECONFIG=str(kubeconfig), **told)
    shutil.copy(control_plane.kubeconfig, kubeconfig)
    os.chown(kubeconfig, 65532, 65532)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as operator:
        said = []
        try:
            for line in operator.stdout:
                said.append(line)
                if port := re.search(r"serving probes and metrics on \('127\.0\.0\.1', (\d+)\)", line):
                    with urllib.request.urlopen(f"http://127.0.0.1:{port[1]}/healthz", timeout=10) as answer:
                        assert answer.status == 200
                    break
            else:
                pytest.fail("".join(said))
            operator.send_signal(signal.SIGTERM)
            assert operator.wait(20) == 0, "".join(said)
        finally:
            with contextlib.suppress(ProcessLookupError):
                operator.kill()
    control_plane.kubectl("delete", "namespace", "image", "--wait=false")
