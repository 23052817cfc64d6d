"""One ask on its way through llama.cpp: the request that it is, and the answer out of the chunks that come."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from guard.models.base import Ask, Piece, Reply, TokenLogprob, Usage

_RANDOM_SEED = 2**32 - 1  # what llama.cpp takes as "no seed": a given seed must never fall on it


class Call:
    """What came so far, and whether anyone still waits for it."""

    def __init__(self, ask: Ask, told: Callable[[Piece], None] | None = None) -> None:
        self.ask = ask
        self.told = told
        self.cancelled = threading.Event()
        self.text: list[str] = []
        self.reasoning: list[str] = []
        self.logprobs: list[TokenLogprob] = []
        self.finish = ""
        self.usage = Usage()
        self.error: Mapping[str, Any] | None = None

    def take(self, chunk: Mapping[str, Any]) -> bool:
        """Take one chunk of the stream; True ends it."""
        if "error" in chunk:
            self.error = chunk["error"]
            return True
        for choice in chunk.get("choices", ()):
            delta = choice.get("delta", {})
            text, reasoning = delta.get("content") or "", delta.get("reasoning_content") or ""
            logprobs = tuple(_logprob(token) for token in (choice.get("logprobs") or {}).get("content") or ())
            self.text.append(text)
            self.reasoning.append(reasoning)
            self.logprobs.extend(logprobs)
            self.finish = choice.get("finish_reason") or self.finish
            if self.told is not None and (text or reasoning or logprobs):
                self.told(Piece(text, reasoning, logprobs))
        if usage := chunk.get("usage"):
            self.usage = Usage(usage["prompt_tokens"], usage["completion_tokens"])
        return self.cancelled.is_set()

    def request(self) -> dict[str, Any]:
        """The request as llama.cpp reads it."""
        sampling = self.ask.sampling
        request: dict[str, Any] = {
            "messages": [
                {"role": message.role, "content": message.content}
                | ({"reasoning_content": message.reasoning} if message.reasoning else {})
                for message in self.ask.messages
            ],
            "max_tokens": sampling.max_tokens,
            # llama.cpp's own defaults (top-k 40, min-p 0.05) would sample otherwise than the ask and the row say
            "samplers": ["temperature", "top_p"],
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "stop": list(sampling.stop),
            "cache_prompt": True,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if sampling.seed is not None:
            request["seed"] = sampling.seed % _RANDOM_SEED
        if self.ask.schema is not None:
            request["json_schema"] = dict(self.ask.schema)
        if self.ask.template:
            request["chat_template_kwargs"] = dict(self.ask.template)
        if self.ask.logprobs:
            request |= {"logprobs": True, "top_logprobs": self.ask.logprobs}
        return request

    def reply(self) -> Reply:
        """The whole answer."""
        return Reply(
            text="".join(self.text),
            finish="length" if self.finish == "length" else "stop",
            reasoning="".join(self.reasoning) or None,
            usage=self.usage,
            logprobs=tuple(self.logprobs) if self.ask.logprobs else None,
        )


def _logprob(token: Mapping[str, Any]) -> TokenLogprob:
    top = {str(other["token"]): float(other["logprob"]) for other in token.get("top_logprobs") or ()}
    return TokenLogprob(str(token["token"]), float(token["logprob"]), top)
