"""What a store is in OpenNebula's words: the attributes of a marketplace or of a datastore for backups."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from sovereigncloud.api.stores import Store, StoreType
from sovereigncloud.core.identity import Mark

DIGEST_NOTE = "SOVEREIGNCLOUD_SECRET"
"""What the secret was when it was written, as a digest: OpenNebula may keep it encrypted, then it cannot be compared."""
SHOWN_NOTE = "SOVEREIGNCLOUD_SECRET_SHOWN"
"""How OpenNebula showed it right after: in clear, or as a digest of what it showed instead."""
IN_CLEAR = "clear"
HIDDEN = "(hidden)"
_ROUNDS = 5_000
"""Whoever may read the notes is not to find a weak password by trying a list of them."""

SECRET_KEYS: Mapping[str, Mapping[str, str]] = {
    "s3": {"ACCESS_KEY_ID": "accessKeyId", "SECRET_ACCESS_KEY": "secretAccessKey"},
    "restic": {"RESTIC_PASSWORD": "password"},
}
"""By the field of a store: attribute in OpenNebula -> key of the Secret."""

_PATHS = {
    "BUCKET": "s3.bucket",
    "REGION": "s3.region",
    "ENDPOINT": "s3.endpoint",
    "ACCESS_KEY_ID": "s3.credentialsSecretRef",
    "SECRET_ACCESS_KEY": "s3.credentialsSecretRef",
    "BASE_URL": "http.baseURL",
    "PUBLIC_DIR": "http.publicDir",
    "BRIDGE_LIST": "http.bridgeList",
    "RESTIC_SFTP_SERVER": "restic.sftpServer",
    "RESTIC_SFTP_USER": "restic.sftpUser",
    "RESTIC_PASSWORD": "restic.passwordSecretRef",
    "RSYNC_HOST": "rsync.host",
    "RSYNC_USER": "rsync.user",
    "SIGNATURE_VERSION": "s3",
    "FORCE_PATH_STYLE": "s3",
    "AWS": "s3",
}
_OURS = frozenset(_PATHS) | {"NAME", "TYPE", "DS_MAD", "TM_MAD", "MARKET_MAD", "ERROR"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A store as it is to be.

    Attributes:
        frame: what it is, which never changes: drivers and type.
        kept: attributes that spec declares.
        once: attributes that a new one has and that are not looked after.
        secret: the attributes that hold a secret; empty where the Secret was not read.
    """

    frame: Mapping[str, str]
    kept: Mapping[str, str]
    once: Mapping[str, str] = field(default_factory=dict)
    secret: Mapping[str, str] = field(default_factory=dict, repr=False)


def wanted(store: Store, secret: Mapping[str, str]) -> Wanted:
    """What the store is to be, with the attributes of its Secret."""
    given = dict(store.attributes or {})
    kept: dict[str, str] = {}
    once: dict[str, str] = {}
    if store.s3 is not None:
        kept, frame = {"BUCKET": store.s3.bucket}, {"MARKET_MAD": "s3"}
        _declare(kept, "REGION", store.s3.region)
        once = {"SIGNATURE_VERSION": "v4", **({} if store.s3.region else {"REGION": "default"})}
        if store.s3.endpoint:
            kept |= {"ENDPOINT": store.s3.endpoint}
            once |= {"FORCE_PATH_STYLE": "YES", "AWS": "no"}
    elif store.http is not None:
        kept, frame = {"BASE_URL": store.http.base_url, "PUBLIC_DIR": store.http.public_dir}, {"MARKET_MAD": "http"}
        _declare(kept, "BRIDGE_LIST", " ".join(store.http.bridge_list or ()))
    elif store.restic is not None:
        kept, frame = {"RESTIC_SFTP_SERVER": store.restic.sftp_server}, _backup("restic")
        _declare(kept, "RESTIC_SFTP_USER", store.restic.sftp_user)
    else:
        rsync = store.rsync
        kept, frame = {"RSYNC_HOST": rsync.host if rsync else ""}, _backup("rsync")
        _declare(kept, "RSYNC_USER", rsync.user if rsync else None)
        once = {} if rsync and rsync.user else {"RSYNC_USER": "oneadmin"}
    return Wanted(frame, {**kept, **given}, {k: v for k, v in once.items() if k not in given}, secret)


def _declare(kept: dict[str, str], name: str, value: str | None) -> None:
    if value:
        kept[name] = value


def _backup(driver: str) -> dict[str, str]:
    return {"TYPE": "BACKUP_DS", "DS_MAD": driver, "TM_MAD": "-"}


def misplaced(store: Store) -> str:
    """What is wrong with `attributes`; empty: nothing."""
    for name in store.attributes or ():
        told = name.upper()
        if told in _OURS - {"SIGNATURE_VERSION", "FORCE_PATH_STYLE", "AWS"} or told.startswith("SOVEREIGNCLOUD_"):
            return f"{name} is said by another field of the store, or is the operator's own: remove it from attributes"
        if told != name or not name.replace("_", "").isalnum() or not name.isascii() or name[0].isdigit():
            return f"{name} cannot be the name of an attribute: capital letters, digits and _, as OpenNebula keeps them"
        if told.endswith(("PASSWORD", "PASSWD", "SECRET", "_KEY")):
            return f"{name} would be a secret in clear: nothing of the kind belongs in spec"
    return ""


def path_of(store: Store, name: str) -> str:
    """The path in spec that says an attribute."""
    inside = f"attributes.{name}" if name in (store.attributes or {}) else _PATHS.get(name, "attributes")
    return f"spec.stores[{store.name}].{inside}"


def secret_ref(store: Store) -> tuple[str, Mapping[str, str]] | None:
    """The Secret that a store reads, and which of its keys are which attributes."""
    if store.s3 is not None:
        return store.s3.credentials_secret_ref.name, SECRET_KEYS["s3"]
    if store.restic is not None:
        return store.restic.password_secret_ref.name, SECRET_KEYS["restic"]
    return None


def noun(kind: StoreType) -> str:
    return "marketplace" if kind is StoreType.MARKETPLACE else "backup datastore"


def digest(values: Mapping[str, str], mark: Mark, name: str) -> str:
    """What tells values apart without telling them."""
    text = "\n".join(f"{key}={value}" for key, value in sorted(values.items()))
    salt = f"{mark.installation} {mark.object} {name}"
    return hashlib.pbkdf2_hmac("sha256", text.encode(), salt.encode(), _ROUNDS).hex()[:16]
