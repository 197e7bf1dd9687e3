"""The programs of the sandbox: the Go module of each, and the oldest version on PATH that is accepted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

# Without these a server reports v0.0.0, and clients and feature gates misbehave.
_KUBERNETES_STAMPS = MappingProxyType(
    {
        f"{package}.{variable}": text
        for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
        for variable, text in (("gitMajor", "{major}"), ("gitMinor", "{minor}"), ("gitVersion", "{version}"))
    }
)


@dataclass(frozen=True, slots=True)
class Program:
    """One program and its Go package.

    `group` is the folder under `tools/` whose go.mod pins it, `released_as` the module there whose version it bears;
    `stamps` are the link-time variables for that version. `oldest` is the oldest one accepted from PATH, `ask` the
    arguments that make it tell its version. `carries` are folders of the module's source that are kept beside the
    build, in `<name>-source`; a program that needs them is not taken from elsewhere. `on_demand`: not part of the
    control plane, so only built when it is asked for. `pinned`: this very version is wanted, so none of the machine's.
    `tags` leave out what nobody here needs of it.
    """

    name: str
    group: str
    package: str
    released_as: str
    ask: Sequence[str]
    oldest: tuple[int, int]
    stamps: Mapping[str, str] = field(default_factory=dict)
    carries: Sequence[str] = ()
    on_demand: bool = False
    pinned: bool = False
    tags: Sequence[str] = ()


def _kubernetes(name: str, *ask: str, group: str = "kubernetes", pinned: bool = False) -> Program:
    return Program(
        name=name,
        group=group,
        pinned=pinned,
        package=f"k8s.io/kubernetes/cmd/{name}",
        released_as="k8s.io/kubernetes",
        ask=ask,
        oldest=(1, 30),  # ValidatingAdmissionPolicy is on and CRD validation ratchets from here
        stamps=_KUBERNETES_STAMPS,
    )


_ALL = (
    Program(
        name="etcd",
        group="etcd",
        package="go.etcd.io/etcd/server/v3",
        released_as="go.etcd.io/etcd/server/v3",
        ask=("--version",),
        oldest=(3, 5),  # --socket-reuse-port
    ),
    _kubernetes("kube-apiserver", "--version"),
    _kubernetes("kube-controller-manager", "--version"),
    _kubernetes("kubectl", "version", "--client", "--output=json"),
    Program(
        name="helm",
        group="helm",
        package="helm.sh/helm/v4/cmd/helm",
        released_as="helm.sh/helm/v4",
        ask=("version", "--short"),
        oldest=(3, 16),
        stamps=MappingProxyType({"helm.sh/helm/v4/internal/version.version": "{version}"}),
    ),
    Program(
        name="argocd",  # every part of Argo CD is this one binary; the name that it is called by chooses the part
        group="argocd",
        package="github.com/argoproj/argo-cd/v3/cmd",
        released_as="github.com/argoproj/argo-cd/v3",
        ask=("version", "--client", "--short"),
        oldest=(3, 2),
        stamps=MappingProxyType({"github.com/argoproj/argo-cd/v3/common.version": "{number}"}),
        carries=("manifests/crds", "manifests/base/config"),
        on_demand=True,
    ),
    Program(
        name="kustomize",  # what Argo CD's repo-server renders a kustomization with
        group="kustomize",
        package="sigs.k8s.io/kustomize/kustomize/v5",
        released_as="sigs.k8s.io/kustomize/kustomize/v5",
        ask=("version",),
        oldest=(5, 4),
        stamps=MappingProxyType({"sigs.k8s.io/kustomize/api/provenance.version": "kustomize/{version}"}),
        on_demand=True,
    ),
    *(
        Program(
            name=name,
            group="prometheus",
            package=f"github.com/prometheus/prometheus/cmd/{name}",
            released_as="github.com/prometheus/prometheus",
            ask=("--version",),
            oldest=(3, 0),
            on_demand=True,
            tags=("remove_all_sd",),  # no discovery in two dozen clouds, whose SDKs are most of the build
        )
        for name in ("prometheus", "promtool")
    ),
)

PROGRAMS: Mapping[str, Program] = MappingProxyType({program.name: program for program in _ALL})

OLDEST: Mapping[str, Program] = MappingProxyType(
    {
        **PROGRAMS,
        **{
            name: _kubernetes(name, "--version", group="kubernetes-oldest", pinned=True)
            for name in ("kube-apiserver", "kube-controller-manager")
        },
    }
)
"""The same with the oldest Kubernetes that the chart says it needs (`kubeVersion`)."""
