"""How the API server is reached: address, certificates, and a token that is read again."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from pathlib import Path

import kubernetes


@dataclass(frozen=True, slots=True)
class Connection:
    """Where the API server is and how to speak to it."""

    host: str
    tls: ssl.SSLContext | None
    token: str
    token_file: str
    basic: tuple[str, str] | None
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    verify: bool = True

    @staticmethod
    def load(context: str | None = None, kubeconfig: str | None = None) -> Connection:
        """From the pod's service account, else from the kubeconfig (None: KUBECONFIG's, else the person's own).

        Raises kubernetes.config.ConfigException.
        """
        kubeconfig = kubeconfig or os.environ.get("KUBECONFIG")
        configuration = kubernetes.client.Configuration()
        token_file = kubernetes.config.incluster_config.SERVICE_TOKEN_FILENAME
        if not context and Path(token_file).exists() and not kubeconfig:
            kubernetes.config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        else:
            # The library reads KUBECONFIG once, when it is imported.
            kubernetes.config.load_kube_config(  # type: ignore[no-untyped-call]
                kubeconfig, context=context, client_configuration=configuration
            )
            token_file = ""
        tls: ssl.SSLContext | None = None
        if configuration.host.startswith("https"):
            tls = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
            if not configuration.verify_ssl:
                tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
            if configuration.cert_file:
                tls.load_cert_chain(configuration.cert_file, configuration.key_file)
        keys = configuration.api_key or {}
        bearer = keys.get("BearerToken", keys.get("authorization", "")).removeprefix("Bearer ")
        basic = (configuration.username, configuration.password or "") if configuration.username else None
        return Connection(
            configuration.host,
            tls,
            "" if token_file else bearer,
            token_file,
            basic,
            ca_file=configuration.ssl_ca_cert or "",
            cert_file=configuration.cert_file or "",
            key_file=configuration.key_file or "",
            verify=bool(configuration.verify_ssl),
        )

    def bearer(self) -> str:
        """The token as it is now: projected tokens are rotated in their file."""
        return Path(self.token_file).read_text().strip() if self.token_file else self.token
