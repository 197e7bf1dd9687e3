"""A rendering of the chart, as the tests look at it."""

from pathlib import Path

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
        (operator,) = [
            container
            for deployment in self.all("Deployment")
            for container in deployment["spec"]["template"]["spec"]["containers"]
            if container["name"] == "operator"
        ]
        return operator

    @property
    def environment(self):
        return {one["name"]: one.get("value") for one in self.container["env"]}


def documents(text):
    """The documents of a rendering; by libyaml, since a second for the CRDs would be most of the time of most tests."""
    loader = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
    return Rendered(document for document in yaml.load_all(text, Loader=loader) if document)
