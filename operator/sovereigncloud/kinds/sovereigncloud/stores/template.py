"""Render a store as OpenNebula template attributes of a marketplace or backup datastore."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from sovereigncloud.api.stores import Store, StoreType
from sovereigncloud.core.identity import Mark

DIGEST_NOTE = "SOVEREIGNCLOUD_SECRET"
"""Attribute: digest of the secret as last written. OpenNebula may return it encrypted, which cannot be compared."""
SHOWN_NOTE = "SOVEREIGNCLOUD_SECRET_SHOWN"
"""Attribute: how OpenNebula returned the secret after the write: `clear`, or a digest of the returned value."""
IN_CLEAR = "clear"
HIDDEN = "(hidden)"
_ROUNDS = 5_000
"""PBKDF2 rounds: slow down a dictionary attack by somebody who can read the digests."""

SECRET_KEYS: Mapping[str, Mapping[str, str]] = {
    "s3": {"ACCESS_KEY_ID": "accessKeyId", "SECRET_ACCESS_KEY": "secretAccessKey"},
    "restic": {"RESTIC_PASSWORD": "password"},
}
"""By field of a store: OpenNebula attribute -> key of the Secret."""

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
_RESERVED = frozenset(_PATHS) | {"NAME", "TYPE", "DS_MAD", "TM_MAD", "MARKET_MAD", "ERROR"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """The desired attributes of a store.

    Attributes:
        frame: attributes that never change: drivers and type.
        kept: attributes that spec declares and that are kept in sync.
        once: defaults that are set at creation and not compared afterwards.
        secret: the attributes that hold a secret; empty when the Secret was not read.
    """

    frame: Mapping[str, str]
    kept: Mapping[str, str]
    once: Mapping[str, str] = field(default_factory=dict)
    secret: Mapping[str, str] = field(default_factory=dict, repr=False)


def wanted(store: Store, secret: Mapping[str, str]) -> Wanted:
    """Return the desired attributes of a store. `secret`: the attributes read from its Secret."""
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


def invalid_attributes(store: Store) -> str:
    """Validate `attributes` of a store: return the error message, empty if valid."""
    for name in store.attributes or ():
        told = name.upper()
        if told in _RESERVED - {"SIGNATURE_VERSION", "FORCE_PATH_STYLE", "AWS"} or told.startswith("SOVEREIGNCLOUD_"):
            return f"{name} is set by another field of the store, or is reserved for the operator: remove it from attributes"
        if told != name or not name.replace("_", "").isalnum() or not name.isascii() or name[0].isdigit():
            return f"{name} is no valid attribute name: use capital letters, digits and _"
        if told.endswith(("PASSWORD", "PASSWD", "SECRET", "_KEY")):
            return f"{name} would be a secret in clear: remove it and reference a Secret"
    return ""


def path_of(store: Store, name: str) -> str:
    """Return the spec path that declares an OpenNebula attribute."""
    inside = f"attributes.{name}" if name in (store.attributes or {}) else _PATHS.get(name, "attributes")
    return f"spec.stores[{store.name}].{inside}"


def secret_ref(store: Store) -> tuple[str, Mapping[str, str]] | None:
    """Return the name of the Secret of a store and its mapping attribute -> key.

    None: no Secret.
    """
    if store.s3 is not None:
        return store.s3.credentials_secret_ref.name, SECRET_KEYS["s3"]
    if store.restic is not None:
        return store.restic.password_secret_ref.name, SECRET_KEYS["restic"]
    return None


def noun(kind: StoreType) -> str:
    return "marketplace" if kind is StoreType.MARKETPLACE else "backup datastore"


def digest(values: Mapping[str, str], mark: Mark, name: str) -> str:
    """Return a salted digest of secret values, to compare them without storing them."""
    text = "\n".join(f"{key}={value}" for key, value in sorted(values.items()))
    salt = f"{mark.installation} {mark.object} {name}"
    return hashlib.pbkdf2_hmac("sha256", text.encode(), salt.encode(), _ROUNDS).hex()[:16]
