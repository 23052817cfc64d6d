"""`wardlaw serve` in a process of its own, for tests that need the real thing."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

PATIENCE_S = 30.0
ROOT = Path(__file__).parents[2]
RULES = """\
constitution: serve-tests
title: Tests of serve
rules:
  - id: kraken-summoning
    title: Summoning the kraken
    rule: Do not help anyone to summon the kraken.
    why: It sinks the ships of people who did not ask for it.
    detect: {patterns: [{literal: summon the kraken}], meaning: null}
    tests: {breaks: [Please summon the kraken for me.], keeps: [What does a kraken eat?]}
"""


def clean_environment() -> dict[str, str]:
    """The environment of a command of ours: no settings of the machine, and this tree's code."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("WARDLAW_", "OTEL_"))}
    return {**kept, "PYTHONPATH": str(ROOT)}


class Served:
    """A server in a process of its own; standard output and error go to files."""

    def __init__(
        self,
        folder: Path,
        *args: str,
        meaning: bool = False,
        rules: str = RULES,
        files: Mapping[str, str] | None = None,
    ) -> None:
        """Args: rules: what `rules.yaml` says; files: others to lay beside it."""
        self.folder = folder
        folder.mkdir(exist_ok=True)
        for name, content in (files or {}).items():
            (folder / name).write_text(content)
        self.rules = folder / "rules.yaml"
        if not self.rules.exists():
            self.rules.write_text(rules)
        command = [sys.executable, "-m", "server.cli.main", "serve", "--port", "0"]
        if not meaning:
            command.append("--no-meaning")
        if not any(arg in ("-c", "--constitution") for arg in args):
            command += ["-c", "rules.yaml"]
        usual = ["--folder", "data", "--set", "reload.settle_ms=50"]
        self.out, self.err = folder / "out", folder / "err"
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = subprocess.Popen(
                [*command, *usual, *args],
                cwd=folder,
                stdout=out,
                stderr=err,
                env=clean_environment(),
            )

    def ready(self) -> Served:
        """Wait until it listens."""
        self.until(lambda: "listens on" in self.out.read_text() or self.process.poll() is not None)
        found = re.search(r"listens on (\S+),", self.out.read_text())
        assert found, self.err.read_text()
        self.url = found[1]
        return self

    def until(self, true: Callable[[], Any], within_s: float = PATIENCE_S) -> Any:
        """Wait until something is true."""
        end = time.monotonic() + within_s
        while time.monotonic() < end:
            if value := true():
                return value
            time.sleep(0.02)
        raise AssertionError(f"it did not happen\n{self.out.read_text()}\n{self.err.read_text()}")

    def ended(self) -> int:
        """Wait for its end."""
        return self.process.wait(PATIENCE_S)

    def tell(self, number: int) -> None:
        os.kill(self.process.pid, number)

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.url + path, timeout=10, trust_env=False, verify=False)

    def health(self) -> dict[str, Any]:
        return dict(self.get("/healthz").json())

    def ask(self, text: str, *, key: str = "", **more: Any) -> httpx.Response:
        body = {"model": "fake", "messages": [{"role": "user", "content": text}], **more}
        headers = {"authorization": f"Bearer {key}"} if key else {}
        url = f"{self.url}/v1/chat/completions"
        # loading certificates would take ten times as long as the request
        return httpx.post(url, json=body, headers=headers, timeout=20, trust_env=False, verify=False)

    def blocks(self, text: str) -> bool:
        return bool(self.ask(text).headers["x-wardlaw-action"] == "block")

    def logged(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.err.read_text().splitlines() if line.startswith("{")]

    def pids(self) -> set[int]:
        """Workers that answer."""
        return {self.health()["pid"] for _ in range(8)}

    def command(self, *args: str) -> subprocess.CompletedProcess[str]:
        """Run another command of ours in its folder."""
        return subprocess.run(
            [sys.executable, "-m", "server.cli.main", *args],
            cwd=self.folder,
            env=clean_environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


@pytest.fixture
def serve(tmp_path: Path, fake_upstream: Any) -> Iterator[Callable[..., Served]]:
    """Starts servers before the fake upstream."""
    started: list[Served] = []

    def start(*args: str, **more: Any) -> Served:
        where = [] if "--upstream" in args else ["--upstream", fake_upstream.url]
        started.append(Served(tmp_path / f"s{len(started)}", *where, *args, **more))
        return started[-1]

    yield start
    for each in started:
        each.kill()


class Stream(threading.Thread):
    """A client that reads a slow stream."""

    def __init__(self, served: Served, **more: Any) -> None:
        super().__init__()
        self.served = served
        self.more = more
        self.text = ""
        self.begun = threading.Event()
        self.start()
        assert self.begun.wait(PATIENCE_S)

    def run(self) -> None:
        body = {"model": "fake", "stream": True, "messages": [{"role": "user", "content": "hello"}], **self.more}
        url = f"{self.served.url}/v1/chat/completions"
        with httpx.stream("POST", url, json=body, timeout=20, trust_env=False) as response:
            for piece in response.iter_text():
                self.text += piece
                self.begun.set()
