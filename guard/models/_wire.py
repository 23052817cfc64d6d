"""The chat completions wire format: an `Ask` as a request, a response as a `Reply`. No network here.

Servers take different subsets of the format. `Dialect` is what one server was found not to take.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from guard.models.base import Ask, ContentRefused, Reply, TokenLogprob, Usage

_MOST_TOP_LOGPROBS = 20
CUT = frozenset({"length", "max_tokens", "model_length"})
"""What servers call an answer that ended at its bound."""

_THINKING = re.compile(r"\s*<think>(.*?)(?:</think>\s*|\Z)", re.DOTALL)
_THINKING_FROM_TEMPLATE = re.compile(r"(.*?)(?:\A|\n)</think>\s*(?:\n|\Z)", re.DOTALL)
"""Templates that open the block themselves leave only its end in the answer, on a line of its own."""

_OPTIONAL: Final = ("seed", "response_format", "top_logprobs", "logprobs")
"""Fields an answer is still of use without."""
_NARROWABLE: Final = ("max_completion_tokens", "max_tokens", "temperature", "top_p", "stop")
"""Fields left out or renamed only where the server says that it does not know them, never because of their value."""
_NOT_TAKEN = re.compile(
    r"unsupported|(?:not|n't|only)\b.{0,40}\bsupport|support.{0,40}\bonly|unknown|unrecogni[sz]ed|unexpected|unavailable"
    r"|extra (?:inputs|fields)|extra_forbidden|not (?:permitted|allowed|available)|only the default",
    re.IGNORECASE,
)
_SCHEMA_WORDS = re.compile(r"schema|structured.?outputs?|guided|grammar", re.IGNORECASE)


class Garbled(ValueError):
    """The body is no chat completion."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """What a server was found not to take."""

    without: frozenset[str] = frozenset()
    """Fields it refuses."""
    tokens_field: str = "max_tokens"
    """What it calls the bound on new tokens; newer models know only `max_completion_tokens`."""

    def request(self, ask: Ask, model: str) -> dict[str, Any]:
        """The request's JSON object. A caller who streams adds `stream` to it."""
        sampling = ask.sampling
        request: dict[str, Any] = {
            "model": model,
            "messages": [{"role": message.role, "content": message.content} for message in ask.messages],
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            self.tokens_field: sampling.max_tokens,
        }
        if sampling.seed is not None:
            request["seed"] = sampling.seed
        if sampling.stop:
            request["stop"] = list(sampling.stop)
        if ask.schema is not None:
            form = {"name": "answer", "strict": True, "schema": dict(ask.schema)}
            request["response_format"] = {"type": "json_schema", "json_schema": form}
        if ask.logprobs:
            request["logprobs"] = True
            request["top_logprobs"] = min(ask.logprobs, _MOST_TOP_LOGPROBS)
        if ask.template:
            # never left out on a refusal, as `_OPTIONAL` is: without it the model would be asked something else
            request["chat_template_kwargs"] = dict(ask.template)
        for name in self.without:
            request.pop(name, None)
        return request

    def narrowed(self, sent: Mapping[str, Any], message: str, field: str | None) -> Dialect | None:
        """What to try after the server refused `sent`: the same without the field it names, or under its other name.

        Args:
            sent: the request that was refused.
            message: what the server said.
            field: the field that the server's error names, where it has a place for that.

        Returns:
            None where the error names no field that can be spared.
        """
        name = _named(sent, message, field)
        if name is None:
            return None
        if name in ("max_tokens", "max_completion_tokens"):
            # Each name is tried once: a server that knows neither gets no bound from us.
            if self.tokens_field == "max_tokens":
                return replace(self, tokens_field="max_completion_tokens")
            return replace(self, without=self.without | {name})
        gone = {"logprobs", "top_logprobs"} if name in ("logprobs", "top_logprobs") else {name}
        return replace(self, without=self.without | gone)

    def joined(self, other: Dialect) -> Dialect:
        """What was learnt by two calls that ran side by side."""
        renamed = "max_completion_tokens" in (self.tokens_field, other.tokens_field)
        return Dialect(self.without | other.without, "max_completion_tokens" if renamed else "max_tokens")


