"""What older turns came to, remembered by all that was said."""

from __future__ import annotations

from itertools import combinations

from guard.exchange import Message
from guard.guarding.history import Change, History, Past, keys_of
from guard.verdict import Coverage, Finding
from guard.window import Channel
from rules.schema import Part


def key(*messages):
    return keys_of(messages)[len(messages)]


def test_two_conversations_have_one_key_only_where_they_are_the_same():
    conversations = [
        (Message("user", "ab"),),
        (Message("user", "a"), Message("user", "b")),
        (Message("assistant", "ab"),),
        (Message("assistant", "a", reasoning="b"),),
        (Message("assistant", "a", tool_calls=("b",)),),
        (Message("assistant", "a", reasoning=""),),
        (Message("assistant", "a"),),
        (Message("system", "x"), Message("assistant", "a")),
    ]
    for one, other in combinations(conversations, 2):
        assert key(*one) != key(*other), (one, other)


def test_what_the_system_says_is_judged_anew_and_not_in_the_key():
    said = Message("user", "a")
    assert key(Message("system", "it is Monday"), said) == key(Message("system", "it is Tuesday"), said)


def test_a_conversation_that_went_on_is_found_by_its_beginning():
    turns = [Message("user" if place % 2 == 0 else "assistant", str(place)) for place in range(40)]
    assert keys_of(turns)[38] == keys_of(turns[:38])[38]


def test_the_least_recently_used_makes_way():
    history = History(2)
    history.put(b"a", Past())
    history.put(b"b", Past())
    history.get(b"a")
    history.put(b"c", Past())
    assert history.get(b"b") is None
    assert history.get(b"a") is not None
    assert len(history) == 2


def test_a_past_on_which_something_failed_or_that_is_very_large_is_not_kept():
    history = History()
    history.put(b"a", Past(coverages=(Coverage(degraded={"judge": "gone"}),)))
    history.put(b"b", Past((Change(0, Channel(), "x" * 30_000, "bomb"),)))
    finding = Finding("bomb", Part.PROMPT, (0, 1), "patterns", 1.0, 1.0)
    history.put(b"c", Past(findings=(("messages[0]", finding),) * 100))
    assert len(history) == 0
