"""Manifests in Git, as a platform team keeps them: a folder per cloud, an Application per folder."""

import copy

from tests.integration.existing_cloud import ExistingCloud

from sovereigncloud_sandbox.argocd import ArgoCD, is_settled
from sovereigncloud_sandbox.argocd_repository import application, folder, publish
from sovereigncloud_sandbox.git_repository import GitRepository


class GitOps:
    """A stage whose manifests come from Git through Argo CD."""

    def __init__(self, stage, argo: ArgoCD, repository: GitRepository):
        self.stage, self.argo, self.repository = stage, argo, repository
        publish(repository, stage)
        repository.commit("The operator")

    def cloud(self, name, **options):
        """A cloud that somebody else runs, in a namespace of its name."""
        return ExistingCloud(self.stage, name, name, **options)


class Folder:
    """One folder of the repository and the Application that keeps it."""

    def __init__(self, gitops: GitOps, name: str, above: str = "trials"):
        self.gitops, self.name, self.path = gitops, name, f"{above}/{name}"
        self.argo, self.repository = gitops.argo, gitops.repository
        self._documents = {}

    def put(self, *documents):
        """Into the folder; not committed yet."""
        for document in documents:
            self._documents[document["kind"], document["metadata"]["name"]] = copy.deepcopy(document)

    def remove(self, kind, name):
        """Out of the folder; not committed yet."""
        del self._documents[kind, name]

    def change(self, kind, name, **spec):
        """In the manifest; None takes a field out."""
        manifest = self._documents[kind, name]["spec"]
        manifest.update(spec)
        for field in [field for field, value in manifest.items() if value is None]:
            del manifest[field]

    def commit(self, message):
        """What is in the folder now, to Git; Argo CD is told, as by a webhook. The revision."""
        files = {path.name: None for path in (self.repository.directory / self.path).glob("*.yaml")}
        files |= folder({f"{kind.lower()}-{name}.yaml": one for (kind, name), one in self._documents.items()})
        revision = self.repository.commit(message, {f"{self.path}/{file}": text for file, text in files.items()})
        self.refresh()
        return revision

    def revert(self):
        """Take the last commit back; the revision."""
        revision = self.repository.revert()
        self.refresh()
        return revision

    def refresh(self):
        if self.argo.get(self.name):
            self.argo.refresh(self.name)

    def create(self, message="A cloud from Git"):
        """Commit, and create the Application."""
        revision = self.commit(message)
        self.argo.apply(application(self.repository, self.name, self.path))
        return revision

    # --- what Argo CD says

    @property
    def app(self):
        return self.argo.get(self.name)

    def wait(self, what, test, *, seconds=90):
        return self.argo.wait(self.name, what, test, seconds=seconds)

    def settled(self, revision="", *, seconds=120):
        """The Application as soon as it is Synced and Healthy, at the revision if one is given."""
        return self.wait(
            f"Synced and Healthy at {revision or 'any revision'}", lambda a: is_settled(a, revision), seconds=seconds
        )

    @property
    def mark(self):
        """Where the history of the Application is now, for `since`."""
        return self.app["metadata"]["resourceVersion"]

    def since(self, mark):
        """Every version of the Application since a mark."""
        return self.argo.versions(self.name, mark)

    def delete(self):
        self.argo.delete(self.name)


def namespace(name):
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
