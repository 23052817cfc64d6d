"""The audit's faults, with real processes, disks that are full, and databases that go away."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import resource
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from server.audit.database import Database
from server.audit.drain import adopt
from server.audit.errors import AuditError
from server.audit.journal import segments
from server.audit.lines import read_lines
from server.audit.open import JOURNALS, open_audit
from server.audit.settings import AuditSettings
from server.audit.writer import SET_ASIDE, Writer
from server.parts import AuditFailed
from server.record import Record

Process = Callable[..., AbstractContextManager[subprocess.Popen[str]]]
Count = Callable[..., int]

KEEPER = """
import asyncio, sys, time
from pathlib import Path
from guard.guarding.decision import Decision, decision_id
from guard.verdict import Coverage
from rules.schema import Action
from server.audit.open import open_audit
from server.audit.settings import AuditSettings
from server.record import Caller, Record

url, folder, write = sys.argv[1:]

async def main():
    audit = open_audit(AuditSettings(write=write), url=url, folder=Path(folder), worker="w")
    async def client(n):
        while True:
            decision = Decision(decision_id(), time.time(), Action.ALLOW, Action.ALLOW, (), Coverage(), "d",
                                "enforce", {}, complete=n > 0)
            await audit.keep(Record(decision, Caller(), "chat_completions"))
            sys.stdout.write(decision.id + "\\n")
            sys.stdout.flush()
            await asyncio.sleep(0.0005)
    await asyncio.gather(*(client(n) for n in range(8)))

asyncio.run(main())
"""


def opened(url: str, folder: Path, **given: Any) -> Any:
    return open_audit(AuditSettings(**given), url=url, folder=folder, worker="w")


def drained(url: str, folder: Path) -> int:
    """Drain what dead workers left; how many of them there were."""
    database = Database(url)
    try:
        return adopt(folder / JOURNALS, Writer(database, folder / JOURNALS))
    finally:
        database.close()


def ids(url: str, where: str = "1 = 1") -> set[str]:
    from sqlalchemy import text

    database = Database(url)
    try:
        with database.read() as connection:
            return set(connection.execute(text(f"select id from decisions where {where}")).scalars())
    finally:
        database.close()


@pytest.mark.parametrize("write", ["journal", "database"])
def test_what_was_kept_outlasts_kill_9(url: str, tmp_path: Path, process: Process, write: str) -> None:
    after = random.Random(time.time_ns()).uniform(0.1, 0.7)
    with process(KEEPER, url, tmp_path, write) as worker:
        assert worker.stdout
        told = [worker.stdout.readline()]
        until = time.monotonic() + after
        while time.monotonic() < until or len(told) <= 21:  # a slow machine keeps few in a tenth of a second
            told.append(worker.stdout.readline())
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        told += worker.stdout.readlines()
    kept = {line.strip() for line in told if line.endswith("\n")}
    assert len(kept) > 20
    if write == "database":
        assert kept <= ids(url), f"killed after {after} s"
    assert drained(url, tmp_path) == 1
    assert kept <= ids(url), f"killed after {after} s"
    assert not ids(url, "state = 'open'")
    assert ids(url, "state = 'cut'")
    assert not list((tmp_path / JOURNALS).glob("w*"))


def test_a_journal_whose_owner_lives_is_left_alone(url: str, tmp_path: Path, process: Process) -> None:
    with process(KEEPER, url, tmp_path, "journal") as worker:
        assert worker.stdout
        worker.stdout.readline()
        assert drained(url, tmp_path) == 0
        assert list((tmp_path / JOURNALS).glob("w*.lock"))


async def test_who_opens_the_audit_next_drains_what_the_dead_left(
    url: str, tmp_path: Path, process: Process, record: Callable[..., Record]
) -> None:
    with process(KEEPER, f"postgresql://nobody@/x?host={tmp_path}", tmp_path, "journal") as worker:
        assert worker.stdout
        kept = {worker.stdout.readline().strip() for _ in range(50)}
        worker.kill()
        worker.wait()
    assert list((tmp_path / JOURNALS).glob("w*.segment"))
    audit = opened(url, tmp_path)
    for _ in range(500):
        if kept <= ids(url):
            break
        await asyncio.sleep(0.02)
    await audit.close()
    assert kept <= ids(url)
    assert not list((tmp_path / JOURNALS).glob("w*"))


@pytest.mark.parametrize("write", ["journal", "database"])
async def test_nothing_is_lost_while_the_database_is_away(
    postgres: Any, tmp_path: Path, record: Callable[..., Record], write: str
) -> None:
    url = postgres.database()
    audit = opened(url, tmp_path, write=write)
    kept: list[str] = []

    async def keep() -> None:
        each = record()
        await audit.keep(each)
        kept.append(each.decision.id)

    try:
        await asyncio.gather(*(keep() for _ in range(20)))
        await asyncio.to_thread(postgres.stop)
        try:
            waiting = [asyncio.create_task(keep()) for _ in range(100)]
            await asyncio.sleep(0.5)
            # with the journal all go on; where the database is waited for, none does
            async with asyncio.timeout(20):
                while not audit.health().fault or (write == "journal" and len(kept) < 120):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            assert len(kept) == (120 if write == "journal" else 20)
        finally:
            await asyncio.to_thread(postgres.start)
        await asyncio.gather(*waiting, *(keep() for _ in range(20)))
    finally:
        await audit.close()
    assert len(kept) == 140
    assert set(kept) == ids(url)
    assert audit.health().fault == ""


@pytest.mark.parametrize("on_failure", ["block", "allow"])
async def test_a_request_does_not_wait_for_ever_for_a_database_that_is_away(
    postgres: Any, tmp_path: Path, record: Callable[..., Record], on_failure: str
) -> None:
    url = postgres.database()
    audit = opened(url, tmp_path, write="database", on_failure=on_failure, commit_s=0.1)
    expected = (
        pytest.raises(AuditFailed, match="did not take it") if on_failure == "block" else contextlib.nullcontext()
    )
    try:
        await asyncio.to_thread(postgres.stop)
        try:
            for _ in range(3):
                with expected:
                    await audit.keep(record())
        finally:
            await asyncio.to_thread(postgres.start)
    finally:
        await audit.close()
    assert len(ids(url)) == 3  # they were in the journal all the same


@pytest.mark.parametrize("on_failure", ["block", "allow"])
async def test_a_journal_grows_to_its_limit_and_then_says_so(
    tmp_path: Path, record: Callable[..., Record], caplog: pytest.LogCaptureFixture, on_failure: str
) -> None:
    away = f"postgresql://u@/x?host={tmp_path}"
    with caplog.at_level(logging.ERROR, "wardlaw.audit"):
        audit = opened(away, tmp_path, journal_bytes=65536, on_failure=on_failure)
        try:
            for _ in range(100):
                await audit.keep(record())
            if on_failure == "block":
                with pytest.raises(AuditFailed, match="the journal is full") as caught:
                    for _ in range(300):
                        await audit.keep(record())
                assert "on_failure" in caught.value.hint
            else:
                for _ in range(300):
                    await audit.keep(record())
                assert 0 < audit.health().lost < 300
                assert "a decision is not kept" in caplog.text
            assert audit.health().waiting <= 65536
            assert "the journal is full" in audit.health().refusing
        finally:
            await audit.close(deadline_s=0.1)


@pytest.fixture
def full_disk() -> Iterator[Callable[[int], None]]:
    """Lets no file grow beyond so many bytes: a write that would is cut short, as by a disk without room."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size if size >= 0 else hard, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    signal.signal(signal.SIGXFSZ, before)


