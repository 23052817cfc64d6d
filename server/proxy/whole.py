"""An answer that comes whole: asked for, judged, and sent as it came or as it was ruled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from guard.guarding.incoming import Answer
from guard.guarding.rulings import Ruling
from guard.window.outcomes import Channel
from server.dialects.base import Fault
from server.proxy.asking import admitted, edited, redraw, whole
from server.proxy.call import Call
from server.upstreams.base import Answered, UpstreamFault


async def answer_whole(call: Call) -> None:
    """Guard a request whose answer is no stream.

    Raises:
        UpstreamFault: the model gave no usable answer.
        AuditFailed: the decision cannot be kept.
    """
    admission, answered = await admitted(call, lambda body: whole(call, body))
    if answered is None:
        await refuse(call, admission.reply)
        return
    body = edited(call, admission)
    answers, rulings = await judged(call, body, answered)
    if reply := wholly_blocked(call, rulings):
        await refuse(call, reply)
        return
    data, sent = carried_out(call, answered.data, answers, rulings)
    await call.finish(answered.status, data, _written(data), sent, handed_on=answered.headers)


async def judged(call: Call, body: dict[str, Any], answered: Answered) -> tuple[list[Answer], list[Ruling]]:
    """The choices of an answer, and what becomes of each.

    Raises:
        UpstreamFault: it is no answer of this API, so that nobody could say what stands in it.
    """
    try:
        answers = call.dialect.answers(answered.data)
    except ValueError as error:
        what = f"the upstream's answer cannot be read: {error}"
        raise UpstreamFault(502, "upstream", what, "check that `upstream.url` speaks this API") from None
    if call.given is not None:
        call.given.take(answers)
    return answers, await call.watch.rule(answers, redraw(call, body))


def carried_out(
    call: Call, data: dict[str, Any], answers: Sequence[Answer], rulings: Sequence[Ruling]
) -> tuple[dict[str, Any], list[Mapping[Channel, str]]]:
    """The answer as it may leave, and the texts in it. Where nothing is changed it is the very object that came."""
    sent = [_texts(answer, ruling) for answer, ruling in zip(answers, rulings, strict=True)] if call.keeps_texts else []
    if all(ruling.untouched for ruling in rulings):
        return data, sent
    return call.dialect.ruled(data, rulings, call.parts.settings.tell.ending), sent


def wholly_blocked(call: Call, rulings: Sequence[Ruling]) -> str | None:
    """The reply, where every choice is blocked and the settings want that told by a status of its own."""
    if call.parts.settings.tell.block_status == 200 or not rulings:
        return None
    return rulings[0].text if all(ruling.filtered for ruling in rulings) else None


async def refuse(call: Call, reply: str) -> None:
    """Answer with the guard's reply: as an answer, or as the API's error where the settings say so."""
    tell = call.parts.settings.tell
    if tell.block_status != 200:
        fault = Fault(tell.block_status, "content_filter", reply)
        await call.finish(fault.status, call.dialect.fault(fault), None, [{Channel("text"): reply}])
        return
    data = call.dialect.reply(call.body, reply, tell.ending)
    await call.finish(200, data, orjson.dumps(data), [{Channel("text"): reply}])


def _written(data: dict[str, Any]) -> bytes:
    """An answer's bytes, written anew: a member that is named twice would say one thing to the gate and another to a
    client that reads the first of the two.

    Raises:
        UpstreamFault: it is nested too deep.
    """
    try:
        return orjson.dumps(data)
    except orjson.JSONEncodeError:
        raise UpstreamFault(502, "upstream", "the upstream's answer is nested too deep") from None


def _texts(answer: Answer, ruling: Ruling) -> Mapping[Channel, str]:
    if ruling.text is not None:
        return {Channel("text"): ruling.text}
    if ruling.answer is not None:
        return ruling.answer.texts
    return {**answer.texts, **ruling.edits}
