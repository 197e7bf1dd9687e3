"""Named faults of the OVHcloud API, with the error bodies that clients have seen or must expect.

``POST /_admin/faults`` takes ``{"preset": "rate-limited", "count": 2}``: the preset's fields, the others over them.
"""

from collections.abc import Mapping
from typing import Any, Final

from sovereigncloud_sandbox.faults import Rule, parse_rule

_HTML: Final = "<html><head><title>{0}</title></head><body><center><h1>{0}</h1></center><hr>nginx</body></html>"
_WRITE: Final = "POST|PUT|DELETE"
_TASK: Final = r"/task/\d+$"

PRESETS: Final[Mapping[str, Mapping[str, Any]]] = {
    "slow": {"kind": "latency", "seconds": 1.0},
    # No source shows the body of a 429; the class is invented.
    "rate-limited": {
        "kind": "reply",
        "status": 429,
        "headers": {"Retry-After": "1"},
        "body": '{"class":"Client::TooManyRequests","message":"Too many requests"}',
    },
    "rate-limited-without-retry-after": {
        "kind": "reply",
        "status": 429,
        "body": '{"class":"Client::TooManyRequests","message":"Too many requests"}',
    },
    "server-error": {
        "kind": "reply",
        "status": 500,
        "body": '{"class":"Server::InternalServerError","message":"Internal server error"}',
    },
    "bad-gateway": {
        "kind": "reply",
        "status": 502,
        "content_type": "text/html",
        "body": _HTML.format("502 Bad Gateway"),
    },
    "request-timeout": {
        "kind": "reply",
        "status": 408,
        "content_type": "text/html",
        "body": _HTML.format("408 Request Time-out"),
    },
    "empty-reply": {"kind": "reply", "status": 200, "body": ""},
    "lost-before-write": {"kind": "lost-request", "method": _WRITE},
    "lost-after-write": {"kind": "lost-response", "method": _WRITE},
    # Seen at orders and reinstallations (terraform-provider-ovh issues 819 and 995): an error, and yet it was done.
    "error-after-write": {
        "kind": "false-reply",
        "method": _WRITE,
        "status": 500,
        "body": '{"class":"Server::InternalServerError","message":"Internal server error"}',
    },
    "late-write": {"kind": "late-effect", "method": _WRITE, "seconds": 30.0},
    "clock-skew": {"kind": "clock-skew", "seconds": 300.0},
    "task-lag": {
        "kind": "reply",
        "method": "GET",
        "path": _TASK,
        "status": 404,
        "body": '{"class":"Client::NotFound","message":"The requested object (taskId) does not exist"}',
    },
    "vrack-task-vanishes": {
        "kind": "reply",
        "method": "GET",
        "path": f"^/vrack/[^/]+{_TASK}",
        "status": 404,
        "body": '{"class":"Client::NotFound","message":"The requested object (taskId) does not exist"}',
    },
    "service-expired": {
        "kind": "reply",
        "status": 460,
        "body": '{"class":"Client::ServiceExpired","message":"This service is expired"}',
    },
}


def fault(document: Mapping[str, Any]) -> Rule:
    """A rule, or a preset with changes.

    Raises:
        ValueError: no such preset, or not a rule.
    """
    fields = dict(document)
    preset = fields.pop("preset", None)
    if preset is None:
        return parse_rule(fields)
    if preset not in PRESETS:
        raise ValueError(f"no preset {preset}; there are {', '.join(PRESETS)}")
    return parse_rule({"name": preset, **PRESETS[preset], **fields})
