"""YAML that kubectl reads as it was meant: its parser takes more words for numbers and booleans than the writer knows of."""

from __future__ import annotations

import re
from typing import Any

import yaml

# Of YAML 1.1 and 1.2 as Go reads them; what PyYAML itself would misread it quotes by itself.
_A_NUMBER = re.compile(
    r"[-+]?(\.?[0-9][0-9_]*(\.[0-9_]*)?([eE][-+]?[0-9]+)?|0[xXoObB][0-9a-fA-F_]+|\.(inf|Inf|INF)|\.(nan|NaN|NAN))"
)
_A_BOOLEAN = frozenset({"y", "Y", "n", "N"})


class _Careful(yaml.SafeDumper):
    """Quotes them."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "'" if value in _A_BOOLEAN or _A_NUMBER.fullmatch(value) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Careful.add_representer(str, _text)


def dumped(document: dict[str, Any]) -> str:
    return str(yaml.dump(document, Dumper=_Careful, sort_keys=False, allow_unicode=True))
