"""Traces, against a collector on loopback that speaks OTLP over HTTP."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from server.record import Record
from server.telemetry.tracing import Passed, Tracing, TracingError

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Spans that arrived; the variables point to it."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    spans: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            request = ExportTraceServiceRequest.FromString(body)
            for resource in request.resource_spans:
                for scope in resource.scope_spans:
                    spans.extend((span, resource.resource) for span in scope.spans)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    httpd = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{httpd.server_port}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield spans
    httpd.shutdown()
    httpd.server_close()
    thread.join()


def test_a_request_is_a_span_with_its_stages_in_it_and_no_text(
    collector: list[Any], record: Callable[..., Record]
) -> None:
    tracing = Tracing()
    trace = tracing.begin({"traceparent": PARENT, "tracestate": "a=b"})
    assert trace is not None
    made = record(rules=("a",), action="block")
    tracing.decided(made, trace)
    tracing.close()
    spans = {span.name: span for span, _ in collector}
    assert set(spans) == {"request", "gate.prompt", "upstream", "gate.answer"}
    assert {span.trace_id.hex() for span in spans.values()} == {PARENT.split("-")[1]}
    assert spans["request"].parent_span_id.hex() == PARENT.split("-")[2]
    for name in ("gate.prompt", "upstream", "gate.answer"):
        assert spans[name].parent_span_id == spans["request"].span_id
        assert spans[name].start_time_unix_nano >= spans["request"].start_time_unix_nano
        assert spans[name].end_time_unix_nano <= spans["request"].end_time_unix_nano
    told = {each.key: each.value for each in spans["request"].attributes}
    assert told["wardlaw.decision"].string_value == made.decision.id
    assert told["wardlaw.action"].string_value == "block"
    assert "planted" not in "".join(str(span) for span in spans.values())
    names = {each.key: each.value.string_value for each in collector[0][1].attributes}
    assert names["service.name"] == "wardlaw"


def test_the_upstream_gets_our_span_as_its_parent(collector: list[Any], record: Callable[..., Record]) -> None:
    tracing = Tracing()
    trace = tracing.begin({"traceparent": PARENT, "tracestate": "a=b"})
    assert trace is not None
    tracing.decided(record(), trace)
    tracing.close()
    [request] = [span for span, _ in collector if span.name == "request"]
    _, trace_id, span_id, flags = trace.headers["traceparent"].split("-")
    assert (trace_id, span_id, flags) == (PARENT.split("-")[1], request.span_id.hex(), "01")
    assert trace.headers["tracestate"] == "a=b"


def test_a_failed_request_is_marked(collector: list[Any], record: Callable[..., Record]) -> None:
    tracing = Tracing()
    tracing.decided(record(fault="upstream", status=502), tracing.begin({}))
    tracing.close()
    [request] = [span for span, _ in collector if span.name == "request"]
    assert request.status.code == 2
    assert {each.key: each.value.string_value for each in request.attributes}["error.type"] == "upstream"


def test_without_the_variables_nothing_is_made_and_the_callers_trace_goes_on() -> None:
    tracing = Tracing()
    assert not tracing.on
    assert tracing.begin({"authorization": "x"}) is None
    passed = tracing.begin({"traceparent": PARENT, "authorization": "x"})
    assert isinstance(passed, Passed)
    assert passed.headers == {"traceparent": PARENT}


@pytest.mark.parametrize(
    "variables",
    [
        {"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"},
        {"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"},
    ],
)
def test_the_usual_variables_turn_it_off(variables: dict[str, str]) -> None:
    assert not Tracing(variables).on


def test_an_exporter_that_is_not_there_stops_the_start() -> None:
    with pytest.raises(TracingError, match="no exporter of traces `zipkin_x` is installed"):
        Tracing({"OTEL_TRACES_EXPORTER": "zipkin_x"})
