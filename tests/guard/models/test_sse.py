"""Server-sent events: whatever the cuts, the same frames."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.models._sse import Frame, Frames, TooLong

SAMPLES = [
    b'data: {"a": 1}\n\ndata: [DONE]\n\n',
    b'event: ping\r\ndata: {"a": "\xc3\xbc"}\r\n\r\nevent: pong\r\ndata: {}\r\n\r\n',
    b'\xef\xbb\xbfdata: {"bom": true}\r\rdata: {"next": 1}\r\r',
    b': hello\n\n\n\ndata:{"no": "space"}\n\n',
    b'id: 7\nretry: 10\nevent: x\ndata: {"two":\ndata: "lines"}\n\ndata: {"b": 2}\n\n',
    b"data\n\ndata:\n\nother: field\n\ndata: x\n\r\ndata: y\r\n\rdata: z\r\n\n",
    "data: 潮は一日に二度満ちる 🌊\n\n".encode(),
]
LINES = st.sampled_from(
    [b"data: {}", b"data", b"data:x", b": c", b"event: e", b"id: 1", b"", b"\xef\xbb\xbf", b"data: \xf0\x9f"]
)
ENDS = st.sampled_from([b"\n", b"\r", b"\r\n"])
STREAMS = st.one_of(
    st.sampled_from(SAMPLES),
    st.lists(st.tuples(LINES, ENDS), max_size=20).map(lambda lines: b"".join(line + end for line, end in lines)),
)


def frames(chunks: list[bytes]) -> list[Frame]:
    reader = Frames()
    return [frame for chunk in chunks for frame in reader.feed(chunk)] + reader.close()


@given(STREAMS, st.lists(st.integers(0, 300), max_size=12))
def test_any_cutting_gives_the_same_frames(stream: bytes, cuts: list[int]) -> None:
    places = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    chunks = [stream[start:end] for start, end in itertools.pairwise(places)]
    assert frames(chunks) == frames([stream])


@given(STREAMS)
def test_one_byte_chunks_give_the_same_frames(stream: bytes) -> None:
    assert frames([stream[n : n + 1] for n in range(len(stream))]) == frames([stream])


@given(STREAMS)
def test_what_is_sent_on_says_the_same_again(stream: bytes) -> None:
    once = frames([stream])
    assert frames([frame.raw for frame in once]) == once


@given(st.lists(st.dictionaries(st.text(), st.text(), max_size=3), max_size=6), st.sampled_from(["\n", "\r\n", "\r"]))
def test_json_of_any_text_comes_out_as_it_went_in(values: list[dict[str, str]], end: str) -> None:
    stream = "".join(f"data: {json.dumps(value, ensure_ascii=False)}{end}{end}" for value in values).encode()
    assert [json.loads(frame.data or b"") for frame in frames([stream])] == values


def test_an_event_in_plain_form_keeps_its_bytes() -> None:
    stream = b'event: x\ndata:  {"a":1}\n\n'
    assert frames([stream]) == [Frame(stream, b"x", b' {"a":1}')]


def test_lines_that_no_reader_of_the_data_sees_are_not_sent_on() -> None:
    found = frames([b": a remark\nid: 5\nevent: x\ndata: 1\ndata: 2\n\n: another remark\n\n"])
    assert [frame.raw for frame in found] == [b"event: x\ndata: 1\ndata: 2\n\n", b":\n\n"]
    assert found[0].data == b"1\n2"
    assert found[1].data is None


def test_an_event_whose_end_is_a_bare_return_does_not_wait_for_the_next_byte() -> None:
    reader = Frames()
    assert [frame.data for frame in reader.feed(b"data: 1\r\r")] == [b"1"]
    assert [frame.data for frame in reader.feed(b"\ndata: 2\n\n")] == [b"2"]


def test_the_last_event_needs_no_empty_line() -> None:
    reader = Frames()
    assert reader.feed(b"data: [DONE]") == []
    assert reader.close() == [Frame(b"data: [DONE]\n\n", b"", b"[DONE]")]
    assert reader.close() == []


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_an_event_without_end_is_refused_and_not_kept(step: int) -> None:
    reader = Frames(most_bytes=1000)
    stream = b"data: " + b"x" * 3000 + b"\n\n"
    with pytest.raises(TooLong):
        for start in range(0, len(stream), step):
            reader.feed(stream[start : start + step])


def test_a_long_event_among_whole_ones_is_refused_too() -> None:
    reader = Frames(most_bytes=50)
    assert reader.feed(b"data: 1\n\n")
    with pytest.raises(TooLong):
        reader.feed(b"data: 2\n\ndata: " + b"x" * 60 + b"\n\ndata: 3\n\n")


def test_a_megabyte_in_one_byte_chunks_is_searched_once(monkeypatch: pytest.MonkeyPatch) -> None:
    searched = 0

    class Counting:
        def search(self, text: bytearray, start: int) -> object:
            nonlocal searched
            searched += len(text) - start
            return None

    monkeypatch.setattr("guard.models._sse._EMPTY_LINE", Counting())
    reader = Frames()
    for _ in range(2**20):
        reader.feed(b"x")
    assert searched < 8 * 2**20
