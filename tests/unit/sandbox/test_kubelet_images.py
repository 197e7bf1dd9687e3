import sys
from pathlib import Path

import pytest

import sovereigncloud
from sovereigncloud.engine.settings import Settings
from sovereigncloud_sandbox.kubelet.binding import images_of
from sovereigncloud_sandbox.kubelet.images import INSTALLER, OPERATOR, SANDBOX, operator_images, repository

SOURCE = Path(sovereigncloud.__file__).parents[1]


@pytest.fixture
def images(tmp_path):
    return operator_images(tmp_path)


def packages(image):
    return {Path(target).name: source for target, source in image.files.items() if target.startswith("/image/source/")}


def test_the_operators_image_is_without_the_sandbox_and_the_sandboxs_has_both(images):
    assert set(images) == {OPERATOR, SANDBOX}
    both = {name: str(SOURCE / name) for name in ("sovereigncloud", "sovereigncloud_sandbox")}
    assert packages(images[SANDBOX]) == both
    assert packages(images[OPERATOR]) == {"sovereigncloud": both["sovereigncloud"]}


def test_an_installation_in_place_adds_no_package_to_an_image(images):
    for image in images.values():
        assert "/image/source" not in image.files
        for target, source in image.files.items():
            if target.endswith(".pth"):
                assert target.startswith("/image/venv/" if sys.prefix != sys.base_prefix else sys.prefix)
                assert Path(source).read_text() == ""


def test_the_installers_image_that_is_simulated_is_the_one_that_the_operator_names():
    assert repository(Settings().installer_image) == INSTALLER


def test_the_images_of_a_pod_are_those_of_all_its_containers():
    pod = {"spec": {"initContainers": [{"image": "a:1"}], "containers": [{"image": "b:2"}, {"image": "c:3"}]}}
    assert images_of(pod) == ["a:1", "b:2", "c:3"]
