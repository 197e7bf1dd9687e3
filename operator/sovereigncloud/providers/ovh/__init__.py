"""OVHcloud: the port `Ovh` of the kinds over the OVHcloud API."""

from sovereigncloud.providers.ovh.account import Account, Limits, ovh_factory
from sovereigncloud.providers.ovh.client import KNOWN, Endpoint

__all__ = ["KNOWN", "Account", "Endpoint", "Limits", "ovh_factory"]
