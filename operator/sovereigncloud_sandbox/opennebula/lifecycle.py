"""The states of a virtual machine, and the ways between them, as tables.

Numbers and sequences as observed on oned 7.4.0 (state table), gaps from OpenNebula's include/VirtualMachine.h.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum


class State(IntEnum):
    """VM STATE."""

    INIT = 0
    PENDING = 1
    HOLD = 2
    ACTIVE = 3
    STOPPED = 4
    SUSPENDED = 5
    DONE = 6
    POWEROFF = 8
    UNDEPLOYED = 9
    CLONING = 10
    CLONING_FAILURE = 11


class Lcm(IntEnum):
    """VM LCM_STATE; means something in ACTIVE only."""

    LCM_INIT = 0
    PROLOG = 1
    BOOT = 2
    RUNNING = 3
    MIGRATE = 4
    SAVE_STOP = 5
    SAVE_SUSPEND = 6
    SAVE_MIGRATE = 7
    PROLOG_MIGRATE = 8
    PROLOG_RESUME = 9
    EPILOG_STOP = 10
    EPILOG = 11
    SHUTDOWN = 12
    UNKNOWN = 16
    HOTPLUG = 17
    SHUTDOWN_POWEROFF = 18
    BOOT_POWEROFF = 20
    BOOT_SUSPENDED = 21
    BOOT_STOPPED = 22
    HOTPLUG_SNAPSHOT = 24
    HOTPLUG_NIC = 25
    HOTPLUG_SAVEAS = 26
    HOTPLUG_SAVEAS_POWEROFF = 27
    HOTPLUG_SAVEAS_SUSPENDED = 28
    SHUTDOWN_UNDEPLOY = 29
    EPILOG_UNDEPLOY = 30
    PROLOG_UNDEPLOY = 31
    BOOT_UNDEPLOY = 32
    HOTPLUG_PROLOG_POWEROFF = 33
    HOTPLUG_EPILOG_POWEROFF = 34
    BOOT_MIGRATE = 35
    BOOT_FAILURE = 36
    PROLOG_FAILURE = 39
    EPILOG_FAILURE = 40
    PROLOG_MIGRATE_POWEROFF = 43
    PROLOG_MIGRATE_SUSPEND = 45
    DISK_SNAPSHOT_POWEROFF = 51
    DISK_SNAPSHOT_REVERT_POWEROFF = 52
    DISK_SNAPSHOT_DELETE_POWEROFF = 53
    DISK_SNAPSHOT = 57
    DISK_SNAPSHOT_DELETE = 59
    DISK_RESIZE = 62
    DISK_RESIZE_POWEROFF = 63
    DISK_RESIZE_UNDEPLOYED = 64
    HOTPLUG_NIC_POWEROFF = 65
    HOTPLUG_RESIZE = 66
    HOTPLUG_SAVEAS_UNDEPLOYED = 67
    HOTPLUG_SAVEAS_STOPPED = 68
    BACKUP = 69
    BACKUP_POWEROFF = 70
    RESTORE = 71


FAILURES = frozenset({Lcm.BOOT_FAILURE, Lcm.PROLOG_FAILURE, Lcm.EPILOG_FAILURE})

# A hypervisor's process is there: from the boot until the guest is down. UNKNOWN: oned cannot tell, so it counts.
GUEST_RUNS = frozenset(
    {
        *(Lcm.BOOT, Lcm.BOOT_POWEROFF, Lcm.BOOT_SUSPENDED, Lcm.BOOT_STOPPED, Lcm.BOOT_UNDEPLOY, Lcm.BOOT_MIGRATE),
        *(Lcm.RUNNING, Lcm.UNKNOWN, Lcm.MIGRATE, Lcm.SAVE_STOP, Lcm.SAVE_SUSPEND, Lcm.SAVE_MIGRATE),
        *(Lcm.SHUTDOWN, Lcm.SHUTDOWN_POWEROFF, Lcm.SHUTDOWN_UNDEPLOY),
        *(Lcm.HOTPLUG, Lcm.HOTPLUG_NIC, Lcm.HOTPLUG_SNAPSHOT, Lcm.HOTPLUG_RESIZE, Lcm.HOTPLUG_SAVEAS),
        *(Lcm.DISK_SNAPSHOT, Lcm.DISK_SNAPSHOT_DELETE, Lcm.DISK_RESIZE, Lcm.BACKUP),
    }
)

# On a host, so that capacity is taken there.
DEPLOYED = frozenset({State.ACTIVE, State.POWEROFF, State.SUSPENDED})


class Action(IntEnum):
    """HISTORY/ACTION (OpenNebula: include/VMActions.h)."""

    NONE = 0
    MIGRATE = 1
    LIVE_MIGRATE = 2
    UNDEPLOY = 5
    UNDEPLOY_HARD = 6
    STOP = 9
    SUSPEND = 10
    DELETE = 13
    DELETE_RECREATE = 14
    POWEROFF = 19
    POWEROFF_HARD = 20
    DISK_ATTACH = 21
    DISK_DETACH = 22
    NIC_ATTACH = 23
    NIC_DETACH = 24
    DISK_SNAPSHOT_CREATE = 25
    DISK_SNAPSHOT_DELETE = 26
    TERMINATE = 27
    TERMINATE_HARD = 28
    DISK_RESIZE = 29
    RESIZE = 35
    SNAPSHOT_CREATE = 37
    SNAPSHOT_DELETE = 38
    SNAPSHOT_REVERT = 39
    DISK_SAVEAS = 40
    DISK_SNAPSHOT_REVERT = 41
    BACKUP = 50
    NIC_UPDATE = 51
    PCI_ATTACH = 58
    PCI_DETACH = 59
    RESTORE = 60


@dataclass(frozen=True, slots=True)
class Step:
    """A stay in one state: how long (the name of a speed, "" for ever) and where an injected failure leads."""

    state: State
    lcm: Lcm = Lcm.LCM_INIT
    dwell: str = ""
    fails_to: tuple[State, Lcm] | None = None


def _active(lcm: Lcm, dwell: str, fails_to: Lcm | None = None) -> Step:
    return Step(State.ACTIVE, lcm, dwell, (State.ACTIVE, fails_to) if fails_to else None)


_RUNNING = Step(State.ACTIVE, Lcm.RUNNING)
_PROLOG = _active(Lcm.PROLOG, "prolog", Lcm.PROLOG_FAILURE)
_BOOT = _active(Lcm.BOOT, "boot", Lcm.BOOT_FAILURE)
_EPILOG = _active(Lcm.EPILOG, "epilog", Lcm.EPILOG_FAILURE)
_DONE = Step(State.DONE)
_POWEROFF = Step(State.POWEROFF)


def _back(lcm: Lcm, dwell: str) -> Step:
    # A driver that fails leaves the machine as it was, and says nothing (observed).
    return _active(lcm, dwell, Lcm.RUNNING)


def _off(lcm: Lcm, dwell: str = "hotplug") -> tuple[Step, ...]:
    return (Step(State.ACTIVE, lcm, dwell, (State.POWEROFF, Lcm.LCM_INIT)), _POWEROFF)


FLOWS: Mapping[str, tuple[Step, ...]] = {
    "deploy": (_active(Lcm.LCM_INIT, "dispatch"), _PROLOG, _BOOT, _RUNNING),
    "prolog": (_PROLOG, _BOOT, _RUNNING),
    "boot": (_BOOT, _RUNNING),
    "running": (_RUNNING,),
    "poweroff": (_back(Lcm.SHUTDOWN_POWEROFF, "shutdown"), _POWEROFF),
    "resume-poweroff": (_active(Lcm.BOOT_POWEROFF, "boot", Lcm.BOOT_FAILURE), _RUNNING),
    "suspend": (_back(Lcm.SAVE_SUSPEND, "save"), Step(State.SUSPENDED)),
    "resume-suspended": (_active(Lcm.BOOT_SUSPENDED, "boot", Lcm.BOOT_FAILURE), _RUNNING),
    "stop": (_back(Lcm.SAVE_STOP, "save"), _active(Lcm.EPILOG_STOP, "epilog"), Step(State.STOPPED)),
    "stop-suspended": (_active(Lcm.EPILOG_STOP, "epilog"), Step(State.STOPPED)),
    "deploy-stopped": (_active(Lcm.PROLOG_RESUME, "prolog"), _active(Lcm.BOOT_STOPPED, "boot"), _RUNNING),
    "undeploy": (
        _back(Lcm.SHUTDOWN_UNDEPLOY, "shutdown"),
        _active(Lcm.EPILOG_UNDEPLOY, "epilog"),
        Step(State.UNDEPLOYED),
    ),
    "undeploy-poweroff": (_active(Lcm.EPILOG_UNDEPLOY, "epilog"), Step(State.UNDEPLOYED)),
    "deploy-undeployed": (_active(Lcm.PROLOG_UNDEPLOY, "prolog"), _active(Lcm.BOOT_UNDEPLOY, "boot"), _RUNNING),
    "migrate": (
        _back(Lcm.SAVE_MIGRATE, "save"),
        _active(Lcm.PROLOG_MIGRATE, "prolog"),
        _active(Lcm.BOOT_MIGRATE, "boot"),
        _RUNNING,
    ),
    "migrate-live": (_back(Lcm.MIGRATE, "migrate"), _RUNNING),
    "migrate-poweroff": (_active(Lcm.PROLOG_MIGRATE_POWEROFF, "prolog"), _POWEROFF),
    "migrate-suspended": (_active(Lcm.PROLOG_MIGRATE_SUSPEND, "prolog"), Step(State.SUSPENDED)),
    "disk": (_back(Lcm.HOTPLUG, "hotplug"), _RUNNING),
    "disk-attach-poweroff": _off(Lcm.HOTPLUG_PROLOG_POWEROFF),
    "disk-detach-poweroff": _off(Lcm.HOTPLUG_EPILOG_POWEROFF),
    "nic": (_back(Lcm.HOTPLUG_NIC, "hotplug"), _RUNNING),
    "nic-poweroff": _off(Lcm.HOTPLUG_NIC_POWEROFF),
    "snapshot": (_back(Lcm.HOTPLUG_SNAPSHOT, "hotplug"), _RUNNING),
    "resize": (_back(Lcm.HOTPLUG_RESIZE, "hotplug"), _RUNNING),
    "disk-snapshot-create": (_back(Lcm.DISK_SNAPSHOT, "hotplug"), _RUNNING),
    "disk-snapshot-delete": (_back(Lcm.DISK_SNAPSHOT_DELETE, "hotplug"), _RUNNING),
    "disk-snapshot-create-poweroff": _off(Lcm.DISK_SNAPSHOT_POWEROFF),
    "disk-snapshot-revert-poweroff": _off(Lcm.DISK_SNAPSHOT_REVERT_POWEROFF),
    "disk-snapshot-delete-poweroff": _off(Lcm.DISK_SNAPSHOT_DELETE_POWEROFF),
    "disk-resize": (_back(Lcm.DISK_RESIZE, "hotplug"), _RUNNING),
    "disk-resize-poweroff": _off(Lcm.DISK_RESIZE_POWEROFF),
    "disk-resize-undeployed": (_active(Lcm.DISK_RESIZE_UNDEPLOYED, "hotplug"), Step(State.UNDEPLOYED)),
    "saveas": (_back(Lcm.HOTPLUG_SAVEAS, "saveas"), _RUNNING),
    "saveas-poweroff": _off(Lcm.HOTPLUG_SAVEAS_POWEROFF, "saveas"),
    "saveas-suspended": (_active(Lcm.HOTPLUG_SAVEAS_SUSPENDED, "saveas"), Step(State.SUSPENDED)),
    "saveas-undeployed": (_active(Lcm.HOTPLUG_SAVEAS_UNDEPLOYED, "saveas"), Step(State.UNDEPLOYED)),
    "saveas-stopped": (_active(Lcm.HOTPLUG_SAVEAS_STOPPED, "saveas"), Step(State.STOPPED)),
    "backup": (_back(Lcm.BACKUP, "backup"), _RUNNING),
    "backup-poweroff": _off(Lcm.BACKUP_POWEROFF, "backup"),
    "restore": _off(Lcm.RESTORE, "backup"),
    "terminate": (_back(Lcm.SHUTDOWN, "shutdown"), _EPILOG, _DONE),
    "epilog": (_EPILOG, _DONE),
    "done": (_DONE,),
}

# one.vm.action: from which state which flow, and what the history calls it. What is not here is not available.
Where = tuple[State, Lcm]
_RUN: Where = (State.ACTIVE, Lcm.RUNNING)
_LOST: Where = (State.ACTIVE, Lcm.UNKNOWN)


def _at(state: State) -> Where:
    return (state, Lcm.LCM_INIT)


TRIGGERED: Mapping[str, tuple[Action, Mapping[Where, str]]] = {
    "poweroff": (Action.POWEROFF, {_RUN: "poweroff", _LOST: "poweroff"}),
    "poweroff-hard": (Action.POWEROFF_HARD, {_RUN: "poweroff", _LOST: "poweroff"}),
    "suspend": (Action.SUSPEND, {_RUN: "suspend"}),
    "stop": (Action.STOP, {_RUN: "stop", _at(State.SUSPENDED): "stop-suspended"}),
    "undeploy": (
        Action.UNDEPLOY,
        {_RUN: "undeploy", _LOST: "undeploy", _at(State.POWEROFF): "undeploy-poweroff"},
    ),
    "undeploy-hard": (
        Action.UNDEPLOY_HARD,
        {_RUN: "undeploy", _LOST: "undeploy", _at(State.POWEROFF): "undeploy-poweroff"},
    ),
    "resume": (
        Action.NONE,
        {
            _at(State.POWEROFF): "resume-poweroff",
            _at(State.SUSPENDED): "resume-suspended",
            _LOST: "resume-poweroff",
        },
    ),
    "terminate": (
        Action.TERMINATE,
        {
            _RUN: "terminate",
            _LOST: "terminate",
            **{_at(state): "epilog" for state in (State.POWEROFF, State.SUSPENDED, State.STOPPED, State.UNDEPLOYED)},
            **{(State.ACTIVE, failure): "done" for failure in FAILURES},
        },
    ),
    "terminate-hard": (
        Action.TERMINATE_HARD,
        {
            _RUN: "terminate",
            _LOST: "terminate",
            (State.ACTIVE, Lcm.SHUTDOWN): "epilog",  # the guest is not waited for any longer
            **{_at(state): "epilog" for state in (State.POWEROFF, State.SUSPENDED, State.STOPPED, State.UNDEPLOYED)},
            **{(State.ACTIVE, failure): "done" for failure in FAILURES},
        },
    ),
}

# recover: what each failure becomes on success and on retry (observed: 39 -> BOOT -> RUNNING, 40 -> DONE).
RECOVER_SUCCESS: Mapping[Lcm, str] = {
    Lcm.PROLOG_FAILURE: "boot",
    Lcm.BOOT_FAILURE: "running",
    Lcm.EPILOG_FAILURE: "done",
}
RECOVER_RETRY: Mapping[Lcm, str] = {
    Lcm.PROLOG_FAILURE: "prolog",
    Lcm.BOOT_FAILURE: "boot",
    Lcm.EPILOG_FAILURE: "epilog",
}


def state_name(state: State, lcm: Lcm) -> str:
    """How messages name where a machine is: "POWEROFF", "HOTPLUG"."""
    return lcm.name if state is State.ACTIVE else state.name
