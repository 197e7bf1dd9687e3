"""A method of the API: its parameters by type, and what it does."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from sovereigncloud_sandbox.opennebula.access import Caller
from sovereigncloud_sandbox.opennebula.cloud import Cloud
from sovereigncloud_sandbox.opennebula.errors import RpcFault
from sovereigncloud_sandbox.opennebula.wire import WRONG_TYPE, Argument

Reply = str | int | bool | bytes

_TYPES: Final[dict[str, tuple[type, str]]] = {
    "i": (int, "int"),
    "s": (str, "string"),
    "b": (bool, "boolean"),
    "a": (list, "array"),
}
_READS = ("info", "infoextended", "infoset", "monitoring", "version", "config", "raftstatus", "accounting", "showback")


@dataclass(frozen=True, slots=True)
class Context:
    """One call under way; at one of several front-ends of the cloud, where there are several."""

    cloud: Cloud
    caller: Caller
    request_id: int
    server: int | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """A method. `signature` lists its parameters after the session: "i s b=0" is int, string, optional boolean."""

    name: str
    signature: str
    perform: Callable[..., Reply]

    @property
    def reads(self) -> bool:
        return self.name.rpartition(".")[2] in _READS

    def arguments(self, given: Sequence[Argument]) -> list[Argument]:
        """The arguments, optional ones filled in. More than there are parameters pass unnoticed (observed).

        Raises:
            RpcFault: -501, one is missing or of the wrong type.
        """
        checked: list[Argument] = []
        for at, parameter in enumerate(self.signature.split()):
            letter, _, default = parameter.partition("=")
            kind, spoken = _TYPES[letter]
            if at >= len(given):
                if "=" not in parameter:
                    raise RpcFault(WRONG_TYPE, f"Not enough parameters: {at + 1} expected")
                checked.append(_default(letter, default))
            elif type(given[at]) is not kind:
                raise RpcFault(WRONG_TYPE, f"Parameter {at + 1} is not of type {spoken}")
            else:
                checked.append(given[at])
        return checked


def _default(letter: str, text: str) -> Argument:
    match letter:
        case "i":
            return int(text)
        case "b":
            return text == "1"
        case "a":
            return []
        case _:
            return text
