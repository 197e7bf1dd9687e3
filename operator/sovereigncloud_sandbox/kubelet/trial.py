"""Detect which isolation (namespaces) the machine grants, by trying it once."""

import os
import tempfile
from pathlib import Path

from sovereigncloud_sandbox.kubelet.processes import output_of
from sovereigncloud_sandbox.kubelet.root import Identity, Isolation, Plan, enter, entries_of_root, script

_WITHIN = 20.0  # seconds
_NOBODY = 65532


async def what_the_machine_grants(directory: Path) -> Isolation:
    """The best kind of isolation that works here."""
    for how in (Isolation.ROOT,) if os.geteuid() == 0 else (Isolation.USER,):
        if await _works(how, directory):
            return how
    return Isolation.NONE


async def _works(how: Isolation, directory: Path) -> bool:
    with tempfile.TemporaryDirectory(dir=directory) as folder:
        identity = Identity(_NOBODY, _NOBODY, keeps_capabilities=False, gains_privileges=False, read_only_root=True)
        plan = Plan(Path(folder) / "scratch", (), identity, "trial", "/")
        plan.scratch.mkdir()
        lines = Path(folder) / "root.sh"
        try:
            lines.write_text(script(plan, how, entries_of_root()))
            code, said = await output_of(
                [*enter(how), str(lines), "id", "-u"], env={"PATH": os.environ.get("PATH", "")}, seconds=_WITHIN
            )
        except (OSError, TimeoutError):  # a program is missing
            return False
    return code == 0 and said.strip() == str(_NOBODY)
