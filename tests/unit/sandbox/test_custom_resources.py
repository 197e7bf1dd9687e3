from sovereigncloud.api import KINDS
from sovereigncloud.api.common.base import GROUP, VERSION
from sovereigncloud_sandbox import custom_resources
from sovereigncloud_sandbox.custom_resources import CUSTOM_RESOURCES, CustomResource


def test_the_sandbox_knows_every_kind_as_the_operator_declares_it():
    declared = [CustomResource(kind.crd.kind, kind.crd.plural, kind.crd.namespaced) for kind in KINDS]
    assert list(CUSTOM_RESOURCES) == declared
    assert (custom_resources.GROUP, custom_resources.VERSION) == (GROUP, VERSION)
