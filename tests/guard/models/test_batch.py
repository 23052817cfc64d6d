"""Batches of like length."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError

import pytest

from guard.models._batch import LengthBatcher


class Recorder:
    """Runs batches of words and remembers them; `held` stops the first until it is let go."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.held = threading.Event()
        self.begun = threading.Event()

    def run(self, words: Sequence[str]) -> list[str]:
        self.batches.append(list(words))
        self.begun.set()
        self.held.wait(10)
        if "bad" in words:
            raise ValueError("a bad word")
        return [word.upper() for word in words]


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def batcher(recorder: Recorder) -> Iterator[LengthBatcher[str, str]]:
    batcher = LengthBatcher(recorder.run, len, size=3, wait=0.02)
    yield batcher
    recorder.held.set()
    batcher.close()


def test_the_oldest_goes_with_its_nearest_in_length(batcher: LengthBatcher[str, str], recorder: Recorder) -> None:
    first = batcher.submit("first")
    recorder.begun.wait(10)
    words = ["aaaa", "bbbbbbbbbbbb", "c", "ddddddddddd", "eeeee", "fff"]
    futures = [batcher.submit(word) for word in words]
    recorder.held.set()
    assert [future.result(10) for future in (first, *futures)] == ["FIRST", *(word.upper() for word in words)]
    assert recorder.batches == [["first"], ["fff", "aaaa", "eeeee"], ["c", "ddddddddddd", "bbbbbbbbbbbb"]]


def test_a_lone_item_does_not_wait_for_a_full_batch(batcher: LengthBatcher[str, str], recorder: Recorder) -> None:
    recorder.held.set()
    assert batcher.submit("one").result(10) == "ONE"
    assert batcher.submit("two").result(10) == "TWO"


def test_a_failed_batch_tells_its_callers_and_the_next_one_runs(
    batcher: LengthBatcher[str, str], recorder: Recorder
) -> None:
    recorder.held.set()
    with pytest.raises(ValueError, match="a bad word"):
        batcher.submit("bad").result(10)
    assert batcher.submit("good").result(10) == "GOOD"


def test_what_is_cancelled_while_it_waits_is_never_run(batcher: LengthBatcher[str, str], recorder: Recorder) -> None:
    first = batcher.submit("first")
    recorder.begun.wait(10)
    waiting = batcher.submit("never")
    assert waiting.cancel()
    recorder.held.set()
    assert first.result(10) == "FIRST"
    assert batcher.submit("last").result(10) == "LAST"
    assert recorder.batches == [["first"], ["last"]]


def test_closing_cancels_what_waits_and_refuses_what_comes(recorder: Recorder) -> None:
    batcher: LengthBatcher[str, str] = LengthBatcher(recorder.run, len, size=1, wait=0.02)
    first = batcher.submit("first")
    recorder.begun.wait(10)
    waiting = batcher.submit("waiting")
    closing = threading.Thread(target=batcher.close)
    closing.start()
    with pytest.raises(CancelledError):
        waiting.result(10)
    recorder.held.set()
    closing.join(10)
    assert first.result(10) == "FIRST"
    with pytest.raises(RuntimeError, match="closed"):
        batcher.submit("late")
