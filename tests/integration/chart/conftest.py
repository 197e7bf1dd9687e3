import json
from pathlib import Path

import pytest
import yaml

CHART = Path(__file__).parents[3] / "charts" / "sovereign-cloud-operator"


class Rendered(list):
    """The documents of a rendering, found by kind."""

    def all(self, kind):
        return [document for document in self if document["kind"] == kind]

    def one(self, kind):
        (document,) = self.all(kind)
        return document

    @property
    def container(self):
        (container,) = self.one("Deployment")["spec"]["template"]["spec"]["containers"]
        return container

    @property
    def environment(self):
        return {one["name"]: one.get("value") for one in self.container["env"]}


@pytest.fixture(scope="session")
def helm_template(control_plane):
    """Runs `helm template` with values; for what is to be refused, `check=False` gives the finished process."""

    def run(values=None, *arguments, check=True):
        return control_plane.helm(
            "template",
            "demo",
            str(CHART),
            "--namespace=clouds",
            "--values=-",
            *arguments,
            input=json.dumps(values or {}),
            check=check,
        )

    return run


@pytest.fixture(scope="session")
def render(helm_template):
    return lambda values=None: Rendered(filter(None, yaml.safe_load_all(helm_template(values).stdout)))
