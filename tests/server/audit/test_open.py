from __future__ import annotations

import asyncio
import logging
import os
import stat
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from server.audit.errors import AuditError, Unreachable
from server.audit.journal import SEGMENT_BYTES
from server.audit.open import JOURNALS, open_audit
from server.audit.settings import AuditSettings
from server.record import Record

Process = Callable[..., AbstractContextManager[subprocess.Popen[str]]]
Count = Callable[..., int]


async def test_what_was_kept_is_in_the_database_when_the_audit_is_closed(
    url: str, tmp_path: Path, record: Callable[..., Record], count: Count
) -> None:
    audit = open_audit(AuditSettings(), url=url, folder=tmp_path, worker="w")
    for _ in range(1200):
        await audit.keep(record())
    await audit.close()
    assert count() == 1200
    assert not list((tmp_path / JOURNALS).glob("*.segment"))


async def test_it_gets_there_while_the_server_runs(
    url: str, tmp_path: Path, record: Callable[..., Record], count: Count
) -> None:
    audit = open_audit(AuditSettings(), url=url, folder=tmp_path, worker="w")
    try:
        await audit.keep(record())
        for _ in range(500):
            if not audit.health().waiting:
                break
            await asyncio.sleep(0.02)
        assert count() == 1
    finally:
        await audit.close()


async def test_a_decision_is_committed_when_keep_returns_where_the_database_is_waited_for(
    url: str, tmp_path: Path, record: Callable[..., Record], count: Count
) -> None:
    audit = open_audit(AuditSettings(write="database"), url=url, folder=tmp_path, worker="w")
    try:
        for n in range(1, 4):
            await audit.keep(record())
            assert count() == n
        await asyncio.gather(*(audit.keep(record()) for _ in range(200)))
        assert count() == 203
    finally:
        await audit.close()


async def test_the_end_of_a_stream_takes_the_place_of_its_beginning(
    url: str, tmp_path: Path, record: Callable[..., Record], told: Callable[..., Record], count: Count
) -> None:
    audit = open_audit(AuditSettings(write="database"), url=url, folder=tmp_path, worker="w")
    blocked = told()
    try:
        await audit.keep(record(id=blocked.decision.id, complete=False, rules=("early-rule",)))
        assert count("select count(*) from decisions where state = 'open' and action = 'allow'") == 1
        await audit.keep(blocked)
    finally:
        await audit.close()
    assert count() == 1
    assert count("select count(*) from decisions where state = 'complete' and action = 'block'") == 1
    assert count("select count(*) from decision_rules where rule = 'secret-out' and enforced") == 1
    assert count("select count(*) from decision_rules") == 1


async def test_a_stream_without_an_end_is_said_to_be_cut(
    url: str, tmp_path: Path, record: Callable[..., Record], count: Count
) -> None:
    audit = open_audit(AuditSettings(), url=url, folder=tmp_path, worker="w")
    await audit.keep(record(complete=False))
    await audit.close()
    assert count("select count(*) from decisions where state = 'cut'") == 1


async def test_with_fsync_a_decision_is_kept_all_the_same(
    url: str, tmp_path: Path, record: Callable[..., Record], count: Count
) -> None:
    audit = open_audit(AuditSettings(fsync=True), url=url, folder=tmp_path, worker="w")
    await asyncio.gather(*(audit.keep(record()) for _ in range(50)))
    await audit.close()
    assert count() == 50


