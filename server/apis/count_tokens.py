"""`POST /v1/messages/count_tokens`: a conversation goes to the upstream, and a number comes back.

The conversation is judged as any other, so that what may not reach the upstream does not reach it this way.
"""

from __future__ import annotations

import orjson
from starlette.routing import BaseRoute, Route

from rules.schema import Action
from server.apis._openapi import ANTHROPIC_ERROR, ANTHROPIC_TURNS, operation
from server.dialects.base import Fault
from server.dialects.messages import DIALECT
from server.parts import Parts
from server.proxy.asking import edited
from server.proxy.call import Call
from server.proxy.endpoint import Endpoint
from server.upstreams.base import UpstreamFault

_PATH = "/v1/messages/count_tokens"


class _Counting(Endpoint):
    async def _answer(self, call: Call) -> None:
        admission = await call.watch.admit()
        if admission.action is Action.BLOCK:
            fault = Fault(400, "content_filter", admission.reply)
            await call.finish(400, DIALECT.fault(fault), None, [], fault=fault.kind)
            return
        body = orjson.dumps(edited(call, admission))
        upstream = self._parts.upstream
        try:
            status, counted, _ = await upstream.passed("POST", _PATH, body, call.onward)
        except UpstreamFault as error:
            if error.status not in (404, 405, 501):
                raise
            raise UpstreamFault(404, "not_found", "the upstream behind this server cannot count tokens") from None
        try:
            told = {"input_tokens": int(orjson.loads(counted)["input_tokens"])}
        except (ValueError, KeyError, TypeError):
            raise UpstreamFault(502, "upstream", "the upstream's count of tokens cannot be read") from None
        await call.finish(status, told, None, [])


def routes(parts: Parts) -> list[BaseRoute]:
    """The API's one route."""
    return [Route(_PATH, _Counting(parts, DIALECT), methods=["POST"])]


OPENAPI = operation(
    _PATH,
    "count_tokens",
    "Counts a conversation's tokens, at an upstream that can",
    {
        "type": "object",
        "required": ["model", "messages"],
        "properties": {
            "model": {"type": "string"},
            "messages": ANTHROPIC_TURNS,
        },
    },
    {"type": "object", "required": ["input_tokens"], "properties": {"input_tokens": {"type": "integer"}}},
    ANTHROPIC_ERROR,
    streams=False,
)
