"""Errors of oned: codes and texts of failed calls, and XML-RPC faults."""

from enum import IntEnum


class Code(IntEnum):
    """The third element of a reply (OpenNebula: include/Request.h)."""

    SUCCESS = 0x0
    AUTHENTICATION = 0x100
    AUTHORIZATION = 0x200
    NO_EXISTS = 0x400
    ACTION = 0x800
    RPC_API = 0x1000
    INTERNAL = 0x2000
    ALLOCATE = 0x4000


class OneError(Exception):
    """A call that oned refuses. The message lacks the "[one.vm.info] " that oned puts before it: the server adds it."""

    def __init__(self, code: Code, message: str, oid: int = -1) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.oid = oid


class RpcFault(Exception):
    """A call that XML-RPC itself refuses, before oned sees it: -501 wrong type, -503 not XML-RPC, -506 no such method."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


# How oned calls its objects in messages: "Error getting virtual machine [7]."
SPOKEN = {
    "VM": "virtual machine",
    "HOST": "host",
    "NET": "virtual network",
    "IMAGE": "image",
    "USER": "user",
    "TEMPLATE": "virtual machine template",
    "GROUP": "group",
    "ACL": "ACL",
    "DATASTORE": "datastore",
    "CLUSTER": "cluster",
    "ZONE": "zone",
    "SECGROUP": "security group",
    "VDC": "VDC",
    "MARKETPLACE": "marketplace",
    "MARKETPLACEAPP": "marketplaceapp",
    "VMGROUP": "vm group",
}

# The words of "NAME is already taken by NET 0."
TAKEN_BY = {
    "VM": "VM",
    "HOST": "HOST",
    "NET": "NET",
    "IMAGE": "IMAGE",
    "USER": "USER",
    "TEMPLATE": "TEMPLATE",
    "GROUP": "GROUP",
    "DATASTORE": "DATASTORE",
    "CLUSTER": "CLUSTER",
    "ZONE": "Zone",
    "SECGROUP": "SecurityGroup",
    "VDC": "Vdc",
    "MARKETPLACE": "MARKETPLACE",
    "MARKETPLACEAPP": "MARKETPLACEAPP",
    "VMGROUP": "VMGroup",
}

# Most kinds answer a taken name with 0x2000; these with 0x4000 and a sentence before it (observed;
# the marketplaces' by OpenNebula's source).
ALLOCATE_KINDS = frozenset({"HOST", "CLUSTER", "IMAGE", "MARKETPLACE", "MARKETPLACEAPP"})


def not_found(kind: str, oid: int) -> OneError:
    return OneError(Code.NO_EXISTS, f"Error getting {SPOKEN[kind]} [{oid}].", oid)


def not_allocated(kind: str, reason: str) -> OneError:
    """The refusal of an allocate: 0x4000 with a sentence before it for some kinds, 0x2000 for the others."""
    if kind in ALLOCATE_KINDS:
        return OneError(Code.ALLOCATE, f"Error allocating a new {SPOKEN[kind]}. {reason}")
    return OneError(Code.INTERNAL, reason)


def name_taken(kind: str, oid: int) -> OneError:
    return not_allocated(kind, f"NAME is already taken by {TAKEN_BY[kind]} {oid}.")


def unauthorized(uid: int, reason: str) -> OneError:
    return OneError(Code.AUTHORIZATION, f"User [{uid}] : {reason}.")


def refused(reason: str) -> OneError:
    """Wrong state, wrong action, in use, no capacity."""
    return OneError(Code.ACTION, reason)


def internal(reason: str) -> OneError:
    return OneError(Code.INTERNAL, reason)
