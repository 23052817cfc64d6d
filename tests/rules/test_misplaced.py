"""Slips that YAML takes for text are told; texts with colons, bullets and numbers in them are let be."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rules.check import check
from rules.load import load
from tests.rules.fault_cases import HEAD, RULE

Write = Callable[..., str]


def warned(write: Write, more: str) -> list[str]:
    issues = check(load(write(HEAD + RULE + "    detect: null\n" + more)))
    return [f"{issue.where.line}:{issue.where.column}" for issue in issues if issue.code == "text-like-a-key"]


@pytest.mark.parametrize(
    "line",
    ["prompt:Hi", "response：Hi", "messages:[a]", "12", "2024-01-01", "one\n          • two", "one\n          - two"],
)
def test_an_example_that_was_meant_as_more_is_told(write: Write, line: str) -> None:
    assert warned(write, f"    examples:\n      breaks:\n        - {line}\n") == ["10:11"]


@pytest.mark.parametrize(
    "reply", ["zh：你好", "en:Hello", ">-\n      en:\n      Hi", "|\n      Hi.\n      mode: shadow"]
)
def test_a_text_that_holds_a_key_is_told(write: Write, reply: str) -> None:
    assert len(warned(write, f"    reply: {reply}\n")) == 1


@pytest.mark.parametrize(
    "line",
    [
        "'prompt:Hi'",
        '"12"',
        "Note:this is mine",
        "note to self：buy milk",
        "at 12:30 by the gate",
        "id:5 please",
        "https://example.org/a:b",
        "my list - with a dash",
        "12 monkeys",
        "注意：不要说：好",
        ">-\n          Do this:\n          - one\n          - two",
        "|\n          1. one\n          2. two",
        "a prompt:of mine",
    ],
)
def test_a_text_with_colons_is_let_be(write: Write, line: str) -> None:
    assert warned(write, f"    examples:\n      breaks:\n        - {line}\n") == []


@pytest.mark.parametrize(
    "reply",
    ["'zh：你好'", "Hello, zh：你好", "no：thing", "{en: Hi, zh: 你好}", ">-\n      Note: this.\n      it: that."],
)
def test_a_reply_with_colons_is_let_be(write: Write, reply: str) -> None:
    assert warned(write, f"    reply: {reply}\n") == []


def test_a_key_that_stands_beside_the_text_already_is_no_slip(write: Write) -> None:
    text = "    reply:\n      en: >-\n        Hello.\n        zh: is the tag of Chinese.\n      zh: 你好\n"
    assert warned(write, text) == []


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.lists(st.sampled_from([*"ab :：-#'\"，。?!*&[]{}你12", "prompt:", "zh：", "\t"]), min_size=1, max_size=30)
    .map("".join)
    .filter(lambda text: bool(text.strip()))
)
def test_whatever_is_quoted_loads_and_is_not_warned_of(write: Write, text: str) -> None:
    quoted = "'" + text.replace("'", "''") + "'"
    assert warned(write, f"    reply: {quoted}\n    examples:\n      breaks:\n        - {quoted}\n") == []
