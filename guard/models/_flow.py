"""The chat completions wire format, streamed: chunks as pieces. No network here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from guard.models._spelling import Thoughts
from guard.models._wire import CUT, Garbled, logprobs_of, read_content, usage_of
from guard.models.base import ContentRefused, Piece, Reply, TokenLogprob, Usage


class Flow:
    """One answer, from its chunks. Reasoning is kept apart where the server does so, or opens with `<think>`."""

    def __init__(self, *, logprobs: bool) -> None:
        """Args: logprobs: whether they were asked for."""
        self._thoughts = Thoughts(thinking=False)
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._logprobs: list[TokenLogprob] | None = [] if logprobs else None
        self._finish = ""
        self._usage = Usage()

    @property
    def finished(self) -> bool:
        """Whether the server has said how the answer ended."""
        return bool(self._finish)

    def feed(self, chunk: Mapping[str, Any]) -> Piece | None:
        """What a chunk adds.

        Raises:
            Garbled: it is no chunk of a chat completion.
        """
        try:
            self._usage = usage_of(chunk["usage"]) if chunk.get("usage") else self._usage
            if not chunk["choices"]:
                return None
            choice = chunk["choices"][0]
            delta = choice.get("delta") or {}
            text, thinking = read_content(delta.get("content"))
            given = delta.get("reasoning_content") or delta.get("reasoning") or thinking
            finish = choice.get("finish_reason")
            text += delta.get("refusal") or ""
            tokens = logprobs_of(choice.get("logprobs")) or ()
        except (AttributeError, IndexError, KeyError, TypeError):
            raise Garbled("a chunk that is of no chat completion") from None
        if finish == "error":
            raise Garbled("an answer that broke off with an error of its own")
        self._finish = finish or self._finish
        inline, text = self._thoughts.feed(text)
        return self._piece(text, (given if isinstance(given, str) else "") + inline, tokens)

    def close(self) -> list[Piece]:
        """What was kept back, and the reply.

        Raises:
            ContentRefused: the provider's filter left nothing.
        """
        inline, text = self._thoughts.close()
        last = self._piece(text, inline, ())
        filtered = self._finish == "content_filter"
        if filtered and not any(self._text):
            raise ContentRefused("the filter of the provider withheld the whole answer")
        reply = Reply(
            "".join(self._text),
            finish="filter" if filtered else "length" if self._finish in CUT else "stop",
            reasoning="".join(self._reasoning) or None,
            usage=self._usage,
            logprobs=None if self._logprobs is None else tuple(self._logprobs),
        )
        return [*([last] if last else []), Piece(reply=reply)]

    def _piece(self, text: str, reasoning: str, tokens: tuple[TokenLogprob, ...]) -> Piece | None:
        self._text.append(text)
        self._reasoning.append(reasoning)
        if self._logprobs is None:
            tokens = ()
        else:
            self._logprobs.extend(tokens)
        return Piece(text, reasoning, tokens) if text or reasoning or tokens else None
