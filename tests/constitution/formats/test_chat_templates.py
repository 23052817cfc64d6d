"""Lines rendered by real chat templates: SmolLM2's own, and those that TRL bundles."""

from __future__ import annotations

from typing import Any

import pytest

from constitution.formats import Options, open_format
from constitution.formats.survival import TemplateRefused, reasoning_survives, render

READS = [
    ("qwen3", "reasoning_content"),
    ("qwen3_training", "reasoning_content"),
    ("glm4moe", "reasoning_content"),
    ("nemotron_3_nano", "reasoning_content"),
    ("gptoss", "thinking"),
    ("gptoss_training", "thinking"),
    ("qwen3", "think"),
    ("qwen2_5", "think"),
    ("llama3", "think"),
    ("gemma3", "think"),
]
DROPS = [
    ("qwen3", "thinking"),
    ("gptoss", "reasoning_content"),
    ("qwen2_5", "reasoning_content"),
    ("llama3", "reasoning_content"),
    ("deepseek_r1_distill", "think"),
    ("deepseek_r1_distill", "reasoning_content"),
]


def lines(rows: list[Any], reasoning: str) -> list[dict[str, Any]]:
    options = Options(reasoning=reasoning)  # type: ignore[arg-type]
    return [line for row in rows for line in open_format("sft").project(row, options)]


def conversations(rows: list[Any], reasoning: str) -> list[list[dict[str, str]]]:
    """The lines as a trainer renders them: what is learnt after what was asked."""
    return [[*line["prompt"], *line["completion"]] for line in lines(rows, reasoning)]


@pytest.mark.parametrize(("name", "reasoning"), READS)
def test_the_reasoning_survives_where_the_template_reads_it(name, reasoning, bundled_template, sample_rows):
    for messages in conversations(sample_rows, reasoning):
        if name == "gemma3" and messages[0]["role"] == "system":
            messages = messages[1:]
        assert reasoning_survives(bundled_template(name), messages)


@pytest.mark.parametrize(("name", "reasoning"), DROPS)
def test_a_template_that_drops_the_reasoning_is_caught(name, reasoning, bundled_template, sample_rows):
    for messages in conversations(sample_rows, reasoning):
        assert not reasoning_survives(bundled_template(name), messages)


def test_smollm2_reads_reasoning_inline_and_in_no_other_way(smollm2, sample_rows):
    assert all(reasoning_survives(smollm2, messages) for messages in conversations(sample_rows, "think"))
    for key in ("reasoning_content", "thinking"):
        assert not any(reasoning_survives(smollm2, messages) for messages in conversations(sample_rows, key))


def test_where_there_is_no_reasoning_nothing_is_lost(smollm2, sample_rows):
    assert all(reasoning_survives(smollm2, messages) for messages in conversations(sample_rows, "none"))


def test_what_is_rendered_is_what_transformers_renders(smollm2, sample_rows):
    for messages in conversations(sample_rows, "think"):
        assert render(smollm2, messages) == smollm2.apply_chat_template(messages, tokenize=False)


def test_a_template_that_stops_says_so():
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "thinking": "c"}]
    with pytest.raises(TemplateRefused, match="no tools here"):
        reasoning_survives("{{ raise_exception('no tools here') }}", messages)
    with pytest.raises(TemplateRefused, match="has no chat template"):
        reasoning_survives("", messages)


@pytest.mark.parametrize(
    ("name", "reasoning"),
    [("qwen3_training", "reasoning_content"), ("gptoss_training", "thinking"), ("qwen2_5_training", "think")],
)
def test_the_answer_and_its_reasoning_are_learnt_and_the_prompt_is_not(
    name, reasoning, bundled_template, smollm2, sample_rows
):
    single_turn = [row for row in sample_rows if len(row.prompt) == 1 and row.status == "accepted"]
    assert single_turn
    for row, messages in zip(single_turn, conversations(single_turn, reasoning), strict=True):
        encoded = smollm2.apply_chat_template(
            messages,
            chat_template=bundled_template(name),
            return_dict=True,
            return_assistant_tokens_mask=True,
        )
        masks, ids = encoded["assistant_masks"], encoded["input_ids"]
        learnt = smollm2.decode([token for token, bit in zip(ids, masks, strict=True) if bit])
        assert row.final in learnt
        assert row.rationale in learnt
        assert row.prompt[-1].content not in learnt


@pytest.mark.parametrize(("name", "reasoning"), [("qwen3", "reasoning_content"), ("gptoss", "thinking")])
def test_a_completion_goes_on_where_the_rendered_prompt_ends(name, reasoning, bundled_template, smollm2, sample_rows):
    """TRL cuts where the two renderings part: were the prompt no prefix of the whole, some of it would be learnt."""
    template = bundled_template(name)
    found = lines(sample_rows, reasoning)
    assert any(message["role"] == "assistant" for line in found for message in line["prompt"])
    for line in found:
        asked = smollm2.apply_chat_template(
            line["prompt"], chat_template=template, tokenize=False, add_generation_prompt=True
        )
        whole = smollm2.apply_chat_template(
            [*line["prompt"], *line["completion"]], chat_template=template, tokenize=False
        )
        assert whole.startswith(asked)
        learnt = whole.removeprefix(asked)
        (completion,) = line["completion"]
        assert completion["content"] in learnt
        assert completion[reasoning] in learnt
        assert not any(message["content"] in learnt for message in line["prompt"])
