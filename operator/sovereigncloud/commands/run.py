"""`sovereign run`: the operator."""

from __future__ import annotations

import asyncio
import logging
from typing import Annotated

import typer

from sovereigncloud.commands.shared.errors import CommandError
from sovereigncloud.engine.settings import SettingsError, settings
from sovereigncloud.ports.errors import OutsideError

logger = logging.getLogger(__name__)


def run(
    *,
    context: Annotated[
        str | None,
        typer.Option(help="Context of the kubeconfig. Default: the pod's service account, else the current one."),
    ] = None,
) -> None:
    """Run the operator until SIGTERM. Settings come from SOVEREIGN_* environment variables, as the chart sets them."""
    try:
        wanted = settings()
    except SettingsError as error:
        raise CommandError(f"{error}: correct the environment variable") from error
    from kubernetes.config import ConfigException  # noqa: PLC0415 - half a second that no other command should pay

    from sovereigncloud import kopf_app  # noqa: PLC0415 - as above, Kopf and both bindings

    try:
        try:
            code = asyncio.run(kopf_app.run(wanted, context))
        except SettingsError as error:  # a file that a setting names
            raise CommandError(f"{error}: correct it") from error
        except ConfigException as error:
            raise CommandError(f"no cluster to run against: {error}: set KUBECONFIG or --context") from error
        except OutsideError as error:  # while it begins; later on the API server may be away
            raise CommandError(f"the operator cannot begin: {error}") from error
    except Exception as error:
        if wanted.log_format != "json":
            raise
        # Its last line is read by what reads the others.
        logger.critical("%s", error, exc_info=None if isinstance(error, CommandError) else error)
        raise typer.Exit(1) from None
    raise typer.Exit(code)
