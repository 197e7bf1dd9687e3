"""Methods and XML elements by version of OpenNebula: 6.10 to 7.4.

Methods are those registered at the tags release-6.10.0, 7.0.0, 7.2.0 and 7.4.0; elements as OpenNebula's release notes and
schemas tell them. Where only one version was recorded, an older one lacks what came later.
"""

import re
from collections.abc import Mapping
from functools import lru_cache

SUPPORTED = ("6.10.0", "7.0.0", "7.2.0", "7.4.0")
METHODS_SINCE: Mapping[str, str] = {
    "one.cluster.optimize": "7.0",
    "one.cluster.planexecute": "7.0",
    "one.cluster.plandelete": "7.0",
    "one.vm.exec": "7.2",
    "one.vm.retryexec": "7.2",
    "one.vm.cancelexec": "7.2",
    "one.group.vlan": "7.4",
    "one.vm.vmgroupadd": "7.4",
    "one.vm.vmgroupdel": "7.4",
}
_ELEMENTS_SINCE: Mapping[str, str] = {
    "PLAN_ID": "7.0",
    "ACTION_ID": "7.0",
    "SHARED": "7.2",
    "VLAN_RULES": "7.4",
    "BACKUP_DISK_IDS": "7.4",
}
# In 7.2 the errors of these methods, not the methods, had other names.
_SPOKEN_IN_7_2: Mapping[str, str] = {
    "one.vm.attach": "one.vm.diskattach",
    "one.vm.detach": "one.vm.diskdetach",
    "one.vm.attachnic": "one.vm.nicattach",
    "one.vm.detachnic": "one.vm.nicdetach",
    "one.vm.attachsg": "one.vm.sgattach",
    "one.vm.detachsg": "one.vm.sgdetach",
    "one.vm.attachpci": "one.vm.pciattach",
    "one.vm.detachpci": "one.vm.pcidetach",
}


def number(version: str) -> tuple[int, ...]:
    """7.2.1 as numbers; what is no number counts as 0."""
    return tuple(int(part) if part.isdecimal() else 0 for part in version.split("."))


def at_least(version: str, wanted: str) -> bool:
    """Whether a version is not older than another."""
    return number(version) >= number(wanted)


def has_method(version: str, name: str) -> bool:
    """Whether this version registered the method."""
    return at_least(version, METHODS_SINCE.get(name, "0"))


def spoken(version: str, method: str) -> str:
    """What a method is called in its errors."""
    return _SPOKEN_IN_7_2.get(method, method) if number(version)[:2] == (7, 2) else method


@lru_cache(maxsize=8)
def _later(version: str) -> tuple[re.Pattern[str], re.Pattern[bytes]] | None:
    names = "|".join(name for name, since in _ELEMENTS_SINCE.items() if not at_least(version, since))
    if not names:
        return None
    plain = rf"<({names})>.*?</\1>"
    escaped = rf"&lt;({names})&gt;.*?&lt;/\1&gt;"
    return re.compile(plain, re.DOTALL), re.compile(escaped.encode(), re.DOTALL)


def as_of(version: str, reply: str | bytes) -> str | bytes:
    """A reply without the elements that came later than this version; bytes are escaped for XML-RPC already."""
    later = _later(version)
    if later is None:
        return reply
    return later[1].sub(b"", reply) if isinstance(reply, bytes) else later[0].sub("", reply)
