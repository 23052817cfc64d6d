"""Metrics, log and traces behind the one door that the proxy knows: `server.parts.Telemetry`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TypeVar

from server.parts import Trace
from server.record import Record
from server.settings import LogSettings
from server.telemetry.logs import DecisionLog
from server.telemetry.metrics import Metrics
from server.telemetry.tracing import Tracing

_log = logging.getLogger(__name__)

T = TypeVar("T")


class ServerTelemetry:
    """See `server.parts.Telemetry`."""

    def __init__(self, settings: LogSettings | None = None) -> None:
        """Open all three.

        Raises:
            TracingError: traces are asked for by variables and cannot be made.
        """
        self.metrics = Metrics()
        self.log = DecisionLog(settings or LogSettings())
        self.tracing = Tracing()
        self._broken = False

    def begin(self, headers: Mapping[str, str]) -> Trace | None:
        """Go on with the caller's trace, or begin one."""
        try:
            return self.tracing.begin(headers)
        except Exception as error:
            self._tell(error)
            return None

    def decided(self, record: Record, trace: Trace | None) -> None:
        """Count, log and trace a handled request; of a stream, only its last record."""
        if not record.decision.complete:
            return
        try:
            self.metrics.decided(record)
            self.log.write(record)
            if trace is not None:
                self.tracing.decided(record, trace)
        except Exception as error:
            self._tell(error)

    def first(self, added_s: float) -> None:
        """The first text of a stream left so many seconds after it had come."""
        self._safely(self.metrics.first, added_s)

    def held(self, characters: int) -> None:
        """So many characters of a stream were held at most."""
        self._safely(self.metrics.held, characters)

    def failed(self, kind: str) -> None:
        """A request was refused or failed, and no decision tells of it."""
        self._safely(self.metrics.failed, kind)

    def close(self) -> None:
        """Write and send what waits. May be called twice."""
        self.log.close()
        self.tracing.close()

    def _safely(self, count: Callable[[T], None], value: T) -> None:
        try:
            count(value)
        except Exception as error:  # as on a full disk, where several workers count in files
            self._tell(error)

    def _tell(self, error: Exception) -> None:
        # What only tells of requests must not fail them, nor fill the log with the same fault.
        if not self._broken:
            self._broken = True
            _log.error("telemetry is incomplete: %s: %s", type(error).__name__, error)
