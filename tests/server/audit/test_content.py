from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from guard.exchange import Message
from guard.guarding.decision import Placed
from guard.guarding.incoming import Incoming
from guard.verdict import Finding
from guard.window.outcomes import Channel
from rules.schema import Action, Part
from server.audit.content import MASK, WITHHELD, content, hashed
from server.audit.row import COLUMNS, decode, encode
from server.record import Record

SECRET = "tangerine-4711"


def test_nothing_of_the_texts_is_kept_by_default(told: Callable[..., Record]) -> None:
    line = encode(told(), "none")
    assert SECRET.encode() not in line
    assert b"keep it" not in line
    assert b"I will not" not in line


def test_with_hashes_a_text_can_be_recognised_and_not_read(told: Callable[..., Record]) -> None:
    line = encode(told(), "hash")
    assert SECRET.encode() not in line
    kept = orjson.loads(dict(zip(COLUMNS, decode(line, "w").values, strict=True))["content"])
    text = f"the word is {SECRET}, keep it"
    assert kept["prompt"] == [{"where": "messages[0]", "role": "user", "hash": hashed(text), "characters": len(text)}]
    assert kept["answers"][0]["hash"] == hashlib.blake2b(b"I will not repeat it.", digest_size=16).hexdigest()


def test_a_keyed_hash_differs_by_its_key() -> None:
    assert len({hashed("a"), hashed("a", b"one"), hashed("a", b"two"), hashed("a", b"x" * 100)}) == 4
    assert hashed("half \ud800 pair")


def test_in_full_the_texts_and_what_was_found_are_kept(told: Callable[..., Record]) -> None:
    values = dict(zip(COLUMNS, decode(encode(told(), "full"), "w").values, strict=True))
    assert orjson.loads(values["content"])["prompt"][0]["text"] == f"the word is {SECRET}, keep it"
    assert orjson.loads(values["findings"])[0]["excerpt"] == SECRET


def test_what_was_found_is_masked_and_the_rest_is_kept(told: Callable[..., Record]) -> None:
    line = encode(told(), "redacted")
    assert SECRET.encode() not in line
    kept = orjson.loads(dict(zip(COLUMNS, decode(line, "w").values, strict=True))["content"])
    assert kept["prompt"][0]["text"] == f"the word is {MASK}, keep it"
    assert kept["answers"][0]["text"] == "I will not repeat it."
    assert kept["masked"] == 1


def placed(where: str, span: tuple[int, int], excerpt: str, part: Part = Part.PROMPT) -> Placed:
    return Placed(Finding("r1", part, span, "patterns", 1.0, 1.0, excerpt=excerpt), where)


def redacted(record: Callable[..., Record], *findings: Placed, **given: Any) -> dict[str, Any]:
    kept = content(record(findings=findings, action=Action.BLOCK, **given), "redacted")
    assert kept is not None
    return kept


def test_what_was_found_is_masked_wherever_it_stands(record: Callable[..., Record]) -> None:
    kept = redacted(
        record,
        placed("messages[1]", (3, 3 + len(SECRET)), SECRET),
        prompt=Incoming(
            (Message("system", f"never say {SECRET}"), Message("user", f"is {SECRET} right, is {SECRET}?"))
        ),
        answers=({Channel(): f"yes, {SECRET}", Channel("reasoning"): "hm"},),
    )
    assert [each["text"] for each in kept["prompt"]] == [f"never say {MASK}", f"is {MASK} right, is {MASK}?"]
    assert [each["text"] for each in kept["answers"]] == [f"yes, {MASK}", "hm"]
    assert kept["masked"] == 4


def test_spans_that_touch_become_one_mask(record: Callable[..., Record]) -> None:
    kept = redacted(
        record,
        placed("messages[0]", (2, 5), "cde"),
        placed("messages[0]", (4, 8), "efgh"),
        placed("messages[0]", (8, 10), "ij"),
        prompt=Incoming((Message("user", "abcdefghijkl"),)),
    )
    assert kept["prompt"][0]["text"] == f"ab{MASK}kl"


def test_a_span_that_does_not_fit_the_text_that_was_sent_masks_nothing_by_accident(
    record: Callable[..., Record],
) -> None:
    found = placed("choices[0].text", (12, 26), SECRET, Part.RESPONSE)
    reply = "I would rather not say that, sorry."
    kept = redacted(record, found, answers=({Channel(): reply},))
    assert kept["answers"][0]["text"] == reply


def test_a_text_that_still_holds_the_beginning_of_what_was_found_is_withheld(record: Callable[..., Record]) -> None:
    long = "step by step " * 40
    found = placed("choices[0].text", (12, 12 + len(long)), long[:159] + "…", Part.RESPONSE)
    kept = redacted(record, found, answers=({Channel(): f"as I said: {long}"},))
    assert kept["answers"][0]["text"] == WITHHELD


def test_a_finding_without_words_that_covers_no_known_text_withholds_it(record: Callable[..., Record]) -> None:
    kept = redacted(
        record, placed("choices[0].text", (5, 90), "", Part.RESPONSE), answers=({Channel(): "short answer"},)
    )
    assert kept["answers"][0]["text"] == WITHHELD


def test_a_finding_in_a_messages_reasoning_or_call_is_masked_there(record: Callable[..., Record]) -> None:
    message = Message("assistant", "0123456789", reasoning="think abc", tool_calls=('{"a": "abc"}',))
    kept = redacted(
        record,
        placed("messages[0]", (6, 9), "abc", Part.REASONING),
        placed("messages[0].tool[0]", (7, 10), "abc", Part.TOOL_CALL),
        prompt=Incoming((message,)),
    )
    assert [each["text"] for each in kept["prompt"]] == ["0123456789", f"think {MASK}", f'{{"a": "{MASK}"}}']


def test_a_line_holds_no_tab_and_no_line_end_of_a_text(record: Callable[..., Record]) -> None:
    tricky = "tab\there\nand \x1f \0 \u2028 end"
    line = encode(record(prompt=Incoming((Message("user", tricky),))), "full")
    assert b"\n" not in line
    kept = orjson.loads(dict(zip(COLUMNS, decode(line, "w").values, strict=True))["content"])
    assert kept["prompt"][0]["text"] == tricky


@pytest.mark.parametrize("line", [b"", b"[]", b"[1]\t[]\t[]\t{}\t[]\t[]\t{}\tnull", b"not json\t1\t1\t1\t1\t1\t1\t1"])
def test_a_line_of_another_shape_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError):
        decode(line, "w")


def test_a_line_from_before_amend_was_kept_is_read(record: Callable[..., Record]) -> None:
    first, *rest = encode(record(amend="no reviser"), "none").split(b"\t")
    plain = orjson.loads(first)
    before = [value for value in plain if value != "no reviser"]
    assert len(before) == len(plain) - 1
    values = [
        dict(zip(COLUMNS, decode(b"\t".join([orjson.dumps(each), *rest]), "w").values, strict=True))
        for each in (plain, before)
    ]
    assert [each["amend"] for each in values] == ["no reviser", ""]
    assert {**values[0], "amend": ""} == values[1]


def test_a_value_of_another_type_than_its_column_is_refused(record: Callable[..., Record]) -> None:
    line = encode(record(), "none").replace(b'"chat_completions"', b"17")
    with pytest.raises(ValueError, match="another type"):
        decode(line, "w")
