"""The simulator refuses what a real oned refuses, with its codes and words."""

import xmlrpc.client

import pyone
import pytest
import requests
from tests.contract.one_world import running

# ------------------------------------------------------------------------------------------------------------- errors


def _full(one, w):
    return one.vm.allocate(f"CPU=1 MEMORY=1 NIC=[NETWORK_ID={one.vn.allocate('NAME=tiny VN_MAD=bridge', 0)}]")


ERRORS = [
    ("no such id", lambda one, w: one.vm.info(9999), pyone.OneNoExistsException, r"\[one.vm.info\] Error getting virtual machine \[9999\]\."),
    ("no such network", lambda one, w: one.vn.info(9), pyone.OneNoExistsException, r"Error getting virtual network \[9\]\."),
    ("no such host", lambda one, w: one.vm.deploy(0, 77), pyone.OneNoExistsException, r"Error getting host \[77\]\."),
    ("no such action", lambda one, w: one.vm.action("explode", w["vm"]), pyone.OneActionException, 'Action "explode" is not supported'),
    ("wrong state", lambda one, w: one.vm.action("resume", w["vm"]), pyone.OneActionException, "This action is not available for state RUNNING"),
    ("no capacity", lambda one, w: one.vm.resize(w["vm"], "CPU=900", True), pyone.OneActionException, r"Not enough CPU: \d+/\d+"),
    ("a disk only grows", lambda one, w: one.vm.diskresize(w["vm"], 0, "5"), pyone.OneActionException, "has to be greater than current"),
    ("a host with machines", lambda one, w: one.host.delete(0), pyone.OneActionException, "Can not remove a host with running VMs"),
    ("a network in use", lambda one, w: one.vn.delete(w["net"]), pyone.OneActionException, "Can not remove a virtual network with leases in use"),
    ("an image in use", lambda one, w: one.image.delete(w["image"]), pyone.OneActionException, "There are 1 VMs using it"),
    ("a rename collides", lambda one, w: (one.host.rename(0, "127.0.0.3")), pyone.OneActionException, "collides with host 1"),
    ("the name of a host", lambda one, w: one.host.allocate("127.0.0.2", "kvm", "kvm", 0), pyone.OneException, r"Error allocating a new host. NAME is already taken by HOST 0\."),
    ("the name of a cluster", lambda one, w: one.cluster.allocate("default"), pyone.OneException, "NAME is already taken by CLUSTER 0"),
    ("the name of an image", lambda one, w: one.image.allocate("NAME=img SIZE=1 TYPE=DATABLOCK", 1), pyone.OneException, "NAME is already taken by IMAGE 0"),
    ("the name of a network", lambda one, w: one.vn.allocate("NAME=net VN_MAD=bridge", 0), pyone.OneInternalException, r"NAME is already taken by NET 0\."),
    ("the name of a template", lambda one, w: one.template.allocate("NAME=tpl"), pyone.OneInternalException, "NAME is already taken by TEMPLATE 0"),
    ("the name of a user", lambda one, w: one.user.allocate("oneadmin", "x", "core", []), pyone.OneInternalException, "NAME is already taken by USER 0"),
    ("a name with a slash", lambda one, w: one.host.allocate("a/b", "kvm", "kvm", 0), pyone.OneException, "char '/' is not allowed"),
    ("no template", lambda one, w: one.vm.allocate("CPU=[1"), pyone.OneInternalException, "Parse error"),
    ("a dash in a key", lambda one, w: one.vm.update(w["vm"], "a-b=1", 1), pyone.OneInternalException, "Parse error"),
    ("XML that ends CDATA", lambda one, w: one.vm.update(w["vm"], "<T><A>]]&gt;</A></T>", 1), pyone.OneInternalException, "malformed"),
    ("no memory", lambda one, w: one.vm.allocate("CPU=1"), pyone.OneInternalException, "MEMORY attribute must be a positive integer value"),
    ("no CPU", lambda one, w: one.vm.allocate("MEMORY=1"), pyone.OneInternalException, "CPU attribute must be a positive"),
    ("no such image name", lambda one, w: one.vm.allocate("CPU=1 MEMORY=1 DISK=[IMAGE=x]"), pyone.OneInternalException, "does not own an image with name: x"),
    ("no such network name", lambda one, w: one.vm.allocate("CPU=1 MEMORY=1 NIC=[NETWORK=x]"), pyone.OneInternalException, "does not own a network with name: x"),
    ("no free lease", _full, pyone.OneInternalException, r"Cannot get IP/MAC lease from virtual network \d+\."),
    ("a host that does not resolve", lambda one, w: one.image.allocate("NAME=i PATH=http://x.invalid/i", 1), pyone.OneInternalException, "Cannot parse image SIZE"),
    ("no images in the system datastore", lambda one, w: one.image.allocate("NAME=i SIZE=1 TYPE=DATABLOCK", 0), pyone.OneException, "New images can only be allocated in"),
    ("a zone of a standalone front-end", lambda one, w: one.zone.allocate("NAME=z ENDPOINT=x"), pyone.OneException, "only be created at federation master"),
    ("a query on SQLite", lambda one, w: one.vmpool.infoextended(-2, -1, -1, -1, "A=B"), pyone.OneInternalException, "JSON query search is not supported"),
    ("neither replace nor merge", lambda one, w: one.vm.update(w["vm"], "A=1", 7), pyone.OneApiException, "Wrong update type"),
    ("no such method", lambda one, w: one.vm.nosuch(1), pyone.OneException, r"Fault -506"),
    ("a wrong type", lambda one, w: one.vm.info("7"), pyone.OneException, r"Fault -501"),
    ("a missing argument", lambda one, w: one.vm.info(), pyone.OneException, r"Fault -501"),
]  # fmt: skip


@pytest.mark.parametrize(("why", "call", "error", "words"), ERRORS, ids=[row[0] for row in ERRORS])
def test_errors(one, clock, world, why, call, error, words):
    world["vm"] = running(one, clock, world)
    with pytest.raises(error, match=words) as failed:
        call(one, world)
    assert type(failed.value) is error, why


def test_a_failure_has_five_fields_and_a_success_three(sandbox):
    raw = xmlrpc.client.ServerProxy(sandbox.endpoint("zone"), allow_none=False)
    with raw as server:
        assert server.one.vm.info("oneadmin:opennebula", 5) == [
            False,
            "[one.vm.info] Error getting virtual machine [5].",
            0x400,
            5,
            -1,
        ]
        assert server.one.system.version("oneadmin:opennebula") == [True, "7.4.0", 0]
        assert server.one.system.version("oneadmin:opennebula", "more", 2) == [True, "7.4.0", 0]
        assert server.one.system.version("oneadmin:wrong")[2] == 0x100
        assert server.one.system.version("nonsense")[2] == 0x100


def test_what_is_no_xml_rpc(sandbox):
    endpoint = sandbox.endpoint("zone")
    bomb = b'<!DOCTYPE x [<!ENTITY a "b">]><methodCall><methodName>&a;</methodName></methodCall>'
    for body in (b"", b"nonsense", b"<methodCall/>", bomb):
        assert b"-503" in requests.post(endpoint, data=body, timeout=5).content
    assert requests.get(endpoint, timeout=5).status_code == 405
    assert requests.post(endpoint.replace("RPC2", "other"), data=b"x", timeout=5).status_code == 404
