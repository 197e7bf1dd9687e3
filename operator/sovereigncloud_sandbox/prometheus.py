"""A real Prometheus on loopback that scrapes the operator, and promtool beside it. Tests ask it what Grafana would ask."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

import yaml

from sovereigncloud_sandbox.child import Child
from sovereigncloud_sandbox.toolchain import Toolchain

JOB = "sovereign-cloud-operator"
_STARTED_WITHIN = 30.0
_ASK_TIMEOUT = 30.0

Series = dict[str, Any]
"""As the HTTP API tells one: {"metric": labels, "value": [time, text]}."""


class PrometheusError(Exception):
    """Prometheus did not start, or refused a query; the message has its output."""


class Prometheus:
    """A Prometheus process; use it as a context manager.

    Args:
        directory: for its configuration, data and log.
        programs: where the program is.
        target: host:port that it scrapes each second.
        rules: files of rules that it evaluates each second.
    """

    def __init__(self, directory: Path, programs: Toolchain, *, target: str, rules: tuple[Path, ...] = ()) -> None:
        self._directory, self._programs = directory, programs
        self._configuration = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(path.resolve()) for path in rules],
            "scrape_configs": [{"job_name": JOB, "static_configs": [{"targets": [target]}]}],
        }
        self._child: Child | None = None
        self.url = ""

    def __enter__(self) -> Self:
        self._directory.mkdir(parents=True, exist_ok=True)
        configuration = self._directory / "prometheus.yaml"
        configuration.write_text(yaml.safe_dump(self._configuration))
        log = self._directory / "prometheus.log"
        command: list[str | Path] = [
            self._programs.resolve("prometheus"),
            f"--config.file={configuration}",
            f"--storage.tsdb.path={self._directory / 'data'}",
            "--web.listen-address=127.0.0.1:0",
            "--log.format=json",
        ]
        self._child = Child("prometheus", command, log=log, cwd=self._directory)
        deadline = time.monotonic() + _STARTED_WITHIN
        while not (self.url and self._is_ready()):
            if self._child.poll() is not None or time.monotonic() > deadline:
                tail = self._child.tail()
                self._child.stop()
                raise PrometheusError(f"prometheus is not ready:\n{tail}")
            time.sleep(0.05)
            self.url = _listens(log)
        return self

    def __exit__(self, *_: object) -> None:
        if self._child is not None:
            self._child.stop()

    def ask(self, query: str) -> list[Series]:
        """What an expression is now. Raises PrometheusError."""
        answer = self.get("query", query=query)
        found: list[Series] = answer["result"]
        if answer["resultType"] == "scalar":
            return [{"metric": {}, "value": found}]
        return found

    def get(self, path: str, **parameters: str) -> Any:
        """The data of an answer of the HTTP API. Raises PrometheusError."""
        url = f"{self.url}/api/v1/{path}?{urlencode(parameters)}"
        try:
            with _open(url) as reply:
                answer = json.load(reply)
        except OSError as error:
            said = error.read().decode() if isinstance(error, urllib.error.HTTPError) else ""
            raise PrometheusError(f"{path} {parameters}: {error} {said}") from error
        return answer["data"]

    def _is_ready(self) -> bool:
        try:
            with _open(f"{self.url}/-/ready"):
                return True
        except OSError:
            return False


def promtool(programs: Toolchain, *arguments: str | Path, text: str = "") -> subprocess.CompletedProcess[str]:
    """Run promtool; its exit code says what it found."""
    command = [programs.resolve("promtool"), *arguments]
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=120, check=False)


def _listens(log: Path) -> str:
    """The URL that it tells once it listens; empty until then."""
    for line in log.read_text(errors="replace").splitlines():
        try:
            told = json.loads(line)
        except ValueError:
            continue
        if told.get("msg") == "Listening on":
            return f"http://{told['address']}"
    return ""


def _open(url: str) -> Any:
    # Loopback only, whatever proxies the machine has.
    return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=_ASK_TIMEOUT)