async def test_a_long_journal_is_split_and_its_parts_are_deleted_once_drained(
    tmp_path: Path, record: Callable[..., Record]
) -> None:
    audit = open_audit(AuditSettings(), url=f"sqlite:///{tmp_path}/a.sqlite", folder=tmp_path, worker="w")
    for _ in range(5):
        await audit.keep(record(ms={"x" * (SEGMENT_BYTES // 3): 1.0}))
    await audit.close()
    assert sorted(path.name for path in (tmp_path / JOURNALS).iterdir()) == [".journals.lock"]


async def test_only_the_owner_may_read_journals_and_database(tmp_path: Path, record: Callable[..., Record]) -> None:
    file = tmp_path / "a.sqlite"
    audit = open_audit(AuditSettings(), url=f"sqlite:///{file}", folder=tmp_path, worker="w")
    await audit.keep(record())
    kept = [*(tmp_path / JOURNALS).glob("*.segment"), file]
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in kept}
    await audit.close()
    assert len(kept) == 2
    assert set(modes.values()) == {0o600}, modes


@pytest.mark.parametrize("bad", ["mysql://x/y", "nonsense", "sqlite://", "sqlite:///:memory:"])
def test_a_url_of_another_kind_is_refused(tmp_path: Path, bad: str) -> None:
    with pytest.raises(AuditError, match="sqlite:///FILE"):
        open_audit(AuditSettings(), url=bad, folder=tmp_path, worker="w")


def test_a_password_is_not_told(tmp_path: Path) -> None:
    url = f"postgresql://u:hidden@/x?host={tmp_path}"
    with pytest.raises(Unreachable) as caught:
        open_audit(AuditSettings(write="database"), url=url, folder=tmp_path, worker="w")
    assert "hidden" not in str(caught.value)


async def test_a_database_that_does_not_answer_stops_no_server_that_has_a_journal(
    tmp_path: Path, record: Callable[..., Record], caplog: pytest.LogCaptureFixture
) -> None:
    url = f"postgresql://u@/x?host={tmp_path}"
    with caplog.at_level(logging.ERROR, "wardlaw.audit"):
        audit = open_audit(AuditSettings(), url=url, folder=tmp_path, worker="w")
    assert "decisions wait in the journal" in caplog.text
    await audit.keep(record())
    assert audit.health().waiting
    await audit.close(deadline_s=0.2)
    assert len(list((tmp_path / JOURNALS).glob("*.segment"))) == 1


MIGRATE = """
import sys
from server.audit.database import Database
print("up", flush=True)
Database(sys.argv[1]).ready()
print("ready", flush=True)
"""


def test_many_workers_may_migrate_at_once(url: str, process: Process, count: Count) -> None:
    import contextlib

    with contextlib.ExitStack() as stack:
        workers = [stack.enter_context(process(MIGRATE, url)) for _ in range(3)]
        for worker in workers:
            out, _ = worker.communicate(timeout=60)
            assert out == "up\nready\n"
    assert count("select count(*) from alembic_version") == 1
    assert count() == 0


def test_keys_stand_in_the_same_database(url: str, count: Count) -> None:
    from server.keys.store import KeyStore

    store = KeyStore(url)
    try:
        key, _ = store.add("shop", scopes=["chat"], expires=1e10)
        assert store.all() == [key]
        assert store.revoke(key.id).revoked
    finally:
        store.close()
    assert count("select count(*) from keys where revoked is not null") == 1


def test_a_database_of_a_newer_version_is_refused(url: str, tmp_path: Path) -> None:
    from sqlalchemy import text

    from server.audit.database import Database

    database = Database(url)
    with database.begin() as connection:
        connection.execute(text("update alembic_version set version_num = '9999'"))
    database.close()
    with pytest.raises(AuditError, match="schema `9999` of a newer version") as caught:
        open_audit(AuditSettings(), url=url, folder=tmp_path, worker="w")
    assert "upgrade wardlaw" in caught.value.hint


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.sqlite"
    file.write_text("notes " * 1000)
    with pytest.raises(AuditError, match="not a database"):
        open_audit(AuditSettings(), url=f"sqlite:///{file}", folder=tmp_path, worker="w")


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / JOURNALS).write_text("in the way")
    with pytest.raises(AuditError, match="cannot write the journal"):
        open_audit(AuditSettings(), url=f"sqlite:///{tmp_path}/a.sqlite", folder=tmp_path, worker="w")


def test_the_tables_are_what_the_migrations_make(database: Any) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from server.audit.tables import METADATA

    with database.begin() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []


def test_decisions_from_before_a_migration_stay_readable(tmp_path: Path, record: Callable[..., Any]) -> None:
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import MetaData, Table, text

    import server.audit
    from server.audit.database import Database
    from server.audit.query import Decisions, Filters

    url = f"sqlite:///{tmp_path}/a.sqlite"
    config = Config()
    config.set_main_option("script_location", str(Path(server.audit.__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    old = Database(url)
    with old.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        names = [row[1] for row in connection.execute(text("pragma table_info(decisions)"))]
        assert "amend" not in names
        values = dict.fromkeys(names, 0) | {"id": "d_1", "rules": "[]", "findings": "[]", "coverage": "{}"}
        values |= {
            "unscannable": "[]",
            "withheld": "[]",
            "ms": "{}",
            "content": None,
            "owner": "w",
            "state": "complete",
        }
        connection.execute(Table("decisions", MetaData(), autoload_with=connection).insert(), values)
    old.close()
    new = Database(url)
    [found] = Decisions(new).find(Filters(), 10)
    new.close()
    assert (found.id, found.amend) == ("d_1", "")


def test_the_code_names_the_newest_migration() -> None:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    import server.audit
    from server.audit.database import SCHEMA

    config = Config()
    config.set_main_option("script_location", os.path.join(os.path.dirname(server.audit.__file__), "migrations"))  # noqa: PTH118, PTH120
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_current_head() == SCHEMA
