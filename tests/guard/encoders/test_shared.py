"""Encoders that several gates use."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from guard.encoders import EncoderError
from guard.encoders.shared import shared


class Letters:
    """A small encoder: how often each of 26 letters stands in a text."""

    identity, backend, dim = "letters", "numpy", 26
    notes: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.closed = 0

    def encode(self, texts: Sequence[str]) -> Any:
        return np.array([[text.count(chr(97 + letter)) for letter in range(26)] for text in texts], np.float32)

    def windows(self, text: str, beside: str = "") -> list[tuple[int, int]]:
        return [(0, len(text))]

    def close(self) -> None:
        self.closed += 1


def test_two_users_share_one_model_and_the_last_one_closes_it() -> None:
    opened: list[Letters] = []

    def open_() -> Letters:
        opened.append(Letters())
        return opened[-1]

    first, second = shared("two", open_), shared("two", open_)
    assert len(opened) == 1
    first.close()
    first.close()
    assert opened[0].closed == 0
    assert second.encode(["abca"])[0][:3].tolist() == [2.0, 1.0, 1.0]
    second.close()
    assert opened[0].closed == 1
    shared("two", open_).close()
    assert [encoder.closed for encoder in opened] == [1, 1]


def test_another_key_is_another_model() -> None:
    first, second = shared(("a", 1), Letters), shared(("a", 2), Letters)
    first.close()
    assert second.windows("abc") == [(0, 3)]
    second.close()


def test_many_threads_that_open_at_once_load_one_model() -> None:
    opened: list[Letters] = []

    def open_() -> Letters:
        opened.append(Letters())
        return opened[-1]

    with ThreadPoolExecutor(8) as pool:
        holds = list(pool.map(lambda _: shared("many", open_), range(32)))
    assert len(opened) == 1
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda hold: hold.close(), holds))
    assert opened[0].closed == 1


def test_one_that_does_not_open_leaves_nothing_behind() -> None:
    def refuse() -> Letters:
        raise EncoderError("no")

    with pytest.raises(EncoderError):
        shared("broken", refuse)
    shared("broken", Letters).close()
