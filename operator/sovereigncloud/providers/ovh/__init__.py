"""OVHcloud: the port `Ovh` of the kinds over the OVHcloud API."""

from sovereigncloud.providers.ovh.account import Account, Limits, ovh_factory
from sovereigncloud.providers.ovh.client import Endpoint

__all__ = ["Account", "Endpoint", "Limits", "ovh_factory"]
