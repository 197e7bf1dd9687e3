"""What was measured: a table to read, and bench.json, to which each bench adds its own."""

import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

FILE = Path("bench.json")


def show(result):
    table = Table("measure", "value")
    for name, value in result.items():
        table.add_row(name, f"{value:.2f}" if isinstance(value, float) else str(value))
    Console().print(table)


def keep(result):
    before = json.loads(FILE.read_text()) if FILE.exists() else {}
    FILE.write_text(json.dumps(before | result, indent=1))
