"""Whole answers: their texts, and what is made of them."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from typing import Any

from guard.guarding.incoming import Answer, Unscannable
from guard.guarding.rulings import Ruling
from guard.window.outcomes import Channel
from server.dialects._leaves import Leaf, Path, Rewriting, apart, joined
from server.dialects.base import Ending, Json
from server.dialects.chat_completions.fields import (
    AROUND,
    KNOWN_AROUND,
    KNOWN_OF_CHOICE,
    NUMBERS,
    OTHER,
    REFUSAL,
    SPOKEN,
    TEXT,
    TOKENS,
    Slot,
    read_around,
    read_fields,
    repeated,
)

_PLAIN = frozenset({"role", "content"})
MOST_CHOICES = 128
"""As many as the API lets a client ask for."""


def answers(response: Json) -> list[Answer]:
    """See `Dialect.answers`."""
    choices = _choices(response)
    around = _around(response)
    if not choices and (around.slots or around.unscannable):
        raise ValueError("choices: there are none, but something is said beside them")
    read = [_answer(choice, place) for place, choice in enumerate(choices)]
    if around.slots or around.unscannable:
        first = read[0]
        said = joined([slot.leaf for slot in around.slots])
        texts = {**first.texts, AROUND: said} if said else first.texts
        read[0] = Answer(texts, (*first.unscannable, *around.unscannable), first.source)
    return read


def ruled(response: Json, rulings: Sequence[Ruling], ending: Ending) -> Json:
    """See `Dialect.ruled`."""
    choices = _choices(response)
    copy = Rewriting(response)
    made = []
    for place, (choice, ruling) in enumerate(zip(choices, rulings, strict=True)):
        if ruling.untouched:
            made.append(choice)
        elif ruling.answer is not None:
            made.append({**_source_of(ruling.answer), "index": _index(choice, place)})
        elif ruling.text is not None:
            made.append(replaced(_index(choice, place), ruling, ending))
        else:
            made.append(_masked(choice, ruling))
    if rulings and not rulings[0].untouched:
        _rule_around(copy, response, rulings[0])
    copy.put(("choices",), made)
    return copy.done()


def reply(body: Json, text: str, ending: Ending) -> Json:
    """See `Dialect.reply`."""
    model = body.get("model")
    choices = [{"index": place, **_said(text, ending, "content_filter")} for place in range(wanted(body))]
    return {
        "id": f"chatcmpl-{secrets.token_hex(12)}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model if type(model) is str else "",
        "choices": choices,
        "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
    }


def replaced(index: int, ruling: Ruling, ending: Ending) -> Json:
    """A choice whose text is a ruling's."""
    text = ruling.text or ""
    said = _said(text, ending, "content_filter") if ruling.filtered else _said(text, "filter", "stop")
    return {"index": index, **said}


def redrawn(body: Json, count: int) -> list[Json]:
    """See `Dialect.redrawn`: a request a draw, since there are servers that know no `n`."""
    left_out = {"stream", "stream_options", "n"}
    plain = {name: value for name, value in body.items() if name not in left_out}
    seed = body.get("seed")
    if type(seed) is not int:
        return [plain] * count
    # The same seed would draw what has been refused once more.
    return [{**plain, "seed": (seed + draw) % 2**31} for draw in range(1, count + 1)]


def wanted(body: Json) -> int:
    """How many choices a request asks for."""
    count = body.get("n")
    return min(count, MOST_CHOICES) if type(count) is int and count > 0 else 1


def _said(text: str, ending: Ending, finish: str) -> Json:
    refused = ending == "refusal"
    if refused:
        text = text.lstrip("\n")  # it stands in a field of its own, and need not be set off from what has left
    return {
        "message": {"role": "assistant", "content": None if refused else text, "refusal": text if refused else None},
        "logprobs": None,
        "finish_reason": "stop" if refused else finish,
    }


def _choices(response: Json) -> list[Any]:
    choices = response.get("choices")
    if type(choices) is not list:
        raise ValueError("choices: there is no such list")
    return choices