@pytest.mark.parametrize("on_failure", ["block", "allow"])
async def test_a_full_disk_fails_a_request_or_not_as_set_and_costs_no_line_that_was_kept(
    tmp_path: Path,
    record: Callable[..., Record],
    full_disk: Callable[[int], None],
    on_failure: str,
) -> None:
    url = f"sqlite:///{tmp_path}/a.sqlite"
    audit = opened(f"postgresql://u@/x?host={tmp_path}", tmp_path, on_failure=on_failure)
    kept, failed = [], 0
    full_disk(20_000)
    try:
        for _ in range(100):
            each = record()
            try:
                await audit.keep(each)
                kept.append(each.decision.id)
            except AuditFailed as error:
                assert "the journal cannot be written" in str(error)
                failed += 1
    finally:
        full_disk(-1)
    late = record()
    await audit.keep(late)  # there is room again
    lost = audit.health().lost
    assert audit.health().refusing == ""
    await audit.close(deadline_s=0.1)
    assert (failed > 0, lost > 0) == ((True, False) if on_failure == "block" else (False, True))
    drained(url, tmp_path)
    found = ids(url)
    assert late.decision.id in found
    assert len(found) == 101 - failed - lost
    if on_failure == "block":
        assert {*kept, late.decision.id} == found


async def test_a_torn_last_line_is_dropped_and_the_rest_is_kept(
    tmp_path: Path, record: Callable[..., Record], caplog: pytest.LogCaptureFixture
) -> None:
    url = f"sqlite:///{tmp_path}/a.sqlite"
    audit = opened(f"postgresql://u@/x?host={tmp_path}", tmp_path)
    kept = [record() for _ in range(10)]
    for each in kept:
        await audit.keep(each)
    await audit.close(deadline_s=0.1)
    (segment,) = (tmp_path / JOURNALS).glob("*.segment")
    segment.write_bytes(segment.read_bytes()[:-7])
    with caplog.at_level(logging.WARNING, "wardlaw.audit"):
        assert drained(url, tmp_path) == 1
    assert ids(url) == {each.decision.id for each in kept[:-1]}
    assert "not whole" in caplog.text
    assert not segment.exists()


