"""Whether a template takes what a reinstallation asks of it: told before anything is wiped, with the remedy."""

from dataclasses import replace

import pytest

from sovereigncloud.api.partitioning import Partition
from sovereigncloud.kinds.baremetalserver.reinstall.template_checks import impossible, parts, unanswered
from sovereigncloud.ports.ovh.reinstall import DiskGroup, InstallationTemplate, Part, TemplateInput

UBUNTU = InstallationTemplate(
    "ubuntu2404-server_64",
    tuple(TemplateInput(name, mandatory=False) for name in ("hostname", "sshKey", "postInstallationScript")),
    frozenset({"ext4", "xfs", "swap"}),
    partitioning=True,
    only_mirroring=False,
)
TWO = (DiskGroup(1, 2, 915527),)
ROOT = Part("/", "ext4", 102400, None)


def rest(raid=None, system="xfs"):
    return Part("/var/lib/one", system, 0, raid)


CASES = [
    ("no layout: the template's own", (), UBUNTU, TWO, ""),
    ("root and all that is left", (ROOT, rest()), UBUNTU, TWO, ""),
    ("striped over two disks", (ROOT, rest(0)), UBUNTU, TWO, ""),
    (
        "an own image comes partitioned",
        (ROOT,),
        replace(UBUNTU, name="byolinux_64", partitioning=False),
        TWO,
        "byolinux_64 comes partitioned; remove reinstall.partitioning",
    ),
    (
        "a file system that the template has not",
        (ROOT, rest(system="zfs")),
        UBUNTU,
        TWO,
        "reinstall.partitioning[1] (/var/lib/one): ubuntu2404-server_64 has no zfs; set fileSystem to one of ext4, swap, xfs",
    ),
    (
        "a template that only mirrors",
        (ROOT, rest(0)),
        replace(UBUNTU, only_mirroring=True),
        TWO,
        "only mirrors; remove raidLevel, or set it to 1",
    ),
    ("a template that only mirrors takes a mirror", (ROOT, rest(1)), replace(UBUNTU, only_mirroring=True), TWO, ""),
    ("RAID 5 of two disks", (ROOT, rest(5)), UBUNTU, TWO, "RAID 5 needs 3 disks, the server has 2"),
    ("RAID 5 of three disks", (ROOT, rest(5)), UBUNTU, (DiskGroup(1, 3, 915527),), ""),
    ("the first disk group is the one that is installed", (rest(5),), UBUNTU, (DiskGroup(2, 2, 1), DiskGroup(1, 3, 1)), ""),
    (
        "more than the disks hold",
        (ROOT, Part("/data", "xfs", 900000, 1)),
        UBUNTU,
        TWO,
        "takes 1002400 MiB of each of the 2 disks, which have 915527 MiB; make partitions smaller",
    ),
    ("striped, it takes half of each disk", (ROOT, Part("/data", "xfs", 1600000, 0)), UBUNTU, TWO, ""),
    ("of disks of unknown size nothing is said", (ROOT, Part("/data", "xfs", 9000000, 1)), UBUNTU, (DiskGroup(1, 2, 0),), ""),
    ("of a server whose disks nobody told nothing is said", (ROOT, rest(10)), UBUNTU, (), ""),
]  # fmt: skip


@pytest.mark.parametrize(("why", "layout", "template", "groups", "says"), CASES, ids=[c[0] for c in CASES])
def test_what_speaks_against_partitions(why, layout, template, groups, says):
    found = impossible(layout, template, groups)
    assert says in found, why
    assert bool(found) == bool(says), why


def test_what_is_declared_becomes_what_the_api_takes():
    declared = [
        Partition.model_validate({"mountPoint": "/", "fileSystem": "ext4", "size": "100Gi"}),
        Partition.model_validate({"mountPoint": "swap", "fileSystem": "swap", "size": "8Gi", "raidLevel": 1}),
        Partition.model_validate({"mountPoint": "/var/lib/one", "fileSystem": "xfs", "raidLevel": 0}),
    ]
    assert parts(declared) == (
        Part("/", "ext4", 102400, None),
        Part("swap", "swap", 8192, 1),
        Part("/var/lib/one", "xfs", 0, 0),
    )


@pytest.mark.parametrize(
    "path",
    ["", "var", "/var/", "/.hidden", "/a/../b", "//", "/a b", "swap/"],
)
def test_a_mount_point_that_is_none_is_refused_at_once(path):
    with pytest.raises(ValueError, match="mountPoint"):
        Partition.model_validate({"mountPoint": path, "fileSystem": "ext4"})


def test_only_what_nobody_here_can_answer_is_told():
    asked = tuple(TemplateInput(name, mandatory=True) for name in ("hostname", "sshKey", "imageURL"))
    assert unanswered(replace(UBUNTU, inputs=asked)) == ("imageURL",)
    assert unanswered(UBUNTU) == ()
