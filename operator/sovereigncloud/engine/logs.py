"""Logs as JSON, each line with the object that it speaks of; or as text for a person."""

from __future__ import annotations

import logging
import sys

from pythonjsonlogger.json import JsonFormatter

from sovereigncloud.engine.settings import Settings

# Kopf tells every event it sees at DEBUG and every PATCH at INFO; ours say what matters.
_QUIET = {
    "kopf": logging.WARNING,
    "asyncio": logging.WARNING,
    "aiohttp.access": logging.WARNING,
    "urllib3": logging.ERROR,
}


def configure(settings: Settings) -> None:
    """Install the one handler on the root logger."""
    handler = logging.StreamHandler(sys.stderr)
    if settings.log_format == "json":
        handler.setFormatter(
            JsonFormatter(
                "{asctime}{levelname}{name}{message}",
                style="{",
                rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
            )
        )
    else:
        handler.setFormatter(_TextFormatter("%(asctime)s %(levelname)s %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level)
    for name, level in _QUIET.items():
        logging.getLogger(name).setLevel(level)


class _TextFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        named = getattr(record, "object", None)
        return f"{text} [{named}]" if named else text
