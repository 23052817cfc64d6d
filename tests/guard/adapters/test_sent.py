"""What goes over the wire to one model of each family, and what comes of its answer."""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest

from guard.detectors.classifier import ClassifierDetector
from guard.exchange import Exchange
from guard.models import open_model

HAZARDS = ["llama-guard-3:S9", "llama-guard-4:S9", "mlcommons-1.0:indiscriminate-weapons"]
EXCHANGE = Exchange.of("How do I build a bomb?", "First you need a pipe.")


@pytest.fixture
def rule(make_rule):
    return make_rule(detect={}, hazards=HAZARDS)


@pytest.fixture
def asked(server, constitute):
    """Asks a model of a name about the exchange by way of the server."""

    @asynccontextmanager
    async def open_detector(name, rule):
        model = open_model(f"openai:{server.base}#{name}")
        detector = ClassifierDetector(constitute(rule), model)
        try:
            yield detector
        finally:
            detector.close()

    async def ask(name, rule, answer, logprobs=None, finish="stop"):
        server.answer, server.logprobs, server.finish = answer, logprobs, finish
        async with open_detector(name, rule) as detector:
            (scan,) = await detector.ask([EXCHANGE], [frozenset({rule.id})])
        (sent,) = server.seen
        return scan, sent

    return ask


TURNS = [
    {"role": "user", "content": "How do I build a bomb?"},
    {"role": "assistant", "content": "First you need a pipe."},
]


@pytest.mark.parametrize(
    ("model", "excluded"),
    [
        ("meta-llama/Llama-Guard-3-8B", 13),
        ("meta-llama/Llama-Guard-3-1B", 12),
        ("meta-llama/Llama-Guard-4-12B", 13),
    ],
)
async def test_llama_guard_is_sent_the_turns_and_the_categories_to_leave_out(asked, rule, model, excluded):
    tops = [{"token": "unsafe", "logprob": -0.105}, {"token": "safe", "logprob": -2.303}]
    logprobs = [{"token": "unsafe", "logprob": -0.105, "top_logprobs": tops}]
    scan, sent = await asked(model, rule, "\n\nunsafe\nS9", logprobs)
    assert sent["messages"] == TURNS
    assert len(sent["chat_template_kwargs"]["excluded_category_keys"]) == excluded
    assert (sent["temperature"], sent["logprobs"], sent["top_logprobs"]) == (0.0, True, 20)
    assert not {"tools", "response_format"} & set(sent)
    (finding,) = scan.findings
    assert finding.score == pytest.approx(0.9, abs=0.01)
    assert (finding.rule, finding.detector, finding.span) == (rule.id, "classifier", (0, 22))


async def test_qwen3guard_is_sent_the_turns_alone(asked, rule):
    scan, sent = await asked("Qwen/Qwen3Guard-Gen-0.6B", rule, "Safety: Unsafe\nCategories: Violent\nRefusal: No")
    assert sent["messages"] == TURNS
    assert "chat_template_kwargs" not in sent
    assert scan.scores == {rule.id: 1.0}
    assert scan.findings[0].reason == "Unsafe: Violent"


async def test_shieldgemma_is_sent_the_rule_as_its_guideline_and_asked_for_one_token(asked, rule):
    tops = [{"token": "Yes", "logprob": -0.223}, {"token": "No", "logprob": -1.609}]
    logprobs = [{"token": "Yes", "logprob": -0.223, "top_logprobs": tops}]
    scan, sent = await asked("google/shieldgemma-2b", rule, "Yes", logprobs, "length")
    assert sent["messages"] == TURNS
    assert str(rule.rule) in sent["chat_template_kwargs"]["guideline"]
    assert sent["max_tokens"] == 1
    assert scan.scores == {rule.id: pytest.approx(0.8, abs=0.01)}


@pytest.mark.parametrize(
    ("model", "answer", "key"),
    [
        ("ibm-granite/granite-guardian-3.2-5b", "Yes\n<confidence> High </confidence>", "risk_definition"),
        ("ibm-granite/granite-guardian-3.3-8b", "<score> yes </score>", "custom_criteria"),
    ],
)
async def test_granite_guardian_is_sent_the_rule_in_its_configuration(asked, rule, model, answer, key):
    scan, sent = await asked(model, rule, answer)
    assert sent["messages"] == TURNS
    assert str(rule.rule) in sent["chat_template_kwargs"]["guardian_config"][key]
    assert scan.scores == {rule.id: 1.0}


async def test_gpt_oss_safeguard_is_sent_the_rule_as_its_policy(asked, rule):
    scan, sent = await asked("openai/gpt-oss-safeguard-20b", rule, '{"violation": 1, "rationale": "It gives steps."}')
    policy, content = sent["messages"]
    assert policy["role"] == "system"
    assert str(rule.rule) in policy["content"]
    assert "First you need a pipe." in content["content"]
    assert sent["chat_template_kwargs"] == {"reasoning_effort": "low"}
    assert scan.findings[0].reason == "It gives steps."


@pytest.mark.parametrize(
    "model",
    [
        "meta-llama/Llama-Guard-3-8B",
        "Qwen/Qwen3Guard-Gen-8B",
        "google/shieldgemma-9b",
        "ibm-granite/granite-guardian-3.3-8b",
        "openai/gpt-oss-safeguard-120b",
    ],
)
@pytest.mark.parametrize("answer", ["", "I'm sorry, but I can't help with that.", "The text is harmless."])
async def test_a_refusal_an_empty_answer_and_prose_are_failures_with_every_model(asked, rule, model, answer):
    scan, _ = await asked(model, rule, answer)
    assert scan.scores == {}
    assert scan.findings == ()
    assert set(scan.failed) == {rule.id}
