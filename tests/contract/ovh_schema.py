"""OVHcloud's own description of its API, where a copy of it is at hand: what requests and replies must look like."""

import ipaddress
import json
import os
import re
import uuid
from datetime import date, datetime
from pathlib import Path

ROOT = Path(__file__).parents[2]
SHARED = Path(os.environ.get("SOVEREIGN_SHARED", ROOT.parent / "shared"))
NATIVE = SHARED / "ovh-api" / "native"
ABSENT = f"no copy of OVHcloud's schema in {NATIVE}"


class Schema:
    """OVHcloud's native description: models and operations, with what a value of each type must look like."""

    def __init__(self, folder):
        self.models = {}
        self.operations = {}
        for version in ("v1", "v2"):
            for file in sorted((folder / version).glob("[!_]*.json")):
                document = json.loads(file.read_text())
                for name, model in document.get("models", {}).items():
                    self.models.setdefault((version, name), model)
                for api in document["apis"]:
                    for operation in api["operations"]:
                        key = (version, operation["httpMethod"], api["path"])
                        self.operations.setdefault(key, operation)

    def request_errors(self, version, method, path, query, body):
        """What is wrong with a request to an operation, a sentence each. `query`: pairs, `body`: decoded, None for none."""
        operation = self.operations.get((version, method, path))
        if operation is None:
            return [f"{method} /{version}{path} is no operation"]
        if operation["apiStatus"]["value"] == "DEPRECATED":
            return [f"{method} /{version}{path} is deprecated"]
        parameters = operation["parameters"]
        known = {one["name"]: one for one in parameters if one["paramType"] == "query"}
        wrong = [f"query: there is no {name}" for name in query if name not in known]
        wrong += [f"query: {name} is missing" for name, one in known.items() if one["required"] and name not in query]
        whole = [one for one in parameters if one["paramType"] == "body" and not one.get("name")]
        if whole:
            return wrong + self.errors(version, _type(whole[0]), body, request=True)
        fields = {one["name"]: one for one in parameters if one["paramType"] == "body"}
        given = {} if body is None else body
        wrong += [f"body: there is no {name}" for name in given if name not in fields]
        for name, one in fields.items():
            if name in given:
                wrong += self.errors(version, _type(one), given[name], f"body.{name}", request=True)
            elif one["required"]:
                wrong.append(f"body: {name} is missing")
        return wrong

    def errors(self, version, kind, value, where="body", *, request=False):
        """What is wrong with a value of this type, a sentence each. `request`: it is sent, so that what need not be is not."""
        if kind == "void":
            return [] if value is None else [f"{where}: {value!r} where nothing is expected"]
        if kind.endswith("[]"):
            if not isinstance(value, list):
                return [f"{where}: {value!r} is no list"]
            return [
                error
                for at, one in enumerate(value)
                for error in self.errors(version, kind.removesuffix("[]"), one, f"{where}[{at}]", request=request)
            ]
        if kind.startswith("map[string]"):
            if not isinstance(value, dict):
                return [f"{where}: {value!r} is no map"]
            inner = kind.removeprefix("map[string]")
            return [
                error
                for key, one in value.items()
                for error in self.errors(version, inner, one, f"{where}.{key}", request=request)
            ]
        # An identifier is written with the type it is made of: coreTypes.AccountId:string.
        kind = kind.rpartition(":")[2]
        if kind in PRIMITIVES:
            return [] if PRIMITIVES[kind](value) else [f"{where}: {value!r} is no {kind}"]
        return self._model_errors(version, kind, value, where, request=request)

    def _model_errors(self, version, kind, value, where, *, request):
        name, _, argument = kind.partition("<")
        model = self.models[version, f"{name}<T>" if argument else name]
        if "enum" in model:
            return [] if value in model["enum"] else [f"{where}: {value!r} is none of {kind}"]
        if not isinstance(value, dict):
            return [f"{where}: {value!r} is no {kind}"]
        properties = model["properties"]
        wrong = [f"{where}: {kind} has no {key}" for key in value.keys() - properties.keys()]
        for key, about in properties.items():
            if key not in value:
                wrong += [f"{where}: {key} of {kind} is missing"] if about.get("required") or not request else []
            elif request and about["readOnly"]:
                wrong.append(f"{where}: {key} of {kind} is read only")
            elif value[key] is None:
                wrong += [] if about["canBeNull"] else [f"{where}.{key}: cannot be null"]
            else:
                inner = about.get("fullType", about["type"])
                inner = argument.removesuffix(">") if inner == "T" else inner
                wrong += self.errors(version, inner, value[key], f"{where}.{key}", request=request)
        return wrong


def _type(about):
    return about.get("fullType") or about["dataType"]


def parses(parse):
    def check(value):
        try:
            parse(value)
        except (ValueError, TypeError):
            return False
        return isinstance(value, str)

    return check


def whole(value):
    return isinstance(value, int) and not isinstance(value, bool)


def masked(parse):
    return lambda value: isinstance(value, str) and "/" in value and parses(parse)(value)


PRIMITIVES = {
    "boolean": lambda value: isinstance(value, bool),
    "date": parses(date.fromisoformat),
    "datetime": lambda value: (
        parses(datetime.fromisoformat)(value) and datetime.fromisoformat(value).tzinfo is not None
    ),
    "double": lambda value: whole(value) or isinstance(value, float),
    "duration": lambda value: isinstance(value, str) and re.fullmatch(r"P(?=.)(\d+[YMWD])*(T.*)?", value) is not None,
    "ip": parses(ipaddress.ip_address),
    "ipBlock": masked(ipaddress.ip_network),
    "ipv4": parses(ipaddress.IPv4Address),
    "ipv4Block": masked(ipaddress.IPv4Network),
    "ipv6": parses(ipaddress.IPv6Address),
    "ipv6Block": masked(ipaddress.IPv6Network),
    "long": whole,
    "macAddress": lambda value: (
        isinstance(value, str) and re.fullmatch(r"([0-9a-f]{2}:){5}[0-9a-f]{2}", value) is not None
    ),
    "string": lambda value: isinstance(value, str),
    "text": lambda value: isinstance(value, str),
    "uuid": parses(uuid.UUID),
}
