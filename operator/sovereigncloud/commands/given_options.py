"""Options of the commands that look at OVHcloud and OpenNebula before there is an object that says where they are."""

from __future__ import annotations

from typing import Annotated

import typer

OvhSecret = Annotated[
    str, typer.Option("--secret", help="Secret with the credential of OVHcloud. Default: the environment (OVH_...).")
]
Endpoint = Annotated[
    str, typer.Option("--endpoint", help="ovh-eu, ovh-ca or ovh-us. Default: OVH_ENDPOINT, or ovh-eu.")
]
OpenNebulaUrl = Annotated[
    str, typer.Option("--opennebula", help="XML-RPC endpoint of an OpenNebula. Default: ONE_XMLRPC, or none.")
]
OpenNebulaSecret = Annotated[
    str,
    typer.Option(
        "--opennebula-secret",
        help="Secret with username and password of it. Default: the file that ONE_AUTH names, or ~/.one/one_auth.",
    ),
]
