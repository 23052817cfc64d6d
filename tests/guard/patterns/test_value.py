"""Of a pattern with a group named `value`, that group is the hit, whichever engine runs and however a stream is cut."""

from __future__ import annotations

import pytest

from guard.patterns.base import Entry
from guard.patterns.search import Search
from guard.patterns.stream import PatternStream
from rules.schema import Part, Pattern


def search(regex: str, engine: str = "auto") -> Search:
    entry = Entry.of("pin", frozenset({Part.RESPONSE}), Pattern(regex=regex))
    return Search([entry], engine=engine)


def found(regex: str, text: str, engine: str = "auto") -> list[str]:
    return [text[hit.start : hit.end] for hit in search(regex, engine).find(Part.RESPONSE, text)]


@pytest.mark.parametrize("engine", ["auto", "re2"])
def test_only_the_value_is_the_hit(engine: str) -> None:
    assert found("pin: ?(?P<value>[0-9]{4})", "the pin: 1234, was pin:5678", engine) == ["1234", "5678"]


def test_what_stands_before_a_value_may_have_been_the_one_before() -> None:
    assert found("(?:^|[^0-9.])(?P<value>[0-9]{4})", "1234 5678 0.9999") == ["1234", "5678"]


def test_letters_beyond_ascii_before_a_value_do_not_move_it() -> None:
    assert found("口令：(?P<value>[a-z]{4}[0-9])", "新口令：abcd1。旧口令：efgh2。") == ["abcd1", "efgh2"]


def test_where_the_group_took_no_part_the_whole_is_the_hit() -> None:
    assert found("pin (?P<value>[0-9]{4})|code red", "code red, pin 1234") == ["code red", "1234"]


@pytest.mark.parametrize("size", [1, 3, 8])
def test_a_stream_tells_the_same_value(size: int) -> None:
    text = "well, the pin: 1234 is what she said"
    stream = PatternStream(search("pin: ?(?P<value>[0-9]{4})"), Part.RESPONSE)
    hits = [hit for at in range(0, len(text), size) for hit in stream.feed(text[at : at + size])]
    hits += stream.close()
    assert [text[slice(*hit.span)] for hit in hits] == ["1234"]
