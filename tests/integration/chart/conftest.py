import json

import pytest
from tests.integration.chart.rendered import CHART, documents


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
    return lambda values=None: documents(helm_template(values).stdout)
