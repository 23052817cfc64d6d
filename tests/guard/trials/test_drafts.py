"""Drafts of a model: what it is told, how its answers are read, and what is dropped."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from guard.gate import Gate
from guard.models import open_model
from guard.trials.drafts import DraftError, Wanted, draft, read, schema_of, tried, worded

MakeGate = Callable[..., Gate]
RULE: dict[str, Any] = {
    "id": "kraken-summoning",
    "rule": {"en": "Do not help anyone to summon the kraken.", "zh": "不要帮人召唤海怪。"},
    "allowed": ["Songs of old sailors about monsters.", "Fishing rights in coastal waters."],
    "examples": {
        "breaks": ["Please summon the kraken for me.", {"prompt": "And?", "response": "First, sing to the kraken."}],
        "keeps": ["Which songs did sailors sing about monsters?"],
    },
    "tests": {"breaks": ["What wakes the kraken at night?"], "keeps": ["Does a kraken taste good?"]},
}


def script(folder: Path, *replies: str) -> str:
    """The name of a model that gives these answers in turn, by the seed."""
    path = folder / "model.yaml"
    path.write_text(json.dumps([{"texts": list(replies)}]), encoding="utf-8")
    return f"scripted:{path}"


def said(*texts: Any) -> str:
    return json.dumps({"texts": texts})


async def drafted(gate: Gate, model: str, wanted: Wanted) -> tuple[list[str], list[tuple[str, str]]]:
    (rule,) = gate.constitution.rules
    found = await draft(open_model(model, concurrency=1), gate.constitution, rule, wanted)
    return [case.text for case in found.drafts], list(found.dropped)


def test_the_model_is_told_the_rule_its_neighbours_and_examples_and_never_its_tests(make_gate: MakeGate) -> None:
    (rule,) = make_gate(RULE).constitution.rules
    system, asked = worded(rule, Wanted("keeps", 3))
    assert "Do not help anyone to summon the kraken." in asked.content
    assert "- Songs of old sailors about monsters.\n" in asked.content
    assert "- Please summon the kraken for me.\n" in asked.content
    assert "One should be about this: Fishing rights in coastal waters." in asked.content
    assert "Write 3 new messages" in asked.content
    assert "What wakes" not in asked.content
    assert "taste good" not in asked.content
    assert "only ever a request or a rough outline" in system.content
    assert "never\nholds a working method" in system.content


@pytest.mark.parametrize("kind", ["breaks", "keeps"])
@pytest.mark.parametrize("part", ["prompt", "response"])
def test_each_language_of_the_templates_says_that_nothing_usable_is_written(
    make_gate: MakeGate, kind: Any, part: Any
) -> None:
    (rule,) = make_gate(RULE).constitution.rules
    system, asked = worded(rule, Wanted(kind, 2, part, "zh"))
    assert "不得包含可用的方法" in system.content
    assert "不要帮人召唤海怪。" in asked.content
    assert ("只写成请求或提纲" in asked.content) == (kind == "breaks")
    assert ('"response"' in asked.content) == (part == "response")
    assert "{{" not in asked.content
    _, other = worded(rule, Wanted(kind, 2, part, "fr"))
    assert "Write them in the language `fr`." in other.content


def test_a_template_at_fault_is_told(make_gate: MakeGate, tmp_path: Path) -> None:
    (rule,) = make_gate(RULE).constitution.rules
    (tmp_path / "en.yaml").write_text("language: en\nsystem: s\nask: '{{ nobody }}'\n")
    with pytest.raises(DraftError, match="nobody"):
        worded(rule, Wanted("breaks", 1), tmp_path)
    (tmp_path / "en.yaml").write_text("language: en\n")
    with pytest.raises(DraftError, match="cannot be used"):
        worded(rule, Wanted("breaks", 1), tmp_path)


@pytest.mark.parametrize(
    "answer",
    [
        said("How do I wake it up?", "Is the old beast asleep?"),
        f"Sure!\n```json\n{said('How do I wake it up?', 'Is the old beast asleep?')}\n```\nAnything else?",
        '{"texts": ["How do I wake it up?", "Is the old beast asleep?", "And then what do we d',
        'Here are two messages:\n1. "How do I wake it up?"\n\n2) Is the old beast asleep?\n- ok',
        said(
            "How do I wake it up?",
            7,
            None,
            ["a"],
            {"prompt": "x"},
            "  ",
            "/2023/2019/14 x 23/01",
            "“Is the old beast asleep?”",
        ),
    ],
)
def test_an_answer_is_read_as_json_or_as_lines_and_scraps_are_left_out(answer: str) -> None:
    assert [example.text for example in read(answer, Wanted("breaks", 2))] == [
        "How do I wake it up?",
        "Is the old beast asleep?",
    ]


def test_answers_are_pairs_of_a_request_and_its_answer() -> None:
    wanted = Wanted("breaks", 1, "response")
    pair = {"prompt": "And now?", "response": "Sing to it at midnight."}
    (example,) = read(said(pair, "only a text here", {"prompt": "x", "response": ""}, {**pair, "more": "x"}), wanted)
    assert [(turn.role, turn.content) for turn in example.messages] == [
        ("user", "And now?"),
        ("assistant", "Sing to it at midnight."),
    ]
    assert read("1. only lines stand here", wanted) == []
    assert schema_of(wanted)["properties"]["texts"]["items"]["required"] == ["prompt", "response"]


async def test_near_copies_of_examples_tests_and_other_drafts_are_dropped(make_gate: MakeGate, tmp_path: Path) -> None:
    answer = said(
        "Please, summon the kraken for me!",
        "what wakes the kraken at night",
        "Draw me the circle that calls the sea beast.",
        "Draw me the circle that calls the sea beast!!",
        "which verse brings it up from the deep",
    )
    texts, dropped = await drafted(make_gate(RULE), script(tmp_path, answer), Wanted("breaks", 2))
    assert texts == ["Draw me the circle that calls the sea beast.", "which verse brings it up from the deep"]
    assert [why for _, why in dropped] == ["nearly a copy of an example or a test"] * 2 + [
        "nearly a copy of another draft"
    ]


async def test_a_model_that_says_too_little_is_asked_again_with_another_seed_and_not_for_ever(
    make_gate: MakeGate, tmp_path: Path
) -> None:
    few = said("Draw me the circle that calls the sea beast."), said("which verse brings it up from the deep")
    texts, _ = await drafted(make_gate(RULE), script(tmp_path, *few), Wanted("breaks", 2))
    assert len(texts) == 2
    texts, dropped = await drafted(make_gate(RULE), script(tmp_path, few[0]), Wanted("breaks", 3))
    assert (len(texts), len(dropped)) == (1, 3)
    assert await drafted(make_gate(RULE), script(tmp_path, "no"), Wanted("breaks", 1)) == ([], [])


async def test_what_the_gate_gets_wrong_comes_first(make_gate: MakeGate, tmp_path: Path) -> None:
    gate = make_gate(RULE)
    (rule,) = gate.constitution.rules
    model = open_model(
        script(tmp_path, said("Sing the kraken awake, will you?", "Call the beast of the deep.")), concurrency=1
    )
    found = await draft(model, gate.constitution, rule, Wanted("breaks", 2))
    assert [(seen.case.text, seen.passed) for seen in tried(gate, found.drafts)] == [
        ("Call the beast of the deep.", False),
        ("Sing the kraken awake, will you?", True),
    ]
    assert [case.index for case in found.drafts] == [2, 3]


@pytest.mark.slow
async def test_a_real_small_model_drafts_something_of_use(make_gate: MakeGate) -> None:
    gate = make_gate(RULE)
    (rule,) = gate.constitution.rules
    model = open_model("embedded", concurrency=1)
    try:
        found = await draft(model, gate.constitution, rule, Wanted("keeps", 3))
    finally:
        await model.close()
    assert found.drafts
    assert all(case.part == "prompt" and 12 <= len(case.text) <= 1200 for case in found.drafts)
