"""``POST /dedicated/server/{sn}/reinstall``: validation with the error texts of the real API where known.

Error classes and texts are those of OVHcloud's OpenAPI description of this operation.
"""

import re
from collections.abc import Sequence
from typing import Any, Final

from sovereigncloud_sandbox.ovh.calls import Call
from sovereigncloud_sandbox.ovh.catalogue import TEMPLATES, Template
from sovereigncloud_sandbox.ovh.state import Effect, Install, Server, TaskKind
from sovereigncloud_sandbox.ovh.wire import Json, Refusal, bad_request, refuse, timestamp

_CUSTOMIZATIONS: Final[dict[str, type]] = {
    "configDriveMetadata": dict,
    "configDriveUserData": str,
    "efiBootloaderPath": str,
    "enableLacpBonding": bool,
    "hostname": str,
    "httpHeaders": dict,
    "imageCheckSum": str,
    "imageCheckSumType": str,
    "imageType": str,
    "imageURL": str,
    "language": str,
    "nutanixConfiguration": dict,
    "postInstallationScript": str,
    "postInstallationScriptExtension": str,
    "sshKey": str,
}
_TYPE_NAMES: Final[dict[type, str]] = {dict: "keyValue", str: "string", bool: "boolean"}
_LABEL: Final = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", re.IGNORECASE)
_SSH_KEY: Final = re.compile(r"(ssh-(rsa|ed25519|dss)|ecdsa-sha2-nistp\d+|sk-[a-z0-9@.-]+) \S+.*", re.DOTALL)
_HOSTNAME_LIMIT: Final = 255
_MIN_PARTITION_MIB: Final = 512
_LEAST_DISKS: Final = {
    0: 1,
    1: 1,
    5: 3,
    6: 4,
    7: 3,
    10: 4,
}  # which levels the real one takes for few disks is not documented


def reinstall(call: Call) -> Json:
    """Validate the order, then make the task that wipes the server."""
    server, body = call.server(), call.body()
    world = call.world
    template = _template(server, call.required("operatingSystem"))
    _check_idle(call, server)
    customizations, storage = body.get("customizations") or {}, body.get("storage") or []
    if not isinstance(customizations, dict) or not isinstance(storage, list):
        raise bad_request("[customizations] Given data is not valid for type dedicated.server.reinstall.Customizations")
    _check_customizations(template, customizations)
    _check_storage(server, template, storage)
    task = world.order(
        TaskKind.SERVER,
        server.name,
        "reinstallServer",
        Effect.INSTALLED,
        template.name,
        comment="Start bare metal OS installation",
    )
    server.installs.append(Install(task.id, template.name, customizations, storage, task.created))
    if server.document["monitoring"] and not server.document["noIntervention"]:
        # Monitoring sees the machine go down; a technician comes unless told not to.
        server.technician_visits += 1
    return {
        "taskId": task.id,
        "function": task.function,
        "status": task.status,
        "comment": task.comment,
        "startDate": timestamp(task.created),
        "doneDate": None,
    }


def _template(server: Server, name: str) -> Template:
    template = TEMPLATES.get(name)
    if template is None:
        raise refuse(404, "Client::NotFound::OperatingSystem", f"Operating system {name} could not be found")
    if name not in server.compatible:
        raise refuse(
            409,
            "Client::Conflict::OperatingSystemIncompatible",
            f"Operating system {name} is not compatible for server {server.name}",
        )
    return template


def _check_idle(call: Call, server: Server) -> None:
    task = call.world.active_task(Effect.INSTALLED, server.name)
    if task is not None:
        raise refuse(
            400,
            "Client::BadRequest::TaskAlreadyExists",
            f"Task {task.id} of type {task.function} with status {task.status} "
            f"is already running on server {server.name}",
        )
    if not server.has_public_interface:
        # The class is documented, its text is not.
        raise refuse(
            409,
            "Client::Conflict::NetworkingNoPublicInterface",
            f"No public network interface found on server {server.name}",
        )


def _check_customizations(template: Template, customizations: Json) -> None:
    accepted = {name for name, _ in template.inputs}
    for name, value in customizations.items():
        if name not in _CUSTOMIZATIONS or name not in accepted:
            raise refuse(
                400,
                "Client::BadRequest::CustomizationName",
                f"Customization {name} doesn't exist for operating system {template.name}",
            )
        kind = _CUSTOMIZATIONS[name]
        if not isinstance(value, kind):
            raise _malformed(name, _TYPE_NAMES[kind], f"{value!r} is not a {_TYPE_NAMES[kind]}")
    hostname = customizations.get("hostname")
    if hostname is not None:
        _check_hostname(hostname)
    key = customizations.get("sshKey")
    if key is not None and not _SSH_KEY.fullmatch(key):
        raise _malformed("sshKey", "sshPubKey", "not a public key")


def _malformed(name: str, kind: str, message: str) -> Refusal:
    return refuse(
        400,
        "Client::BadRequest::CustomizationInvalidFormat",
        f"Invalid customization format for {name} of type {kind}: {message}",
    )


