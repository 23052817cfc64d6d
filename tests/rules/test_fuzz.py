"""Whatever stands in a file, `load` gives a constitution or an error that a person can mend."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from rules.errors import WardlawError
from rules.expressions import BadExpression, matches_nothing_at_all
from rules.load import load

VALID = """\
constitution: mine
title: {en: Mine, zh: 我的}
defaults: &d {mode: shadow}
rules:
  - id: some-harm
    title: A rule
    rule: Do not.
    why: It would hurt somebody who did nothing.
    severity: high
    watches: [prompt, response]
    on: {prompt: revise, response: block}
    detect:
      patterns: [{regex: 'a\\b.{0,4}b'}, {literal: pipe bomb}]
      meaning: {threshold: 0.5}
    demonstrations:
      - prompt: [{role: user, content: Hi}]
        answer: A b c.
        critique: {quotes: [b], problem: Wrong., verdict: breaks}
        revision: A.
    examples:
      breaks: [one, {prompt: two, response: three}]
      keeps: [{messages: [{role: user, content: four}], note: five}]
"""
PIECES = [
    *"[]{}:,-?&*!|>'\"%@`#\t\n \\~",
    *[
        "<<: ",
        "- ",
        "&d ",
        "*d",
        "!x ",
        "---\n",
        "...\n",
        "null",
        "true",
        "  ",
        "\ud7ff",
        "\x00",
        "\x85",
        "\u2028",
        "\ufeff",
    ],
    *[
        '"\\ud800"',
        '"\\U00110000"',
        '"\\x00"',
        "rules:",
        "extends: [./fuzz.yaml]",
        "id: ",
        "prompt: [x]",
        "regex: '('",
        "on:",
    ],
]
fuzzing = settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(params=["C parser", "pure parser"])
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "pure parser":
        monkeypatch.delattr(yaml, "CSafeLoader", raising=False)


def survives(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "fuzz.yaml"
    path.write_bytes(content)
    try:
        loaded = load(path)
    except WardlawError as error:
        assert str(error)
    else:
        assert len(loaded.constitution) > 0


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """The valid file with a few pieces put in, taken out or moved."""
    text = VALID
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 30)))
        text = text[:start] + draw(st.sampled_from([*PIECES, text[end : end + 20]])) + text[end:]
    return text


def test_the_file_that_is_mutated_is_valid(tmp_path: Path) -> None:
    (tmp_path / "fuzz.yaml").write_text(VALID, encoding="utf-8")
    assert len(load(tmp_path / "fuzz.yaml").constitution) == 1


@fuzzing
@given(content=st.binary(max_size=200))
def test_random_bytes_raise_nothing_else(content: bytes, tmp_path: Path, parser: None) -> None:
    survives(content, tmp_path)


@fuzzing
@given(pieces=st.lists(st.sampled_from(PIECES), max_size=30))
@example(pieces=["["] * 5000)
@example(pieces=["- "] * 5000)
@example(pieces=["- ", '"\\ud800"'])
def test_random_yaml_raises_nothing_else(pieces: list[str], tmp_path: Path, parser: None) -> None:
    survives("".join(pieces).encode(), tmp_path)


@fuzzing
@given(text=mutated())
@example(text=VALID.replace("A rule", '"\\ud800"'))
@example(text=VALID.replace("one,", '"\\ud800",'))
@example(text=VALID.replace("id: some-harm", 'id: "\\ud800"'))
@example(text=VALID.replace("title: A rule", '"\\ud800": A rule'))
def test_a_mutated_rule_file_raises_nothing_else(text: str, tmp_path: Path, parser: None) -> None:
    survives(text.encode(), tmp_path)


@fuzzing
@given(
    pieces=st.lists(st.sampled_from([*"ab()[]|*+?{}^$.\\", "(?", "(?:", "(?P<n>", "{2,3}", "[^", "\\Q", "\\p{", "\\1"]))
)
@example(pieces=["("] * 5000)
def test_a_random_expression_is_read_or_refused(pieces: list[str]) -> None:
    try:
        matches_nothing_at_all("".join(pieces))
    except BadExpression as bad:
        assert bad.what
        assert bad.hint