def _index(choice: Any, place: int) -> int:
    index = choice.get("index")
    return index if type(index) is int else place


def _source_of(answer: Answer) -> Json:
    """The choice that an answer was read from."""
    if type(answer.source) is not dict:
        raise ValueError("the answer was not read from a choice of this API")
    return answer.source


def _around(response: Json) -> Any:
    if KNOWN_AROUND.issuperset(response):
        return _NOTHING
    return read_around(response, KNOWN_AROUND, (), lambda _: AROUND)


_NOTHING = read_around({}, KNOWN_AROUND, (), lambda _: AROUND)


def _answer(choice: Any, place: int) -> Answer:
    if type(choice) is not dict or type(choice.get("message")) is not dict:
        raise ValueError(f"choices[{place}].message: there is no such object")
    message = choice["message"]
    # A plain text is most of all answers.
    if message.keys() == _PLAIN and type(message["content"]) is str and message["role"] == "assistant":
        said = message["content"]
        texts = {TEXT: said} if said else {}
        unscannable: tuple[Unscannable, ...] = ()
    else:
        slots, unscannable = _read(message, ("choices", place, "message"))
        texts = {channel: text for channel, leaves in slots.items() if (text := joined(leaves))}
    if not KNOWN_OF_CHOICE.issuperset(choice):
        beside = read_around(choice, KNOWN_OF_CHOICE, ("choices", place), lambda _: OTHER)
        said = "\n".join([*([texts[OTHER]] if OTHER in texts else []), *(slot.leaf.text for slot in beside.slots)])
        texts = {**texts, OTHER: said} if said else texts
        unscannable = (*unscannable, *beside.unscannable)
    if choice.get("logprobs") is not None:
        kinds = {"content": texts.get(TEXT, ""), "refusal": texts.get(REFUSAL, "")}
        said = repeated(choice["logprobs"], lambda kind: kinds[kind])
        texts = {**texts, TOKENS: said} if said else texts
    return Answer(texts, unscannable, choice)


def _read(message: Json, at: Path) -> tuple[dict[Channel, list[Leaf]], tuple[Unscannable, ...]]:
    found = read_fields(message, at, lambda _: OTHER)
    return _by_channel(found.slots), tuple(found.unscannable)


def _by_channel(slots: Sequence[Slot]) -> dict[Channel, list[Leaf]]:
    leaves: dict[Channel, list[Leaf]] = {}
    for channel, leaf in slots:
        leaves.setdefault(channel, []).append(leaf)
    return leaves


def _masked(choice: Any, ruling: Ruling) -> Json:
    """A choice with texts replaced. Log-probabilities would tell the old ones, and so would the sound of a voice."""
    copy = Rewriting(choice)
    slots, _ = _read(choice["message"], ("message",))
    beside = read_around(choice, KNOWN_OF_CHOICE, (), lambda _: OTHER)
    slots.setdefault(OTHER, []).extend(slot.leaf for slot in beside.slots)
    for channel, text in ruling.edits.items():
        leaves = slots.get(channel)
        for leaf, new in zip(leaves, apart(leaves, text), strict=True) if leaves else ():
            if new != leaf.text:
                copy.write(leaf, new)
                copy.unsign(leaf.path)
    for repeats in ("logprobs", NUMBERS):
        if repeats in choice:
            copy.put((repeats,), None)
    if SPOKEN in ruling.edits:
        copy.put(("message", "audio"), None)
    return copy.done()


def _rule_around(copy: Rewriting, response: Json, ruling: Ruling) -> None:
    """What stands beside the choices goes as the first choice goes."""
    leaves = [slot.leaf for slot in _around(response).slots]
    if not leaves:
        return
    if ruling.text is not None or ruling.answer is not None:
        for name in {leaf.path[0] for leaf in leaves}:
            copy.drop((name,))
    elif AROUND in ruling.edits:
        for leaf, new in zip(leaves, apart(leaves, ruling.edits[AROUND]), strict=True):
            copy.write(leaf, new)
