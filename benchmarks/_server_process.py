"""Servers as processes of their own, held to a core, with their memory and their time of the processor."""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks._bench import HERE
from benchmarks._server_client import Connection, post

START_S = 120.0


def free_port() -> int:
    """A port of loopback that no one listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@dataclass
class Server:
    """A running server."""

    name: str
    process: subprocess.Popen[bytes]
    port: int
    log: Path
    start_s: float = 0.0
    """From its start to its first proper answer."""

    @property
    def url(self) -> str:
        """Of its chat completions."""
        return f"http://127.0.0.1:{self.port}/v1/chat/completions"

    def tree(self) -> list[psutil.Process]:
        """It and all processes below it."""
        try:
            top = psutil.Process(self.process.pid)
            return [top, *top.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def used(self) -> tuple[float, float]:
        """Seconds of the processor so far, and resident megabytes, of the whole tree."""
        cpu = resident = 0.0
        for process in self.tree():
            with suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                cpu += times.user + times.system
                resident += process.memory_info().rss / 2**20
        return cpu, resident

    def signal(self, number: signal.Signals) -> None:
        """A signal to every process of the tree."""
        for process in self.tree():
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def pause(self) -> None:
        """Stand still, so that its background work disturbs no one else's measurement."""
        self.signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Go on after a pause."""
        self.signal(signal.SIGCONT)

    def stop(self, patience_s: float = 20.0) -> int:
        """SIGTERM to the first process, and an end to all of them after so many seconds; its exit code."""
        self.go_on()
        tree = self.tree()
        self.process.terminate()
        try:
            code = self.process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        for process in tree[1:]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        return code

    def said(self) -> str:
        """The end of what it wrote."""
        return self.log.read_text(errors="replace")[-3000:]

    def complaints(self, most: int = 5) -> list[str]:
        """The first of its log's lines that are warnings or worse, or no log lines at all."""
        with self.log.open(errors="replace") as lines:
            ordinary = re.compile(r'"level": ?"(INFO|DEBUG)"|^\s*$|^wardlaw listens')
            found = (line.strip() for line in lines if not ordinary.search(line))
            return list(itertools.islice(found, most))


@contextmanager
def running(
    name: str, command: Sequence[str], port: int, folder: Path, core: int | None, variables: Mapping[str, str]
) -> Iterator[Server]:
    """A server from its first proper answer until it is stopped.

    Raises:
        SystemExit: it ended, or gave no proper answer in time; says what it wrote.
    """
    log = folder / f"{name.replace(' ', '_').replace(',', '')}.log"
    held = ["taskset", "-c", str(core)] if core is not None else []
    began = time.perf_counter()
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*held, *command],
            stdout=out,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            cwd=folder,
            env={**os.environ, **variables},
            start_new_session=True,
        )
    server = Server(name, process, port, log)
    try:
        server.start_s = _ready(server) - began
        yield server
    finally:
        server.stop()


def _ready(server: Server) -> float:
    """When the first proper answer had come."""
    question = {"model": "mock", "messages": [{"role": "user", "content": "Is anyone there?"}]}
    request = post(server.url, question)
    until = time.perf_counter() + START_S
    while time.perf_counter() < until:
        if server.process.poll() is not None:
            raise SystemExit(f"`{server.name}` ended with {server.process.returncode}:\n{server.said()}")
        if asyncio.run(_answers(server.port, request)):
            return time.perf_counter()
        time.sleep(0.01)
    raise SystemExit(f"`{server.name}` gave no answer in {START_S:.0f} s:\n{server.said()}")


async def _answers(port: int, request: bytes) -> bool:
    try:
        _, connection = await asyncio.get_running_loop().create_connection(Connection, "127.0.0.1", port)
    except OSError:
        return False
    answer = await connection.ask(request)
    connection.close()
    return answer.status == 200


@contextmanager
def upstream(folder: Path, core: int | None) -> Iterator[Server]:
    """The mock endpoint."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "benchmarks._server_mock:app", "--port", str(port)]
    command += ["--no-access-log", "--log-level", "warning", "--loop", "uvloop", "--http", "httptools"]
    paths = {"PYTHONPATH": str(HERE.parent)}
    with running("the mock itself", command, port, folder, core, paths) as server:
        yield server


def ask_mock(server: Server, path: str) -> bytes:
    """GET something of the mock: `/set?chunk_ms=10`, `/stats`."""
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=10) as answer:
        data: bytes = answer.read()
    return data
