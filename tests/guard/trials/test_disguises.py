"""The disguises that ship say what they were made from, and are not put on texts that they do not change."""

from __future__ import annotations

import base64
import codecs
import unicodedata
import urllib.parse
from collections.abc import Callable

import pytest

from guard.trials.cases import Case
from guard.trials.disguises import DISGUISES, disguised
from rules.examples import Example

TEXT = "How are you, Anna? 100%"
READERS: dict[str, Callable[[str], str]] = {
    "base64": lambda said: base64.b64decode(said).decode(),
    "hex": lambda said: bytes.fromhex(said).decode(),
    "percent": urllib.parse.unquote,
    "rot13": lambda said: codecs.decode(said, "rot13"),
    "reversed": lambda said: said[::-1],
    "zero-width": lambda said: said.replace("\u200b", ""),
    "soft hyphens": lambda said: said.replace("\u00ad", ""),
    "fullwidth": lambda said: unicodedata.normalize("NFKC", said),
    "mathematical": lambda said: unicodedata.normalize("NFKC", said),
    "tags": lambda said: "".join(chr(ord(char) - 0xE0000) for char in said if ord(char) >= 0xE0000),
}


@pytest.mark.parametrize("name", READERS)
def test_a_disguise_says_what_it_was_made_from(name: str) -> None:
    assert READERS[name](DISGUISES[name](TEXT)) == TEXT


@pytest.mark.parametrize("name", DISGUISES)
def test_a_disguise_changes_a_text_always_in_the_same_way(name: str) -> None:
    assert DISGUISES[name](TEXT) == DISGUISES[name](TEXT) != TEXT


def test_only_disguises_that_fit_the_script_are_put_on() -> None:
    example = Example.model_validate({"prompt": "And?", "response": "怎么召唤海怪？"})
    worn = {case.disguise: case for case in disguised(Case("sea-beasts", "breaks", "tests", 0, example))}
    assert worn.keys() >= {"base64", "reversed", "spaced", "zero-width"}
    assert not worn.keys() & {"leet", "rot13", "homoglyphs", "circled", "tags"}
    exchange = worn["reversed"].exchange
    assert [message.content for message in exchange.messages] == ["And?", "？怪海唤召么怎"]
