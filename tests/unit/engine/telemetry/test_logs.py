"""What a machine reads of the log: every line is JSON, names its object, and holds no secret."""

import json
import subprocess
import sys
import textwrap

import pytest

from sovereigncloud.engine.telemetry.redaction import Redaction

PRELUDE = """
import logging, os, sys, threading, warnings
from sovereigncloud.api.common.base import Key
from sovereigncloud.engine.telemetry.logs import configure
from sovereigncloud.engine.telemetry.redaction import redact
from sovereigncloud.engine.settings import Settings
from sovereigncloud.engine.telemetry.log_context import Subject, busy_with
configure(Settings(log_level="DEBUG"))
log = logging.getLogger("some.library")
"""


def told(script):
    """The lines that a process wrote, each of which must be JSON."""
    source = PRELUDE + textwrap.dedent(script)
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=False)
    assert done.stdout == ""
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_every_line_is_json_whatever_is_told():
    lines = told("""
        log.info("several\\nlines, \\"quotes\\", \\x00 and \\u2028")
        log.info("%d machines", "no number")          # does not fit its arguments
        log.info("an object", extra={"thing": object(), "many": {1, 2}})
        class Mute:
            def __str__(self): raise RuntimeError
        log.info("an object that cannot be told", extra={"thing": Mute()})
        warnings.warn("told by Python itself")
        try:
            1 / 0
        except ZeroDivisionError:
            log.exception("caught")
        threading.Thread(target=lambda: 1 / 0, name="worker").start()
        logging.getLogger("kopf.objects").error("a line of Kopf")
        raise ValueError("and so it ends")
    """)
    assert all({"time", "level", "logger", "message"} <= set(line) for line in lines)
    messages = [line["message"] for line in lines]
    assert "a line of the log could not be written: TypeError" in messages
    assert any("told by Python itself" in m for m in messages)
    assert "a thread ended: ZeroDivisionError" in messages
    assert messages[-1] == "the process ends: ValueError"
    caught = next(line for line in lines if line["message"] == "caught")
    assert caught["exc_info"].startswith("Traceback")
    assert "ZeroDivisionError" in caught["exc_info"]
    assert lines[0]["time"].endswith("Z")


def test_a_line_names_the_object_and_the_reconcile_also_from_a_thread():
    lines = told("""
        import asyncio
        subject = Subject(Key("HostedInstance", "platform", "web"), "u-1", 7, "abcd", "t" * 32, "s" * 16)
        async def work():
            with busy_with(subject):
                log.info("in a task")
                await asyncio.to_thread(log.info, "in a thread")
                log.info("of another", extra={"object": "SovereignCloud platform/paris"})
            log.info("afterwards")
        asyncio.run(work())
    """)
    by = {line["message"]: line for line in lines}
    for message in ("in a task", "in a thread"):
        line = by[message]
        assert line["object"] == "HostedInstance platform/web"
        assert (line["kind"], line["namespace"], line["name"]) == ("HostedInstance", "platform", "web")
        assert (line["uid"], line["generation"], line["reconcile_id"]) == ("u-1", 7, "abcd")
        assert (line["trace_id"], line["span_id"]) == ("t" * 32, "s" * 16)
    other = by["of another"]
    assert (other["kind"], other["name"]) == ("SovereignCloud", "paris")
    assert "uid" not in other, "the uid of another object would be a lie"
    assert "object" not in by["afterwards"]


def test_no_secret_is_told_not_even_by_a_library_or_an_exception():
    lines = told("""
        redact.learn({"username": "oneadmin", "password": "hunter2-hunter2", "quoted": 'a"b\\\\c-long'})
        log.info("password is hunter2-hunter2, user is oneadmin", extra={"sent": "hunter2-hunter2"})
        log.info("Authorization: Bearer abcdef0123456789.x")
        log.info("https://oneadmin:s3cret-value@one.example/RPC2")
        log.info('{"applicationSecret": "0123456789abcdef", "clientSecret":"zzzzzzzz"}')
        log.info('with quotes: a"b\\\\c-long')
        try:
            raise ValueError("hunter2-hunter2")
        except ValueError:
            log.exception("refused", extra={"thing": ["hunter2-hunter2"]})
    """)
    text = json.dumps(lines)
    for secret in ("hunter2", "abcdef0123456789", "s3cret-value", "0123456789abcdef", "zzzzzzzz", "c-long"):
        assert secret not in text, secret
    assert "user is oneadmin" in text


@pytest.mark.parametrize(
    ("why", "text", "masked"),
    [
        ("a value that is also part of a word is no secret there", "OpenNebula opennebulas", "OpenNebula opennebulas"),
        ("the value by itself is", "login opennebula failed", "login *** failed"),
        (
            "a private key, cut off or whole",
            "-----BEGIN OPENSSH PRIVATE KEY-----\nabc\ndef",
            "***",
        ),
        ("a key of several lines, one of them", "line two-of-the-key", "line ***"),
        ("an ordinary line stays", "Create VM web: done", "Create VM web: done"),
        ("a Secret is named, not told", "Secret platform/one has no password", "Secret platform/one has no password"),
    ],
)
def test_what_is_masked(why, text, masked):
    redact = Redaction()
    redact.learn({"password": "opennebula", "key": "first-line\ntwo-of-the-key", "short": "abc"})
    assert redact(text) == masked, why
