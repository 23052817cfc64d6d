"""Whatever JSON comes: it is told that it is none of this API, or every text in it is seen and can be taken out."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from guard.guarding.rulings import Ruling
from rules.schema import Action
from server.dialects._events import event
from server.dialects.chat_completions import DIALECT

MASK = "[x]"
MEMBERS = """
role content type text tool_calls function arguments name index delta choices message logprobs token bytes refusal
reasoning reasoning_details audio transcript data finish_reason usage custom input id annotations function_call
citations
"""
NAMES = st.sampled_from([*MEMBERS.split(), "two words"])
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 300)
    | st.text(max_size=4)
    | st.sampled_from(["text", "assistant", "stop", "data:a/b;base64,x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=14,
)
SAID = st.dictionaries(NAMES, JSON, max_size=6)
CHOICE = st.fixed_dictionaries(
    {"index": st.integers(0, 2), "message": SAID, "delta": SAID},
    optional={"logprobs": JSON, "finish_reason": JSON, "aside": JSON},
)
ANSWER = st.fixed_dictionaries(
    {"choices": st.lists(CHOICE, max_size=3)}, optional={"citations": JSON, "aside": JSON, "usage": JSON}
)
OFTEN = settings(max_examples=150, deadline=None)


@OFTEN
@given(ANSWER)
def test_every_text_of_a_whole_answer_can_be_masked(response: dict[str, Any]) -> None:
    before = copy.deepcopy(response)
    try:
        answers = DIALECT.answers(response)
    except ValueError:
        return
    rulings = [Ruling(Action.REDACT, edits=dict.fromkeys(answer.texts, MASK)) for answer in answers]
    masked = DIALECT.ruled(response, rulings, "filter")
    for answer in DIALECT.answers(masked) if answers else ():
        assert {text.strip("\n") for text in answer.texts.values()} <= {MASK}
    replaced = DIALECT.ruled(response, [Ruling(Action.BLOCK, text="no") for _ in answers], "refusal")
    for answer in DIALECT.answers(replaced) if answers else ():
        assert list(answer.texts.values()) == ["no"]
    assert response == before


@OFTEN
@given(ANSWER, st.booleans(), st.booleans())
def test_every_text_of_a_chunk_can_be_masked_or_taken_out(data: dict[str, Any], first: bool, last: bool) -> None:
    before = copy.deepcopy(data)
    shape = DIALECT.stream({}, "filter")
    came = event(data)
    try:
        texts = shape.texts(came)
    except ValueError:
        return
    masks = dict.fromkeys(((choice, channel) for choice, channel, _ in texts), MASK)
    masked = shape.cut(came, masks, first=first, last=last)
    assert masked is None or {text for _, _, text in shape.texts(masked)} <= {MASK}
    emptied = shape.cut(came, {}, first=first, last=last)
    assert emptied is None or shape.texts(emptied) == []
    others = shape.without(came, {0})
    assert others is None or 0 not in {choice for choice, _, _ in shape.texts(others)}
    assert data == before
