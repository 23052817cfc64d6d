from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from guard.exchange import Exchange, Message
from guard.judging.pieces import pieces_of, windows
from rules.schema import Part


@given(st.integers(0, 5000), st.integers(10, 700))
def test_windows_cover_the_text_and_overlap(length, size):
    spans = windows("x" * length, size)
    assert spans[0][0] == 0
    assert spans[-1][1] == length
    assert all(end - start <= size for start, end in spans)
    for (_, end), (start, _) in pairwise(spans):
        assert start < end


def test_the_last_message_is_cut_and_those_before_it_go_along_as_far_as_they_fit():
    messages = (Message("user", "a" * 50), Message("assistant", "b" * 30), Message("user", "c" * 250))
    pieces = pieces_of(Exchange(messages), window=200, context=40)[Part.PROMPT]
    assert [piece.span for piece in pieces] == [(0, 200), (180, 250)]
    assert pieces[0].earlier == (Message("user", "… " + "a" * 10), Message("assistant", "b" * 30))
    assert pieces_of(Exchange(messages), window=200, context=0)[Part.PROMPT][0].earlier == ()


def test_reasoning_is_a_part_of_its_own_and_blank_text_is_none():
    exchange = Exchange((Message("user", "q"), Message("assistant", " \n", reasoning="I think")))
    assert list(pieces_of(exchange, window=200, context=0)) == [Part.REASONING]
