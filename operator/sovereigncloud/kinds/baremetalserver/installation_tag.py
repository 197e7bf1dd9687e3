"""IAM tag on a server that names the OpenNebula installation it carries."""

from __future__ import annotations

INSTALLED_TAG = "sovereigncloud.io/installed"


WIPED = "wiped"
