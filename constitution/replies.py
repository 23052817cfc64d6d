"""How a model call is known again, and how its answer is written down."""

from __future__ import annotations

import hashlib
import json

from guard.models.base import Ask, Reply, TokenLogprob, Usage


def call_key(identity: str, ask: Ask) -> bytes:
    """Hash of all that determines a call's answer: model and endpoint, messages, sampling, seed, schema.

    Returns:
        16 bytes.
    """
    sampling = ask.sampling
    drawn = (sampling.temperature, sampling.top_p, sampling.max_tokens, sampling.seed, sampling.stop)
    asked = [identity, drawn, ask.schema, ask.logprobs]
    if ask.template:  # left out where it is empty: calls kept before there was one are found again
        asked.append(dict(ask.template))
    told = hashlib.blake2b(json.dumps(asked, sort_keys=True).encode())
    for message in ask.messages:
        # Few shots make messages long: they go in as they are, each with its length, where JSON would escape them.
        for text in (message.role, message.content, message.reasoning):
            said = b"" if text is None else text.encode("utf-8", "surrogatepass")
            told.update(b"%d:" % (-1 if text is None else len(said)))
            told.update(said)
    return told.digest()[:16]


def reply_text(reply: Reply) -> str:
    """An answer as it is kept: JSON."""
    return json.dumps(
        {
            "text": reply.text,
            "finish": reply.finish,
            "reasoning": reply.reasoning,
            "usage": [reply.usage.prompt, reply.usage.completion],
            "logprobs": [[item.token, item.logprob, dict(item.top)] for item in reply.logprobs]
            if reply.logprobs is not None
            else None,
        },
        ensure_ascii=True,
        separators=(",", ":"),
    )


def reply_from(text: str) -> Reply:
    """The answer that `reply_text` wrote."""
    kept = json.loads(text)
    logprobs = kept["logprobs"]
    return Reply(
        kept["text"],
        kept["finish"],
        kept["reasoning"],
        Usage(*kept["usage"]),
        None if logprobs is None else tuple(TokenLogprob(token, p, top) for token, p, top in logprobs),
    )
