"""Stores of a cloud: marketplaces that images are shared through, and datastores that backups go to."""

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
    """Where data lies."""

    country: Annotated[
        str,
        Field(
            pattern=r"^[A-Z]{2}$",
            max_length=2,
            json_schema_extra={WORDS: "must be a code of two capital letters (ISO 3166-1): for example FR"},
        ),
    ] = Field(description="Country that the data lies in, as a code of two capital letters, for example FR.")
    datacenter: OutsideName | None = Field(
        default=None, description="Name of the data centre, for example PARIS-1. Absent: nobody says."
    )


class S3Store(Model):
    """A bucket that speaks S3."""

    bucket: Annotated[
        str,
        Field(
            min_length=3,
            max_length=63,
            pattern=r"^[a-z0-9][-.a-z0-9]*[a-z0-9]$",
            json_schema_extra={WORDS: "must be the name of a bucket: lower case letters, digits, - and ."},
        ),
    ] = Field(
        description="Bucket that holds the appliances. Cannot be changed: the appliances of the marketplace lie in it."
    )
    endpoint: Url | None = Field(
        default=None, description="Address of the S3 service, for example https://s3.example.fr. Absent: Amazon's."
    )
    region: Annotated[str, Field(min_length=1, max_length=64)] | None = Field(
        default=None, description="Region of the bucket. Absent: default, which most services other than Amazon's take."
    )
    credentials_secret_ref: SecretRef = Field(description="Secret with the keys accessKeyId and secretAccessKey.")

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        immutable("bucket", "remove this store from the list and add another one under a name of its own"),
    )


class HttpStore(Model):
    """A directory of the front-end that a web server shows."""

    base_url: Url = Field(
        alias="baseURL",
        description="Address under which the web server shows publicDir, for example https://market.example.fr.",
    )
    public_dir: Annotated[
        str,
        Field(
            min_length=2,
            max_length=512,
            pattern=r"^/[^ ]+$",
            json_schema_extra={WORDS: "must be an absolute path: for example /var/local/market-http"},
        ),
    ] = Field(description="Directory that appliances are copied to, for example /var/local/market-http.")
    bridge_list: Annotated[list[HostName], Field(min_length=1, max_length=16)] | None = Field(
        default=None,
        description="Machines that have publicDir, reached by SSH as oneadmin. Absent: the front-end itself.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )


class ResticStore(Model):
    """A repository of restic on a server that is reached by SFTP."""

    sftp_server: HostName = Field(description="Server that keeps the backups, for example backup.example.fr.")
    sftp_user: UnixUser | None = Field(
        default=None, description="User that the front-end and the hosts log in as there. Absent: oneadmin."
    )
    password_secret_ref: SecretRef = Field(
        description="Secret with the key password: it encrypts the repository, and without it no backup can be read. Keep a"
        " copy of it."
    )


class RsyncStore(Model):
    """A directory on a server that is reached by rsync over SSH."""

    host: HostName = Field(description="Server that keeps the backups, for example backup.example.fr.")
    user: UnixUser | None = Field(
        default=None, description="User that the front-end and the hosts log in as there. Absent: oneadmin."
    )


class Store(Model):
    """A marketplace or a datastore for backups, made and kept as declared."""

    name: OutsideName = Field(description="Name in OpenNebula, which instances use in backup.store.")
    type: Literal[StoreType.MARKETPLACE, StoreType.BACKUP] = Field(
        description="Marketplace: images are shared through it, in s3 or http. Backup: backups of machines go there, by restic"
        " or rsync. Cannot be changed."
    )
    location: Location | None = Field(
        default=None, description="Where the data lies, as a person declares it. Absent: nobody says."
    )
    s3: S3Store | None = Field(
        default=None, description="A bucket, for a Marketplace. Exactly one of s3 and http is set."
    )
    http: HttpStore | None = Field(
        default=None, description="A web server's directory, for a Marketplace. Exactly one of s3 and http is set."
    )
    restic: ResticStore | None = Field(
        default=None, description="A repository of restic, for Backup. Exactly one of restic and rsync is set."
    )
    rsync: RsyncStore | None = Field(
        default=None, description="A directory of a server, for Backup. Exactly one of restic and rsync is set."
    )
    attributes: dict[str, Attribute] | None = Field(
        default=None,
        description="Further attributes of its template in OpenNebula, for example RESTIC_BWLIMIT. Those that other fields of"
        " this store say, and passwords, are not among them. Absent: none.",
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
    type: str | None = Field(default=None, description="Marketplace or Backup.")
    id: str | None = Field(default=None, description="Number of the marketplace or datastore in OpenNebula.")
    state: str | None = Field(
        default=None,
        description="How it is: Ready; Absent, not made yet; Disabled; NotMonitored, OpenNebula has not looked at it yet; Leaving,"
        " no longer declared and still in use.",
    )
    country: str | None = Field(default=None, description="Country that the data lies in, as declared.")
