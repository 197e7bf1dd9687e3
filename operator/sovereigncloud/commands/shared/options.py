"""Options of the commands that look at OVHcloud and OpenNebula before there is an object that says where they are.

Options that commands share: named and meant as kubectl's are.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from sovereigncloud.commands.shared.completion_candidates import complete_instance, complete_namespace, complete_object

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


class Output(StrEnum):
    """How something is shown."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


Objects = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KIND/NAME | KIND NAME | NAME]...",
        help="For example hinst/web, hinst web, or web alone where it is the only one of that name.",
        autocompletion=complete_object,
    ),
]
"""Any number of objects."""
SomeObjects = Annotated[
    list[str],
    typer.Argument(
        metavar="KIND/NAME | KIND NAME | NAME...",
        help="For example hinst/web, hinst web, or web alone where it is the only one of that name.",
        autocompletion=complete_object,
    ),
]
"""At least one object."""
Instance = Annotated[
    str,
    typer.Argument(
        metavar="INSTANCE", help="Name of a HostedInstance: web or hinst/web.", autocompletion=complete_instance
    ),
]
Namespace = Annotated[
    str,
    typer.Option("-n", "--namespace", help="Default: the context's, or default.", autocompletion=complete_namespace),
]
AllNamespaces = Annotated[bool, typer.Option("-A", "--all-namespaces", help="In all namespaces.")]
Context = Annotated[str | None, typer.Option(help="Context of the kubeconfig. Default: the current one.")]
Kubeconfig = Annotated[str | None, typer.Option(help="File to use instead of KUBECONFIG and ~/.kube/config.")]
NoColor = Annotated[bool, typer.Option("--no-color", help="No colours. NO_COLOR in the environment, too.")]
OutputOption = Annotated[
    Output, typer.Option("-o", "--output", help="table for people; json or yaml for programs, with stable keys.")
]
