"""The log: JSON lines on standard error, or plain ones for people. No content, no secrets, and no request's address.

A decision's line is written beside Python's logging: formatting it there costs more than all metrics together, and a
write to a full pipe would hold up the event loop. The lines are gathered, and written a few times a second by a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from server.record import Record
    from server.settings import LogSettings

_log = logging.getLogger(__name__)

_LOGGER = "wardlaw"
_EVERY_S = 0.2
_MOST = 20_000
"""Lines that wait at most; where nobody reads the log, the oldest are dropped and counted."""


def set_up(settings: LogSettings) -> None:
    """Send all logs of this process to standard error, in the form that the settings name."""
    handler = logging.StreamHandler(sys.stderr)
    if settings.format == "json":
        from pythonjsonlogger.json import JsonFormatter

        class Json(JsonFormatter):
            formatException = staticmethod(bare)  # noqa: N815

            def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
                log_data["time"] = _moment(log_data["time"].timestamp())
                first = {name: log_data[name] for name in _IN_FRONT if name in log_data}
                # What begins so is a library's own: Ray stamps every record of a process that imports it.
                return {name: value for name, value in (first | log_data).items() if name[0] != "_"}

        formatter: logging.Formatter = Json(
            "{levelname}{name}{message}",
            style="{",
            rename_fields={"levelname": "level", "name": "logger"},
            timestamp="time",
            static_fields={"pid": os.getpid()},
        )
    else:
        formatter = _Plain()
    handler.setFormatter(formatter)
    handler.addFilter(_is_no_cancelling)
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(settings.level.upper())
    # These name addresses, statements or whole requests below `warning`.
    for name in ("uvicorn", "uvicorn.error", "httpx", "httpcore", "aiohttp", "sqlalchemy", "alembic", "watchfiles"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(max(logging.WARNING, root.level))
    logging.captureWarnings(True)


def bare(ei: Any) -> str:
    """An error's kind and where it was raised. Its message is left out: it may quote what a client or a model said."""
    kind, _, trace = ei
    frames = traceback.extract_tb(trace)[-6:]
    places = (f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in reversed(frames))
    return f"{getattr(kind, '__name__', kind)} at {' < '.join(places)}"


class _Plain(logging.Formatter):
    """A line as those of decisions are: time, level, logger and process, what happened, and what goes with it."""

    formatException = staticmethod(bare)  # noqa: N815

    def format(self, record: logging.LogRecord) -> str:
        fields = {name: value for name, value in vars(record).items() if name not in _USUAL and name[0] != "_"}
        message, line_end, rest = record.getMessage().partition("\n")
        line = _plain_line(record.created, record.levelname, record.name, message, fields) + line_end + rest
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _is_no_cancelling(record: logging.LogRecord) -> bool:
    """uvicorn takes a request that is cut off at the end of the draining for a fault of the application."""
    kind = record.exc_info[0] if record.exc_info else None
    return kind is None or not issubclass(kind, asyncio.CancelledError)


class DecisionLog:
    """Writes a line for every decision."""

    def __init__(self, settings: LogSettings) -> None:
        """A log that a thread writes; `close` writes what is left."""
        self._on = settings.decisions and settings.level in ("debug", "info")
        self._json = settings.format == "json"
        self._waiting: deque[tuple[float, Record]] = deque(maxlen=_MOST)
        self._dropped = 0
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def write(self, record: Record) -> None:
        """Let a decision be written soon. A stream's first record, which another follows, is passed over."""
        if self._on and record.decision.complete:
            if len(self._waiting) == _MOST:
                self._dropped += 1
            # Without the texts: what waits here must not hold megabytes of prompts.
            self._waiting.append((time.time(), replace(record, prompt=None, answers=())))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="wardlaw-log", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Write what waits. May be called twice."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join(timeout=2)
        self._flush()

    def _run(self) -> None:
        while not self._closed.wait(_EVERY_S):
            self._flush()

    def _flush(self) -> None:
        lines = []
        while self._waiting:
            try:
                lines.append(self._line(*self._waiting.popleft()))
            except IndexError:
                break
        if self._dropped:
            _log.warning("the log falls behind: %d lines of decisions were dropped", self._dropped)
            self._dropped = 0
        if lines:
            with contextlib.suppress(OSError, ValueError):  # it is closed: there is nobody to tell
                sys.stderr.write("".join(lines))
                sys.stderr.flush()

    def _line(self, at: float, record: Record) -> str:
        decision = record.decision
        fields: dict[str, object] = {
            "time": _moment(at),
            "level": "INFO",
            "logger": _LOGGER,
            "message": "decided",
            "pid": os.getpid(),
            "id": decision.id,
            "key": record.caller.key,
            "constitution": record.caller.constitution,
            "digest": decision.constitution,
            "api": record.api,
            "action": str(decision.action),
            "rules": list(decision.rules),
            "status": record.status,
            "streamed": record.streamed,
            "ms": round(record.seconds * 1000, 2),
            "upstream_ms": round(record.upstream_s * 1000, 2),
        }
        if decision.would != decision.action:
            fields["would"] = str(decision.would)
        if decision.coverage.degraded:
            fields["degraded"] = sorted(decision.coverage.degraded)
        if decision.amend:
            fields["amend"] = decision.amend
        if record.fault:
            fields["fault"] = record.fault
        if self._json:
            import orjson

            return orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE).decode()
        words = {name: value for name, value in fields.items() if name not in _IN_FRONT}
        return _plain_line(at, "INFO", _LOGGER, "decided", words) + "\n"


_IN_FRONT = ("time", "level", "logger", "message", "pid")
"""What every line has, in this order."""
_USUAL = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"})
"""What every record of Python's logging has."""


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")


def _plain_line(at: float, level: str, logger: str, message: str, fields: Mapping[str, object]) -> str:
    words = "".join(f" {name}={_plain(value)}" for name, value in fields.items() if value)
    return f"{_moment(at)} {level:<7} {logger}[{os.getpid()}]: {message}{words}"


def _plain(value: object) -> str:
    return ",".join(str(each) for each in value) if isinstance(value, list) else str(value)
