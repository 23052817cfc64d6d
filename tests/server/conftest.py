"""A model server in a process of its own, for whatever stands before one."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


class FakeUpstream:
    """`fake_upstream.py`, running. Its calls block, for some milliseconds."""

    def __init__(self, port: int = 0) -> None:
        script = Path(__file__).with_name("fake_upstream.py")
        command = [sys.executable, script, "--port", str(port)]
        # it logs every client that leaves, which is what many tests make theirs do
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        line = self.process.stdout.readline().strip() if self.process.stdout else ""
        if not line.startswith("http://"):
            raise RuntimeError("the model server did not start")
        self.root = line
        self.url = f"{line}/v1"
        """Where a client or an upstream is pointed."""

    def script(self, mode: str = "ok", **more: Any) -> None:
        """How requests are answered from now on; `model=` for those that name that model."""
        self._call("POST", "/script", {"mode": mode, **more})

    def seen(self) -> list[dict[str, Any]]:
        """The requests since the last `forget`, oldest first."""
        return list(self._call("GET", "/seen")["requests"])

    def forget(self) -> None:
        """Forget requests and scripts."""
        self._call("DELETE", "/seen")

    def asked(self, count: int = 1, within_s: float = 20.0) -> None:
        """Wait until so many requests have come."""
        until = time.monotonic() + within_s
        while time.monotonic() < until and len(self.seen()) < count:
            time.sleep(0.01)

    def gone(self, within_s: float = 20.0) -> list[dict[str, Any]]:
        """The requests whose client left before the answer's end, as soon as there is one."""
        until = time.monotonic() + within_s
        while time.monotonic() < until:
            if left := [request for request in self.seen() if request["ended"] == "gone"]:
                return left
            time.sleep(0.02)
        return []

    def stop(self) -> None:
        """End the process. May be called twice."""
        self.process.kill()
        self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.root + path, data, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=10) as response:
            return json.load(response)


@pytest.fixture(scope="session")
def fake_upstream_process() -> Iterator[FakeUpstream]:
    fake = FakeUpstream()
    yield fake
    fake.stop()


@pytest.fixture
def fake_upstream(fake_upstream_process: FakeUpstream) -> FakeUpstream:
    """A model server that has seen nothing yet and answers as it should; see `fake_upstream.py` for what it can do."""
    fake_upstream_process.forget()
    return fake_upstream_process
