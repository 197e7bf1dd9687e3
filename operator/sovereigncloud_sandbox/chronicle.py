"""Status history: every version of the custom resources that the API server sent, also short-lived ones."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import kubernetes
import requests
import yaml

from sovereigncloud_sandbox.custom_resources import CUSTOM_RESOURCES, GROUP, VERSION
from sovereigncloud_sandbox.stage import condition, is_ready

Json = dict[str, Any]
Where = tuple[str, str, str]
"""(kind, namespace, name)"""

_AFTER_ERROR = 0.2
_SILENCE = 1.5
"""Seconds without news after which a watch is begun anew; so long may `stop` take at most."""


class ChronicleError(Exception):
    """An expected state was not observed in time; the message has the observed state."""


class Chronicle:
    """Watches all custom resources in all namespaces, from `start()` to `stop()`; reconnects to the API server.

    Args:
        kubeconfig: of somebody who may list and watch.
    """

    def __init__(self, kubeconfig: Path) -> None:
        configuration = kubernetes.client.Configuration()
        kubernetes.config.load_kube_config(str(kubeconfig), client_configuration=configuration)  # type: ignore[no-untyped-call]
        self._host = str(configuration.host)
        self._authority = str(configuration.ssl_ca_cert)
        self._pair = (str(configuration.cert_file), str(configuration.key_file))
        self._news = threading.Condition()
        self._now: dict[Where, Json] = {}
        self._versions: list[Json] = []
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._relists = 0

    def start(self) -> Self:
        """Begin; returns when everything that is there was listed."""
        listed = [threading.Event() for _ in CUSTOM_RESOURCES]
        for one, done in zip(CUSTOM_RESOURCES, listed, strict=True):
            thread = threading.Thread(target=self._follow, args=(one.kind, one.plural, done), daemon=True)
            thread.start()
            self._threads.append(thread)
        for done in listed:
            done.wait(30)
        return self

    def stop(self) -> None:
        """End the watches."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(_SILENCE + 1)

    def get(self, kind: str, name: str, namespace: str = "platform") -> Json:
        """An object as it was told last, {} when it is not there."""
        with self._news:
            return self._now.get((kind, namespace, name), {})

    def objects(self, namespace: str = "") -> list[Json]:
        """All that are there."""
        with self._news:
            return [o for (_, where, _), o in sorted(self._now.items()) if namespace in {"", where}]

    @property
    def mark(self) -> int:
        """Where the chronicle is now, for `since` of `versions`."""
        with self._news:
            return len(self._versions)

    def versions(self, kind: str, name: str, since: int = 0) -> list[Json]:
        """Every version of an object, in order."""
        with self._news:
            told = self._versions[since:]
        return [o for o in told if o["kind"] == kind and o["metadata"]["name"] == name]

    def drifts(self, since: int = 0) -> dict[tuple[str, str, str], Json]:
        """Entries of `status.drift` that were ever written: (kind, name, path) -> the newest of it."""
        with self._news:
            told = self._versions[since:]
        return {
            (o["kind"], o["metadata"]["name"], entry["path"]): entry
            for o in told
            for entry in (o.get("status") or {}).get("drift") or ()
        }

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def condition(self, kind: str, name: str, what: str, namespace: str = "platform") -> Json:
        """A condition of an object as it was told last, or {}."""
        return condition(self.get(kind, name, namespace), what)

    def until(self, what: str, test: Callable[[], Any], seconds: float = 60) -> Any:
        """What the test says as soon as that is true. Raises ChronicleError with all that is not Ready."""
        if found := self._wait(test, seconds):
            return found
        unready = {f"{o['kind']}/{o['metadata']['name']}": o.get("status") for o in self.objects() if not is_ready(o)}
        raise ChronicleError(f"not {what} within {seconds:.0f} s; not ready:\n{yaml.safe_dump(unready)}")

    def ready(self, kind: str, name: str, seconds: float = 60) -> Json:
        """The object as soon as it is Ready for the generation that is there. Raises ChronicleError."""
        self.catch_up(kind)
        self.until(f"{kind} {name} ready", lambda: is_ready(self.get(kind, name)), seconds)
        return self.get(kind, name)

    def all_ready(self, number: int, seconds: float = 60) -> None:
        """So many objects are there and all of them are Ready. Raises ChronicleError."""
        self.catch_up()

        def test() -> bool:
            objects = self.objects()
            return len(objects) == number and all(map(is_ready, objects))

        self.until(f"{number} objects, all of them ready", test, seconds)

    def catch_up(self, *kinds: str) -> None:
        """Every object, or those of these kinds, at least in the generation that the API server has now: a watch may tell a moment
        later what whoever asks has just applied, and the object would still look Ready as it was before.
        """
        followed = [one for one in CUSTOM_RESOURCES if not kinds or one.kind in kinds]
        with self._session() as session:

            def behind() -> list[Where]:
                there = [
                    (one.kind, item)
                    for one in followed
                    for item in self._answer(session, self._url(one.plural))["items"]
                ]
                return [
                    where_of(*found)
                    for found in there
                    if self._generation(where_of(*found)) < found[1]["metadata"]["generation"]
                ]

            self.until("told of what was applied", lambda: not behind())

    def _generation(self, where: Where) -> int:
        """0: nothing was told of it yet."""
        with self._news:
            found: int = self._now.get(where, {}).get("metadata", {}).get("generation", 0)
        return found

    def gone(self, seconds: float = 60) -> None:
        """No object is there any more. Raises ChronicleError."""
        self.until("all of them gone", lambda: not self.objects(), seconds)

    def _wait(self, test: Callable[[], Any], seconds: float) -> Any:
        """What the test says as soon as that is true, asked with each news; what it said last when time is up."""
        deadline = time.monotonic() + seconds
        while True:
            with self._news:
                seen = len(self._versions), self._relists
            if found := test():
                return found
            left = deadline - time.monotonic()
            if left <= 0:
                return found
            with self._news:
                if (len(self._versions), self._relists) == seen:
                    self._news.wait(min(left, 0.5))

    def _url(self, plural: str) -> str:
        return f"{self._host}/apis/{GROUP}/{VERSION}/{plural}"

    def _session(self) -> requests.Session:
        session = requests.Session()
        session.trust_env = False
        session.verify, session.cert = self._authority, self._pair
        return session

    def _follow(self, kind: str, plural: str, listed: threading.Event) -> None:
        url = self._url(plural)
        with self._session() as session:
            while not self._stopping.is_set():
                try:
                    version = self._list(session, kind, url)
                    listed.set()
                    self._watch(session, kind, url, version)
                except (requests.RequestException, ValueError, KeyError):
                    self._stopping.wait(_AFTER_ERROR)

    def _list(self, session: requests.Session, kind: str, url: str) -> str:
        page = self._answer(session, url)
        found = {where_of(kind, o): o for o in page["items"]}
        with self._news:
            for gone in [w for w in self._now if w[0] == kind and w not in found]:
                del self._now[gone]
            self._relists += 1
            for item in found.values():
                self._put("ADDED", kind, item)
        version: str = page["metadata"]["resourceVersion"]
        return version

    def _watch(self, session: requests.Session, kind: str, url: str, version: str) -> None:
        while not self._stopping.is_set():
            try:
                for event in self._events(session, f"{url}?watch=true&resourceVersion={version}"):
                    if event["type"] == "ERROR":
                        return
                    version = event["object"]["metadata"]["resourceVersion"]
                    with self._news:
                        self._put(event["type"], kind, event["object"])
            except requests.exceptions.ConnectionError as error:
                if "Read timed out" not in str(error):  # else: silence, which is no error
                    raise

    def _events(self, session: requests.Session, url: str) -> Iterator[Json]:
        with session.get(url, stream=True, timeout=(2, _SILENCE)) as reply:
            reply.raise_for_status()
            for line in reply.iter_lines(chunk_size=None):
                if line:
                    yield json.loads(line)

    def _answer(self, session: requests.Session, url: str) -> Json:
        reply = session.get(url, timeout=(2, 10))
        reply.raise_for_status()
        answer: Json = reply.json()
        return answer

    def _put(self, event: str, kind: str, item: Json) -> None:
        """Called with the lock held."""
        item.setdefault("kind", kind)
        where = where_of(kind, item)
        if event == "DELETED":
            self._now.pop(where, None)
        else:
            if self._now.get(where, {}).get("metadata", {}).get("resourceVersion") == _version(item):
                return
            self._now[where] = item
        self._versions.append(item)
        self._news.notify_all()


def where_of(kind: str, item: Json) -> Where:
    """Kind, namespace and name of a raw object."""
    return kind, item["metadata"].get("namespace", ""), item["metadata"]["name"]


def _version(item: Json) -> str:
    version: str = item["metadata"]["resourceVersion"]
    return version