def _check_hostname(hostname: str) -> None:
    if len(hostname) > _HOSTNAME_LIMIT:
        raise refuse(
            400,
            "Client::BadRequest::HostnameSizeExceeded",
            f"Hostname provided is {len(hostname)} length. "
            f"It shall not be longer than {_HOSTNAME_LIMIT} characters, see RFC 1035, section 2.3.4",
        )
    for label in hostname.split("."):
        if not _LABEL.fullmatch(label):
            raise refuse(
                400,
                "Client::BadRequest::HostnameInvalidFormat",
                f"Invalid hostname {label}; must contain no more than 63 characters, start with a letter, "
                "end with a letter or a digit and contain only letters, digits and hyphens, "
                "see RFC 1035, section 2.3.1",
            )


def _check_storage(server: Server, template: Template, storage: Sequence[Json]) -> None:
    if not storage:
        return
    if len(storage) > 1:
        raise refuse(
            501,
            "Server::NotImplemented::DiskGroupMultipleConfigs",
            f"Multiple ({len(storage)}) disk groups customization not implemented",
        )
    (chosen,) = storage
    number = chosen.get("diskGroupId") or 1
    group = next((one for one in server.hardware["diskGroups"] if one["diskGroupId"] == number), None)
    if group is None:
        raise refuse(
            404,
            "Client::NotFound::DiskGroup",
            f"disk group {number} could not be found on server {server.name}",
        )
    if chosen.get("hardwareRaid"):
        raise refuse(
            409,
            "Client::Conflict::HardwareRaidIncompatibleOnServer",
            f"Hardware RAID is not supported by server {server.name}",
        )
    partitioning = chosen.get("partitioning")
    if partitioning:
        _check_partitioning(server, template, group, partitioning)


def _check_partitioning(server: Server, template: Template, group: Json, partitioning: Json) -> None:
    where = f"disk group {group['diskGroupId']}"
    disks = partitioning.get("disks")
    if disks is not None and disks > group["numberOfDisks"]:
        raise refuse(
            409,
            "Client::Conflict::PartitioningTooManyDisks",
            f"Partitioning involving more disks ({disks}) than the {where} has ({group['numberOfDisks']}) "
            f"is not possible on server {server.name}",
        )
    scheme, layout = partitioning.get("schemeName"), partitioning.get("layout")
    if scheme and layout:
        raise refuse(400, "Client::BadRequest::IncompatibleParams", "Incompatible schemeName and layout parameters")
    if scheme and scheme not in template.schemes:
        raise refuse(
            404,
            "Client::NotFound::SchemeName",
            f"Partition scheme {scheme} not found for operating system {template.name}",
        )
    if layout:
        _check_layout(template, layout, where)
        _check_disks(layout, disks or group["numberOfDisks"], where)


def _check_layout(template: Template, layout: Sequence[Json], where: str) -> None:
    if not template.partitioning:
        raise refuse(
            400,
            "Client::BadRequest::PartitionIncompatibleCustomPartitioning",
            f"Operating system  {template.name} doesn't support custom partitioning layout in {where}",
        )
    points: set[str] = set()
    for step, partition in enumerate(layout, start=1):
        for name in ("fileSystem", "mountPoint"):
            if name not in partition:
                raise bad_request(f"Missing parameter: [storage.partitioning.layout.{name}]")
        point = str(partition["mountPoint"])
        place = f"for partition {point} at position {step} in {where}"
        _check_partition(template, partition, place)
        if point in points:
            raise _partition("DuplicatedAttribute", f"mountPoint value {point} must be unique {place}")
        points.add(point)
    if "/" not in points:
        raise _partition(
            "MissingRootMountpoint", f"mountPoint / missing for operating system {template.name} in {where}"
        )


def _check_partition(template: Template, partition: Json, place: str) -> None:
    system, point = partition["fileSystem"], str(partition["mountPoint"])
    level, size = partition.get("raidLevel"), partition.get("size", 0)
    if system not in template.filesystems:
        raise _partition(
            "IncompatibleFs",
            f"fileSystem value {system} is not compatible for operating system {template.name} "
            f"(must be one of {_list(template.filesystems)}) {place}",
        )
    if system != "swap" and not point.startswith("/"):
        raise _partition(
            "InvalidUnixMountpointPrefix",
            f"mountPoint value {point} is invalid (Unix-style mountpoint: must start with a '/') {place}",
        )
    if point != "/" and point.endswith("/"):
        raise _partition("ForbiddenMountpointSuffix", f"mountPoint value {point} cannot end with '/' {place}")
    if level is not None and level not in template.raid_levels:
        raise _partition(
            "IncompatibleRaidLevel",
            f"raidLevel value {level} must be one of {_list(template.raid_levels)} "
            f"for operating system {template.name} {place}",
        )
    if not isinstance(size, int) or (size and size < _MIN_PARTITION_MIB):
        raise _partition("MinSize", f"size value {size} MiB must be bigger than {_MIN_PARTITION_MIB} {place}")


def _check_disks(layout: Sequence[Json], disks: int, where: str) -> None:
    possible = [level for level, least in _LEAST_DISKS.items() if disks >= least]
    for step, partition in enumerate(layout, start=1):
        level = partition.get("raidLevel")
        if level is not None and level not in possible:
            raise _partition(
                "RaidLevel",
                f"raidLevel value {level} must be one of {_list(possible)} "
                f"for partition {partition['mountPoint']} at position {step} in {where}",
            )


def _partition(what: str, message: str) -> Refusal:
    return refuse(400, f"Client::BadRequest::Partition{what}", message)


def _list(values: Sequence[Any]) -> str:
    return ", ".join(str(value) for value in values)
