"""XML-RPC as oned speaks it: a call in, and out an array of (ok, value, code) or five fields where it failed."""

import re
import xmlrpc.client
from xml.parsers.expat import ExpatError

from sovereigncloud_sandbox.opennebula.errors import OneError, RpcFault

WRONG_TYPE = -501
NOT_XML_RPC = -503
NO_SUCH_METHOD = -506

Argument = str | int | bool | list[int]

_HEAD = b'<?xml version="1.0" encoding="UTF-8"?>\r\n<methodResponse>\r\n'
_TAIL = b"</methodResponse>\r\n"
_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


def decode_call(body: bytes) -> tuple[str, list[Argument]]:
    """The method and its arguments.

    Raises:
        RpcFault: -503, the body is no XML-RPC call. Declarations of types and entities are refused unread.
    """
    if b"<!DOCTYPE" in body or b"<!ENTITY" in body:
        raise RpcFault(NOT_XML_RPC, "Call is not valid XML.  document type declarations are not accepted")
    try:
        arguments, method = xmlrpc.client.loads(body)
    except (ExpatError, ValueError, TypeError, AttributeError, xmlrpc.client.Error) as error:
        raise RpcFault(NOT_XML_RPC, f"Call is not valid XML.  {error}") from error
    if method is None:
        raise RpcFault(NOT_XML_RPC, "Call is not a proper XML-RPC call.  No <methodName>")
    return method, list(arguments)  # type: ignore[arg-type]  # the types are checked against the method's signature


def escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def escaped_bytes(text: str) -> bytes:
    return escape(text).encode()


def _value(value: str | int | bool | bytes) -> bytes:
    if isinstance(value, bytes):  # a string that is escaped already
        return b"<value><string>" + value + b"</string></value>\r\n"
    if isinstance(value, bool):
        return b"<value><boolean>%d</boolean></value>\r\n" % value
    if isinstance(value, int):
        return b"<value><i4>%d</i4></value>\r\n" % value
    return b"<value><string>" + escaped_bytes(_ILLEGAL.sub("?", value)) + b"</string></value>\r\n"


def _reply(*values: bytes) -> bytes:
    array = b"".join(values)
    body = b"<params>\r\n<param><value><array><data>\r\n" + array + b"</data></array></value></param>\r\n</params>\r\n"
    return _HEAD + body + _TAIL


def encode_success(value: str | int | bool | bytes) -> bytes:
    """A successful reply; bytes are the text of a string that is escaped already."""
    return _reply(_value(True), _value(value), _value(0))


def encode_error(method: str, error: OneError) -> bytes:
    message = f"[{method}] {error.message}"
    replication = b"<value><i8>-1</i8></value>\r\n"
    return _reply(_value(False), _value(message), _value(int(error.code)), _value(error.oid), replication)


def encode_fault(fault: RpcFault) -> bytes:
    members = (
        b"<member><name>faultCode</name>\r\n" + _value(fault.code) + b"</member>\r\n"
        b"<member><name>faultString</name>\r\n" + _value(fault.message) + b"</member>\r\n"
    )
    return _HEAD + b"<fault>\r\n<value><struct>\r\n" + members + b"</struct></value>\r\n</fault>\r\n" + _TAIL