async def test_a_line_that_rotted_is_set_aside_and_the_rest_is_kept(
    tmp_path: Path, record: Callable[..., Record]
) -> None:
    url = f"sqlite:///{tmp_path}/a.sqlite"
    audit = opened(f"postgresql://u@/x?host={tmp_path}", tmp_path)
    kept = [record() for _ in range(10)]
    for each in kept:
        await audit.keep(each)
    await audit.close(deadline_s=0.1)
    (segment,) = (tmp_path / JOURNALS).glob("*.segment")
    lines = segment.read_bytes().splitlines(keepends=True)
    lines[4] = lines[4].replace(b"chat_completions", b"chat_complEtions")
    segment.write_bytes(b"".join(lines))
    assert drained(url, tmp_path) == 1
    assert ids(url) == {each.decision.id for each in kept if each is not kept[4]}
    assert (tmp_path / JOURNALS / SET_ASIDE).read_bytes() == lines[4]


async def test_a_line_that_rotted_is_set_aside_once_however_often_the_database_is_away(
    tmp_path: Path, record: Callable[..., Record]
) -> None:
    audit = opened(f"postgresql://u@/x?host={tmp_path}", tmp_path)
    await audit.keep(record())
    writer = Writer(audit.database, tmp_path)
    (segment,) = (tmp_path / JOURNALS).glob("*.segment")
    good = read_lines(segment, 0, segment.stat().st_size, 10).payloads
    for _ in range(3):
        with pytest.raises(AuditError):
            writer.write(good, [b"rotten\n"], "owner")
    assert writer.set_aside == 0
    await audit.close(deadline_s=0.1)
    there = Database(f"sqlite:///{tmp_path}/a.sqlite")
    writer = Writer(there, tmp_path)
    writer.write(good, [b"rotten\n"], "owner")
    there.close()
    assert writer.set_aside == 1


async def test_a_row_that_the_database_refuses_is_set_aside_and_stops_no_other(
    url: str, tmp_path: Path, record: Callable[..., Record], caplog: pytest.LogCaptureFixture
) -> None:
    audit = opened(url, tmp_path)
    kept = [record() for _ in range(10)]
    with caplog.at_level(logging.ERROR, "wardlaw.audit"):
        for each in kept[:5]:
            await audit.keep(each)
        await audit.keep(record(status=2**63))  # beyond what a database calls an integer
        for each in kept[5:]:
            await audit.keep(each)
        await audit.close()
    assert ids(url) == {each.decision.id for each in kept}
    assert audit.health().set_aside == 1
    assert len((tmp_path / JOURNALS / SET_ASIDE).read_bytes().splitlines()) == 1
    assert "set aside" in caplog.text


async def test_a_name_that_no_database_holds_is_mended(url: str, tmp_path: Path, record: Callable[..., Record]) -> None:
    audit = opened(url, tmp_path)
    await audit.keep(record(model="a\0b" + "c" * 10_000))
    await audit.keep(record(model="half \ud800 pair"))
    await audit.close()
    assert len(ids(url)) == 2
    assert audit.health().set_aside == 0


async def test_an_audit_that_is_closed_keeps_nothing(tmp_path: Path, record: Callable[..., Record]) -> None:
    audit = opened(f"sqlite:///{tmp_path}/a.sqlite", tmp_path)
    await audit.close()
    await audit.close()
    with pytest.raises(AuditFailed, match="the journal is closed"):
        await audit.keep(record())


async def test_a_lock_on_the_database_is_waited_out(tmp_path: Path, record: Callable[..., Record]) -> None:
    import sqlite3

    url = f"sqlite:///{tmp_path}/a.sqlite"
    audit = opened(url, tmp_path)
    other = sqlite3.connect(tmp_path / "a.sqlite", isolation_level=None)
    other.execute("begin immediate")
    try:
        await audit.keep(record())
        await asyncio.sleep(0.4)
        assert audit.health().waiting
    finally:
        other.execute("rollback")
        other.close()
    await audit.close()
    assert len(ids(url)) == 1


async def test_workers_that_share_a_folder_keep_apart(url: str, tmp_path: Path, record: Callable[..., Record]) -> None:
    audits = [opened(url, tmp_path) for _ in range(3)]
    kept = [record() for _ in range(300)]
    for n, each in enumerate(kept):
        await audits[n % 3].keep(each)
    await asyncio.gather(*(audit.close() for audit in audits))
    assert ids(url) == {each.decision.id for each in kept}
    assert not segments(tmp_path / JOURNALS, "w")
