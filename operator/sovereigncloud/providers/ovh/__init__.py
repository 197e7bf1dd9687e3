"""OVHcloud adapter: implements the ports in `ports.ovh` over the OVHcloud API.

It must not know the engine or the commands.
"""

from sovereigncloud.providers.ovh.account import Account, Limits, ovh_factory
from sovereigncloud.providers.ovh.client import KNOWN, Endpoint

__all__ = ["KNOWN", "Account", "Endpoint", "Limits", "ovh_factory"]
