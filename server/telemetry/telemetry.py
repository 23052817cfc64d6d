"""Metrics, log and traces behind the one door that the proxy knows: `server.parts.Telemetry`."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from server.parts import Trace
from server.record import Record
from server.settings import LogSettings
from server.telemetry.logs import DecisionLog
from server.telemetry.metrics import Metrics
from server.telemetry.tracing import Tracing

_log = logging.getLogger(__name__)


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
        self.first = self.metrics.first
        self.held = self.metrics.held
        self.failed = self.metrics.failed

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

    def close(self) -> None:
        """Write and send what waits. May be called twice."""
        self.log.close()
        self.tracing.close()

    def _tell(self, error: Exception) -> None:
        # What only tells of requests must not fail them, nor fill the log with the same fault.
        if not self._broken:
            self._broken = True
            _log.error("telemetry is incomplete: %s: %s", type(error).__name__, error)
