"""Traces by OpenTelemetry, set up by its own `OTEL_` variables and off without them.

A request's span stands while it runs; those of its stages are made when it is over, from the times that the decision
holds. Attributes are names, numbers and ids, never a text.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rules.errors import WardlawError
from rules.words import quoted

if TYPE_CHECKING:
    from server.record import Record

_HEADERS = ("traceparent", "tracestate")
_ASKED_FOR = ("OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


class TracingError(WardlawError):
    """Traces are asked for and cannot be made."""


class Passed:
    """A trace that others keep: its headers go on to the upstream as they came."""

    __slots__ = ("headers",)

    def __init__(self, headers: Mapping[str, str]) -> None:
        self.headers = headers


class Traced:
    """A trace with a span of ours."""

    __slots__ = ("headers", "span")

    def __init__(self, span: Any, headers: Mapping[str, str]) -> None:
        self.span = span
        self.headers = headers


class Tracing:
    """Makes the spans of requests, or hands the caller's trace on where traces are off."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        """Read the `OTEL_` variables.

        Raises:
            TracingError: they ask for traces, and the SDK or the exporter is not installed.
        """
        env = os.environ if environment is None else environment
        self._provider: Any = None
        self._tracer: Any = None
        self._propagator: Any = None
        if env.get("OTEL_SDK_DISABLED", "").lower() == "true" or not any(env.get(name) for name in _ASKED_FOR):
            return
        names = [name.strip() for name in env.get("OTEL_TRACES_EXPORTER", "otlp").split(",")]
        names = [name for name in names if name and name != "none"]
        if names:
            self._open(names)

    @property
    def on(self) -> bool:
        """Whether spans are made."""
        return self._tracer is not None

    def _open(self, names: list[str]) -> None:
        try:
            from opentelemetry.sdk.resources import SERVICE_NAME, Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
            from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
        except ImportError as error:
            hint = "install `wardlaw[otel]`, or unset the `OTEL_` variables"
            raise TracingError("traces are asked for, and OpenTelemetry is not installed", hint) from error
        # `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` win over what is given here.
        named = os.environ.get("OTEL_SERVICE_NAME") or "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
        resource = Resource.create({} if named else {SERVICE_NAME: "wardlaw"})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        for name in names:
            self._provider.add_span_processor(BatchSpanProcessor(_exporter(name)))
        self._tracer = self._provider.get_tracer("wardlaw")
        self._propagator = TraceContextTextMapPropagator()

    def begin(self, headers: Mapping[str, str]) -> Traced | Passed | None:
        """Go on with the caller's trace, or begin one."""
        if self._tracer is None:
            if "traceparent" not in headers:
                return None
            return Passed({name: headers[name] for name in _HEADERS if name in headers})
        from opentelemetry.trace import SpanKind, set_span_in_context

        above = self._propagator.extract({name: headers[name] for name in _HEADERS if name in headers})
        span = self._tracer.start_span("request", above, kind=SpanKind.SERVER)
        out: dict[str, str] = {}
        self._propagator.inject(out, set_span_in_context(span))
        return Traced(span, out)

    def decided(self, record: Record, trace: object) -> None:
        """Close a request's span, with the spans of its stages."""
        if not isinstance(trace, Traced) or not record.decision.complete or not trace.span.is_recording():
            return
        from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context

        decision, span = record.decision, trace.span
        span.set_attributes(
            {
                "wardlaw.decision": decision.id,
                "wardlaw.api": record.api,
                "wardlaw.action": str(decision.action),
                "wardlaw.rules": list(decision.rules),
                "wardlaw.constitution": decision.constitution,
                "wardlaw.streamed": record.streamed,
                "http.response.status_code": record.status,
            }
        )
        if record.fault:
            span.set_attribute("error.type", record.fault)
            if record.status >= 500:
                span.set_status(Status(StatusCode.ERROR))
        inside = set_span_in_context(span)
        end = time.time_ns()
        start = span.start_time or end
        for name, begin_s, length_s in _placed(record):
            kind = SpanKind.CLIENT if name == "upstream" else SpanKind.INTERNAL
            begun = min(start + int(begin_s * 1e9), end)
            child = self._tracer.start_span(name, inside, kind=kind, start_time=begun)
            child.end(min(begun + int(length_s * 1e9), end))
        span.end(end)

    def close(self) -> None:
        """Send what waits. May be called twice."""
        provider, self._provider, self._tracer = self._provider, None, None
        if provider is not None:
            provider.shutdown()


def _placed(record: Record) -> list[tuple[str, float, float]]:
    """The stages as (name, seconds from the start, length).

    Only lengths are known. The prompt's gate runs first, beside the upstream or before it; the rest follows.
    """
    ms = record.decision.ms
    prompt, answer = ms.get("gate.prompt", 0) / 1000, ms.get("gate.answer", 0) / 1000
    upstream = record.upstream_s or ms.get("upstream", 0) / 1000
    amend, audit = ms.get("amend", 0) / 1000, ms.get("audit", 0) / 1000
    total = record.seconds
    # Where the parts are longer than the whole, the prompt was judged beside the upstream call.
    beside = prompt + upstream + answer + amend + audit > total
    asked = 0.0 if beside else prompt
    answered = asked + upstream
    found = [
        ("gate.prompt", 0.0, prompt),
        ("upstream", asked, upstream),
        ("gate.answer", answered, answer),
        ("amend", answered + answer, amend),
        ("audit", answered + answer + amend, audit),
    ]
    return [(name, begin, length) for name, begin, length in found if length > 0]


def _exporter(name: str) -> Any:
    from importlib.metadata import entry_points

    wanted = name
    if name == "otlp":
        protocol = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
        wanted = "otlp_proto_grpc" if protocol == "grpc" else "otlp_proto_http"
    found = list(entry_points(group="opentelemetry_traces_exporter", name=wanted))
    if not found:
        hint = "install it, or name another one: `otlp`, `console`, `none`"
        raise TracingError(f"no exporter of traces {quoted(wanted)} is installed", hint)
    return found[0].load()()
