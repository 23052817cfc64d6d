"""Events of a stream, and what is none."""

from __future__ import annotations

import pytest

from server.upstreams.base import UpstreamFault
from server.upstreams.sse import Events


def test_an_event_has_its_name_data_and_bytes() -> None:
    raw = b'event: ping\ndata: {"type":"ping"}\n\n'
    (event,) = Events().feed(raw.replace(b'"type":', b'"type" : '))
    assert (event.raw, event.data, event.name, event.kind) == (raw, {"type": "ping"}, "ping", "data")


def test_the_closing_mark_and_keep_alives_have_kinds_of_their_own() -> None:
    events = Events().feed(b": still here\n\ndata: [DONE]\n\n")
    assert [(event.kind, event.data) for event in events] == [("comment", None), ("done", None)]


def test_a_keep_alive_carries_no_text() -> None:
    (event,) = Events().feed(b": what nobody scanned\n\n")
    assert event.raw == b":\n\n"


@pytest.mark.parametrize("data", [b"{", b"[1]", b'"text"', b"1", b"null", b"NaN", b'{"a": "\xff"}', b"<html>"])
def test_data_that_is_no_json_object_is_the_upstreams_fault(data: bytes) -> None:
    with pytest.raises(UpstreamFault) as caught:
        Events().feed(b"data: " + data + b"\n\n")
    assert (caught.value.status, caught.value.kind) == (502, "upstream")
    assert data.decode("latin-1") not in str(caught.value)


def test_an_event_too_long_is_the_upstreams_fault() -> None:
    with pytest.raises(UpstreamFault, match="more than 100 bytes"):
        Events(most_bytes=100).feed(b"data: " + b"x" * 200)


def test_an_event_says_what_was_read_of_it_and_no_more() -> None:
    sent = b'id: 7\nevent: a b\ndata: {"said":"one","said":"two"}\n\nevent: x\ndata: [DONE]\n\n'
    assert [event.raw for event in Events().feed(sent)] == [b'data: {"said":"two"}\n\n', b"data: [DONE]\n\n"]


def test_an_event_that_is_nested_too_deep_is_refused() -> None:
    with pytest.raises(UpstreamFault, match="nested too deep"):
        Events().feed(b'data: {"a":' + b"[" * 500 + b"]" * 500 + b"}\n\n")
