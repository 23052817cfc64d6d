"""The server's database: SQLite or PostgreSQL, opened, migrated, and told apart when it fails."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from server.audit.errors import AuditError, Unreachable

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine
    from sqlalchemy.exc import DBAPIError

SCHEMA = "0003"
"""The newest migration: what the code is written for."""

_LOCK = 0x77617264_6C6177
"""Names the advisory lock of PostgreSQL under which migrations run."""
_BUSY_MS = 10_000
_POSTGRES = {
    "application_name": "wardlaw",
    "connect_timeout": 5,
    # a server that vanished without a word is given up after some 20 s, not after the system's two hours
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": 20_000,
}
"""Of each connection; the URL's own query wins."""


def database_url(database: str, folder: Path) -> str:
    """The URL that a setting stands for; empty: a SQLite file in the server's folder."""
    return database or f"sqlite:///{folder / 'audit.sqlite'}"


class Database:
    """A database with the schema of this version. May be shared by threads, not by forked processes."""

    def __init__(self, url: str, *, fsync: bool = False) -> None:
        """Nothing is connected yet.

        Args:
            url: `sqlite:///FILE` or `postgresql://user@host/name`.
            fsync: let SQLite wait for the disk at each commit; PostgreSQL does unless it is told otherwise.

        Raises:
            AuditError: it is neither, or what PostgreSQL needs is not installed.
        """
        self.url = _read(url)
        self.engine = _engine(self.url, fsync)
        self._ready = threading.Lock()
        self._is_ready = False

    @property
    def is_sqlite(self) -> bool:
        """Whether it is a SQLite file."""
        return self.url.get_backend_name() == "sqlite"

    @contextlib.contextmanager
    def begin(self) -> Iterator[Connection]:
        """A transaction that writes, in a database that is migrated.

        Raises:
            AuditError: it was written by a newer version, or cannot be used.
            Unreachable: it does not answer, or stopped doing so.
        """
        self.ready()
        with self._spoken_of(), self.engine.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads, in a database that is migrated.

        Raises:
            AuditError, Unreachable: as `begin`.
        """
        self.ready()
        with self._spoken_of(), self.engine.connect().execution_options(wardlaw_reads=True) as connection:
            yield connection

    def ready(self) -> None:
        """Bring the database up to this version's schema, once, alone among all processes.

        Raises:
            AuditError: it was written by a newer version, or cannot be used.
            Unreachable: it does not answer.
        """
        if self._is_ready:
            return
        with self._ready:
            if not self._is_ready:
                with self._spoken_of():
                    self._migrate()
                self._is_ready = True

    def close(self) -> None:
        """Close all connections. May be called twice."""
        self.engine.dispose()

    def _migrate(self) -> None:
        if self.is_sqlite:
            self._make_file()
        else:
            with self.engine.connect() as connection:
                if _schema(connection) == SCHEMA:
                    return  # the usual case takes no lock, and alembic need not be loaded
        with self._alone() as connection:
            found = _schema(connection)
            if found != SCHEMA:
                self._upgrade(connection, found)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[Connection]:
        """A transaction that no other process migrates beside."""
        from sqlalchemy import text

        if self.is_sqlite:
            from filelock import FileLock

            with FileLock(f"{self.url.database}.lock", timeout=60), self.engine.begin() as connection:
                yield connection
            return
        with self.engine.begin() as connection:
            connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            yield connection

    def _upgrade(self, connection: Connection, found: str | None) -> None:
        from alembic import command
        from alembic.config import Config
        from alembic.script import ScriptDirectory

        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
        if found is not None and found not in known:
            raise AuditError(
                f"the database `{self.shown}` has the schema `{found}` of a newer version; this one knows `{SCHEMA}`",
                "upgrade wardlaw, or name another database",
            )
        command.upgrade(config, SCHEMA)

    @property
    def shown(self) -> str:
        """The URL without its password."""
        return self.url.render_as_string(hide_password=True)

    def _make_file(self) -> None:
        # made by us, since SQLite would let everyone read it; its journals take over the rights
        path = Path(self.url.database or "")
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))

    @contextlib.contextmanager
    def _spoken_of(self) -> Iterator[None]:
        from filelock import Timeout
        from sqlalchemy import exc

        try:
            yield
        except exc.DBAPIError as error:
            if _is_of_a_row(error):
                raise
            kind = Unreachable if isinstance(error, exc.OperationalError | exc.InterfaceError) else AuditError
            self._is_ready = False  # it may come back as another one: restored, or made anew
            self.engine.dispose()
            raise kind(f"the database `{self.shown}` cannot be used: {_reason(error)}", self._hint()) from error
        except (exc.TimeoutError, OSError, Timeout) as error:
            raise Unreachable(f"the database `{self.shown}` cannot be used: {error}", self._hint()) from error

    def _hint(self) -> str:
        if self.is_sqlite:
            return "see that the file is a database of wardlaw, that it can be written, and that the disk has room"
        return "see that it runs, and that user, password and name in the URL are right"


def _read(url: str) -> URL:
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    kinds = "give `sqlite:///FILE` or `postgresql://USER@HOST/NAME`"
    try:
        read = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise AuditError("the database's URL cannot be read", kinds) from error  # it may hold a password: not shown
    if read.drivername == "sqlite":
        if not read.database or read.database == ":memory:":
            raise AuditError("a database in memory cannot be shared by workers", kinds)
        return read
    if read.drivername in ("postgresql", "postgres", "postgresql+psycopg"):
        return read.set(drivername="postgresql+psycopg")
    raise AuditError(f"unknown kind of database `{read.drivername}`", kinds)


def _engine(url: URL, fsync: bool) -> Engine:
    from sqlalchemy import create_engine, event

    if url.get_backend_name() == "sqlite":
        engine = create_engine(url, connect_args={"timeout": _BUSY_MS / 1000})
        event.listen(engine, "connect", partial(_on_connect, "full" if fsync else "normal"))
        event.listen(engine, "begin", _on_begin)
        return engine
    try:
        given = {name: value for name, value in _POSTGRES.items() if name not in url.query}
        return create_engine(url, pool_pre_ping=True, pool_size=2, pool_recycle=1800, connect_args=given)
    except ImportError as error:
        raise AuditError("PostgreSQL needs `psycopg`, which is missing", "install `wardlaw[postgres]`") from error


def _on_connect(synchronous: str, connection: Any, _: object) -> None:
    connection.isolation_level = None  # else the driver begins transactions by itself, too late for BEGIN IMMEDIATE
    cursor = connection.cursor()
    cursor.execute("pragma journal_mode = wal")
    cursor.execute(f"pragma synchronous = {synchronous}")
    cursor.close()


def _on_begin(connection: Connection) -> None:
    # a transaction that reads first and writes later cannot wait for another writer: it fails at once
    reads = connection.get_execution_options().get("wardlaw_reads", False)
    connection.exec_driver_sql("begin" if reads else "begin immediate")


def _schema(connection: Connection) -> str | None:
    """The migration that the database stands at; None where it is new."""
    from sqlalchemy import inspect, text

    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("select version_num from alembic_version")).scalar()


def _reason(error: Exception) -> str:
    """The driver's own words, on one line."""
    return " ".join(str(getattr(error, "orig", None) or error).split())


def _is_of_a_row(error: DBAPIError) -> bool:
    """Whether a row's own values are at fault, rather than the database."""
    from sqlalchemy import exc

    state = getattr(error.orig, "sqlstate", None) or ""  # 54: a value beyond PostgreSQL's limits
    return isinstance(error, exc.DataError | exc.IntegrityError) or state[:2] in ("22", "23", "54")
