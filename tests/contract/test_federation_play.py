"""The play that joins a front-end to a federation, run by the real ansible-core on folders that stand for two front-ends, with an
onedb that only says what it was asked for. What it does to a real front-end nobody has seen (docs/limits.md).
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.unit.providers.installer.installations import SLAVE

from sovereigncloud.providers.installer.federation import inventory
from sovereigncloud.providers.installer.pod import playbook

CONF = """FEDERATION = [
    MODE          = "STANDALONE",
    ZONE_ID       = 0,
    SERVER_ID     = -1,
    MASTER_ONED   = ""
]
DB = [ BACKEND = "sqlite", TIMEOUT = 2500 ]
"""
ONEDB = """#!/bin/sh
echo "$*" >> "$FOLDER/asked"
case "$*" in
    backup*) for last; do :; done; echo dump > "$last" ;;
    restore\\ --federated*) test ! -e "$FOLDER/broken" ;;
esac
"""
AUTH = "one_auth"


class FrontEnds:
    """Two folders in place of /, and what is in them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "bin").mkdir()
        for name, text in (("onedb", ONEDB), ("systemctl", "#!/bin/sh\n")):
            (folder / "bin" / name).write_text(text)
            (folder / "bin" / name).chmod(0o755)
        for name in ("master", "member"):
            (folder / name / "etc/one").mkdir(parents=True)
            (folder / name / "var/lib/one/.one").mkdir(parents=True)
            (folder / name / "etc/one/oned.conf").write_text(CONF)
            (folder / name / "var/lib/one/.one" / AUTH).write_text(f"oneadmin:{name}")
        (folder / "hosts.yml").write_text(yaml.safe_dump(self._inventory()))
        (folder / "federation.yml").write_text(self._play())

    def _inventory(self) -> dict[str, Any]:
        told = inventory(SLAVE)
        told["all"]["vars"] |= {"ansible_become": False, "ansible_python_interpreter": sys.executable}
        for name in ("master", "member"):
            told[name]["hosts"] = {f"the-{name}": {"ansible_connection": "local", "root": str(self.folder / name)}}
        return told

    def _play(self) -> str:
        """Nothing but where things are, and who may own them, is another."""
        text = playbook("federation.yml").replace("become: true", "become: false")
        for there in ("/var/lib/one", "/etc/one/"):
            text = text.replace(there, "{{ root }}" + there)
        (owner, group) = (os.getuid(), os.getgid())
        for who in ("oneadmin", "root"):
            text = text.replace(f"owner: {who}", f'owner: "{owner}"').replace(f"group: {who}", f'group: "{group}"')
        return text.replace("/runner/", f"{self.folder}/").replace("port: 2633", "port: 1\n            state: stopped")

    def run(self) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": f"{self.folder / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "FOLDER": str(self.folder),
            "HOME": str(self.folder),
            "ANSIBLE_HOME": str(self.folder / ".ansible"),
            "LC_ALL": "C.UTF-8",
        }
        command = ("ansible-playbook", "-i", "hosts.yml", "federation.yml")
        return subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False, timeout=180
        )

    def read(self, path: str) -> str:
        return (self.folder / path).read_text()

    @property
    def asked(self) -> list[str]:
        return [" ".join(w for w in line.split() if not w.startswith("/")) for line in self.read("asked").splitlines()]

    @property
    def kept(self) -> set[str]:
        (before,) = (self.folder / "member/var/lib/one").glob("before-federation-*")
        assert before.stat().st_mode & 0o077 == 0, "it holds passwords"
        return {path.name for path in before.iterdir()}


@pytest.fixture
def front_ends(tmp_path: Path) -> FrontEnds:
    return FrontEnds(tmp_path)


def test_a_front_end_becomes_a_slave_and_what_it_was_is_kept(front_ends: FrontEnds) -> None:
    done = front_ends.run()
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert front_ends.asked == ["backup --federated -f", "backup -f", "restore --federated -f"]
    written = front_ends.read("member/etc/one/oned.conf")
    assert 'MODE          = "SLAVE"' in written
    assert "ZONE_ID       = 100" in written
    assert "TIMEOUT = 2500" in written, "and nothing else is another"
    assert front_ends.read(f"member/var/lib/one/.one/{AUTH}") == "oneadmin:master"
    assert front_ends.kept == {"one.db", "oned.conf", AUTH}, "and no copy of the master's tables"
    assert front_ends.read("master/etc/one/oned.conf") == CONF
    assert [p.name for p in (front_ends.folder / "master/var/lib/one").iterdir()] == [".one"], "nothing is left there"
    assert "oneadmin:" not in done.stdout


def test_where_a_task_fails_it_is_put_back_as_it_was(front_ends: FrontEnds) -> None:
    (front_ends.folder / "broken").touch()
    done = front_ends.run()
    assert done.returncode != 0
    assert "It was put back as it was, after a failure in: Put them in place of its own" in done.stdout
    assert front_ends.asked[-2:] == ["restore --federated -f", "restore -f"]
    assert front_ends.read("member/etc/one/oned.conf") == CONF
    assert front_ends.read(f"member/var/lib/one/.one/{AUTH}") == "oneadmin:member"
    assert "federated.db" not in front_ends.kept
