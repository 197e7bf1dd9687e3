"""Logs as JSON, each line with the object that it speaks of; or as text for a person. docs/how-to/observe.md has
the fields.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from pythonjsonlogger.json import JsonFormatter

from sovereigncloud.engine.settings import Settings
from sovereigncloud.engine.telemetry.log_context import current
from sovereigncloud.engine.telemetry.redaction import redact

logger = logging.getLogger(__name__)
# Kopf tells every event it sees at DEBUG and every PATCH at INFO; ours say what matters.
_QUIET = {
    "kopf": logging.WARNING,
    "asyncio": logging.WARNING,
    "aiohttp.access": logging.WARNING,
    "urllib3": logging.ERROR,
    "opentelemetry": logging.ERROR,
}


def configure(settings: Settings) -> None:
    """Install the one handler on the root logger, and lead to it what Python would write past it."""
    handler = _Handler(sys.stderr)
    handler.setFormatter(_Json() if settings.log_format == "json" else _Text("%(asctime)s %(levelname)s %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level)
    for name, level in _QUIET.items():
        logging.getLogger(name).setLevel(level)
    logging.captureWarnings(capture=True)
    sys.excepthook = _ended_by
    threading.excepthook = _thread_ended_by
    sys.unraisablehook = _ignored


class _Handler(logging.StreamHandler[Any]):
    """A line that cannot be made is told as one that can: a library may log a text that does not fit its arguments."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - of logging
        wrong = logging.LogRecord(
            record.name, record.levelno, record.pathname, record.lineno, "a line of the log could not be written: %s",
            (type(sys.exc_info()[1]).__name__,), None,
        )  # fmt: skip
        self.stream.write(self.format(wrong) + self.terminator)
        self.flush()


class _Json(JsonFormatter):
    """One JSON object per line."""

    def __init__(self) -> None:
        super().__init__(
            "{asctime}{levelname}{name}{message}",
            style="{",
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
        )

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - of logging
        del datefmt
        return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def add_fields(self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]) -> None:
        super().add_fields(log_data, record, message_dict)
        subject = current()
        if subject is not None:
            log_data.setdefault("object", str(subject.key))
            if log_data["object"] == str(subject.key):
                log_data |= {"uid": subject.uid, "generation": subject.generation}
            log_data["reconcile_id"] = subject.reconcile_id
            if subject.trace_id:
                log_data |= {"trace_id": subject.trace_id, "span_id": subject.span_id}
        if named := log_data.get("object"):
            kind, _, place = str(named).partition(" ")
            namespace, _, name = place.rpartition("/")
            log_data |= {"kind": kind, "namespace": namespace, "name": name}

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        return {key: value if key == "logger" else _without_secrets(value) for key, value in log_data.items()}

    def jsonify_log_record(self, log_data: dict[str, Any]) -> str:
        # ASCII, since some readers take U+2028 for the end of a line.
        return json.dumps(log_data, default=_plain)


def _without_secrets(value: object) -> object:
    match value:
        case str():
            return redact(value)
        case Mapping():
            return {str(key): _without_secrets(part) for key, part in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_without_secrets(part) for part in value]
        case _:
            return value


def _plain(value: object) -> str:
    """What JSON has no form for; an object that cannot even be told is named by its type."""
    try:
        return redact(str(value))
    except Exception:  # noqa: BLE001 - __str__ of anything
        return type(value).__name__


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        text = redact(super().format(record))
        named = getattr(record, "object", None) or getattr(current(), "key", None)
        return f"{text} [{named}]" if named else text


def _ended_by(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    logger.critical("the process ends: %s", kind.__name__, exc_info=(kind, error, trace))


def _thread_ended_by(ended: threading.ExceptHookArgs) -> None:
    if ended.exc_value is not None:
        logger.error(
            "a thread ended: %s",
            ended.exc_type.__name__,
            exc_info=(ended.exc_type, ended.exc_value, ended.exc_traceback),
        )


def _ignored(unraisable: Any) -> None:
    if unraisable.exc_value is not None:
        logger.warning("an error while something was cleaned up: %s", type(unraisable.exc_value).__name__)