def _named(sent: Mapping[str, Any], message: str, field: str | None) -> str | None:
    field = (field or "").partition(".")[0]
    not_taken = _NOT_TAKEN.search(message) is not None
    spared = [name for name in (*_OPTIONAL, *(_NARROWABLE if not_taken else ())) if name in sent]
    if field in spared:
        return field
    places = {name: re.search(rf"(?<!\w){name}(?!\w)", message) for name in spared}
    found = [(place.start(), name) for name, place in places.items() if place is not None]
    if found:
        first: tuple[int, str] = min(found)
        return first[1]
    return "response_format" if "response_format" in sent and _SCHEMA_WORDS.search(message) else None


def read_reply(answer: Any) -> Reply:
    """The `Reply` in a response's JSON.

    Reasoning is kept apart however the server sends it: `reasoning_content`, `reasoning`, thinking parts, or a
    `<think>` block before the answer.

    Raises:
        Garbled: it is no chat completion.
        ContentRefused: the provider's filter left nothing.
    """
    try:
        choice = answer["choices"][0]
        message = choice["message"]
        finish = choice.get("finish_reason")
        text, reasoning = read_content(message.get("content"))
        refusal = message.get("refusal")
    except (AttributeError, IndexError, KeyError, TypeError):
        raise Garbled("a body that is no chat completion") from None
    if finish == "error":
        raise Garbled("an answer that broke off with an error of its own")
    given = message.get("reasoning_content") or message.get("reasoning")
    if isinstance(given, str):
        reasoning = given
    if not text and isinstance(refusal, str):
        text = refusal
    inline, text = _split_thinking(text)
    filtered = finish == "content_filter"
    if filtered and not text:
        raise ContentRefused("the filter of the provider withheld the whole answer")
    return Reply(
        text,
        finish="filter" if filtered else "length" if finish in CUT else "stop",
        reasoning=(reasoning or inline or "").strip() or None,
        usage=usage_of(answer.get("usage")),
        logprobs=logprobs_of(choice.get("logprobs")),
    )


def read_content(content: Any) -> tuple[str, str]:
    """Text and thinking of a message's content, which is a string, null, or a list of parts."""
    if content is None or isinstance(content, str):
        return content or "", ""
    texts, thoughts = [], []
    for part in content:
        if part.get("type") == "thinking":
            thinking = part["thinking"]
            thoughts.append(thinking if isinstance(thinking, str) else read_content(thinking)[0])
        else:
            texts.append(str(part.get("text") or part.get("refusal") or ""))
    return "".join(texts), "".join(thoughts)


def _split_thinking(text: str) -> tuple[str | None, str]:
    if "think>" not in text:
        return None, text
    block = _THINKING.match(text)
    if block is None and "<think>" not in text:
        block = _THINKING_FROM_TEMPLATE.match(text)
    return (block[1], text[block.end() :]) if block else (None, text)


def usage_of(usage: Any) -> Usage:
    """The counts of a response; 0 where it has none."""
    if not isinstance(usage, Mapping):
        return Usage()
    counts = (usage.get("prompt_tokens"), usage.get("completion_tokens"))
    return Usage(*(count if isinstance(count, int) else 0 for count in counts))


def logprobs_of(given: Any) -> tuple[TokenLogprob, ...] | None:
    """The log-probabilities of a choice; None where it has none that can be read."""
    tokens = given.get("content") if isinstance(given, Mapping) else None
    if not isinstance(tokens, Sequence) or isinstance(tokens, str):
        return None
    try:
        return tuple(
            TokenLogprob(
                token["token"],
                float(token["logprob"]),
                {other["token"]: float(other["logprob"]) for other in token.get("top_logprobs") or ()},
            )
            for token in tokens
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
