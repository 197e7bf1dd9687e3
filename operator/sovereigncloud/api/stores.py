"""Stores of a cloud: marketplaces and backup datastores."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from sovereigncloud.api.common.base import WORDS, Model, OutsideName, Rule, SecretRef
from sovereigncloud.api.common.names import host_name, unix_user
from sovereigncloud.api.common.rules import immutable

Attribute = Annotated[str, Field(max_length=1024)]
HostName = Annotated[str, host_name("backup.example.fr")]
"""A machine that the front-end and the hosts reach."""

UnixUser = Annotated[str, unix_user("oneadmin")]

Url = Annotated[
    str,
    Field(
        max_length=512,
        pattern=r"^https?://[^/@ ]+(/[^ ]*)?$",
        json_schema_extra={
            WORDS: "must be an http or https address without user and password: for example https://s3.example.fr"
        },
    ),
]


class StoreType(StrEnum):
    MARKETPLACE = "Marketplace"
    BACKUP = "Backup"


class Location(Model):
    """Declared location of the data."""

    country: Annotated[
        str,
        Field(
            pattern=r"^[A-Z]{2}$",
            max_length=2,
            json_schema_extra={WORDS: "must be a code of two capital letters (ISO 3166-1): for example FR"},
        ),
    ] = Field(description="Country of the data as an ISO 3166-1 code of two capital letters, for example FR.")
    datacenter: OutsideName | None = Field(
        default=None, description="Name of the data centre, for example PARIS-1. Absent: unknown."
    )


class S3Store(Model):
    """An S3 bucket."""

    bucket: Annotated[
        str,
        Field(
            min_length=3,
            max_length=63,
            pattern=r"^[a-z0-9][-.a-z0-9]*[a-z0-9]$",
            json_schema_extra={WORDS: "must be the name of a bucket: lower case letters, digits, - and ."},
        ),
    ] = Field(
        description="Name of the bucket with the appliances. Cannot be changed, because the existing appliances are in it."
    )
    endpoint: Url | None = Field(
        default=None, description="URL of the S3 service, for example https://s3.example.fr. Absent: Amazon S3."
    )
    region: Annotated[str, Field(min_length=1, max_length=64)] | None = Field(
        default=None,
        description="Region of the bucket. Absent: the region named default, which most services other than Amazon S3"
        " accept.",
    )
    credentials_secret_ref: SecretRef = Field(
        description="Secret with the S3 credentials in the keys accessKeyId and secretAccessKey."
    )

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        immutable("bucket", "remove this store from the list and add another one under a name of its own"),
    )


class HttpStore(Model):
    """A directory of the front-end that a web server serves."""

    base_url: Url = Field(
        alias="baseURL",
        description="URL under which the web server serves publicDir, for example https://market.example.fr.",
    )
    public_dir: Annotated[
        str,
        Field(
            min_length=2,
            max_length=512,
            pattern=r"^/[^ ]+$",
            json_schema_extra={WORDS: "must be an absolute path: for example /var/local/market-http"},
        ),
    ] = Field(description="Directory for the appliance files, for example /var/local/market-http.")
    bridge_list: Annotated[list[HostName], Field(min_length=1, max_length=16)] | None = Field(
        default=None,
        description="Servers with publicDir, which the front-end reaches by SSH as oneadmin. Absent: the front-end itself.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )


class ResticStore(Model):
    """A restic repository on a server, accessed by SFTP."""

    sftp_server: HostName = Field(description="Server that stores the backups, for example backup.example.fr.")
    sftp_user: UnixUser | None = Field(
        default=None,
        description="User name with which the front-end and the hosts log in to that server. Absent: oneadmin.",
    )
    password_secret_ref: SecretRef = Field(
        description="Secret with the repository's encryption password in the key password. Keep a copy of it: no backup can"
        " be read without it."
    )


class RsyncStore(Model):
    """A directory on a server, accessed by rsync over SSH."""

    host: HostName = Field(description="Server that stores the backups, for example backup.example.fr.")
    user: UnixUser | None = Field(
        default=None,
        description="User name with which the front-end and the hosts log in to that server. Absent: oneadmin.",
    )


class Store(Model):
    """A marketplace or backup datastore that the operator creates and keeps as declared."""

    name: OutsideName = Field(description="Name of the store in OpenNebula, as instances reference it in backup.store.")
    type: Literal[StoreType.MARKETPLACE, StoreType.BACKUP] = Field(
        description="Marketplace: stores images for exchange, with s3 or http. Backup: stores VM backups, with restic or"
        " rsync. Cannot be changed."
    )
    location: Location | None = Field(default=None, description="Declared location of the data. Absent: unknown.")
    s3: S3Store | None = Field(
        default=None, description="S3 bucket of a Marketplace. Exactly one of s3 and http is set."
    )
    http: HttpStore | None = Field(
        default=None, description="Web server directory of a Marketplace. Exactly one of s3 and http is set."
    )
    restic: ResticStore | None = Field(
        default=None, description="Restic repository of a Backup store. Exactly one of restic and rsync is set."
    )
    rsync: RsyncStore | None = Field(
        default=None,
        description="Server directory of a Backup store, accessed by rsync. Exactly one of restic and rsync is set.",
    )
    attributes: dict[str, Attribute] | None = Field(
        default=None,
        description="Additional OpenNebula template attributes, for example RESTIC_BWLIMIT; not for passwords or attributes"
        " that other fields of this store set. Absent: none.",
        json_schema_extra={"maxProperties": 32},
    )

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.type == 'Marketplace' ? [has(self.s3), has(self.http)].exists_one(there, there) && !has(self.restic)"
            " && !has(self.rsync) : [has(self.restic), has(self.rsync)].exists_one(there, there) && !has(self.s3)"
            " && !has(self.http)",
            "a Marketplace has exactly one of s3 and http, a Backup exactly one of restic and rsync: set that one, remove the others",
        ),
        Rule(
            "has(self.s3) == has(oldSelf.s3) && has(self.http) == has(oldSelf.http) && has(self.restic) == has(oldSelf.restic)",
            "a store does not become one of another kind: remove it from the list and add another one under a name of its own",
        ),
    )


class StoreStatus(Model):
    name: str | None = Field(default=None, description="Name of the store in OpenNebula.")
    type: str | None = Field(default=None, description="Type of the store: Marketplace or Backup.")
    id: str | None = Field(default=None, description="OpenNebula ID of the marketplace or datastore.")
    state: str | None = Field(
        default=None,
        description="State of the store: Ready; Absent (not created yet); Disabled; NotMonitored (OpenNebula has not"
        " monitored it yet); Leaving (removed from spec but still in use).",
    )
    country: str | None = Field(default=None, description="Declared country code of the data.")
