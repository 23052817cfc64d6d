"""The upstream as the model that mends answers: the guard's critique and revision are asked of whom it guards."""

from __future__ import annotations

from typing import Any

from guard.models.base import Ask, ModelError, ModelUnavailable, Reply, Usage
from server.upstreams.base import Upstream, UpstreamFault

_NO_CHOICE = "the upstream's answer holds no text"


class UpstreamModel:
    """A `ChatModel` that asks an upstream. What it is asked and answers is not guarded: the guard judges what it makes.

    The key of the server is used, never a client's: nobody's credentials pay for another's revision.
    """

    local = False

    def __init__(self, upstream: Upstream, name: str = "") -> None:
        """Args: name: the model that is asked for; the upstream's first where it is empty."""
        self._upstream = upstream
        self._name = name

    @property
    def identity(self) -> str:
        """The upstream's, and the model's name."""
        return f"{self._upstream.identity}#{self._name or 'first'}"

    async def chat(self, ask: Ask) -> Reply:
        """Answer one conversation.

        Raises:
            ModelError: the upstream could not.
        """
        sampling = ask.sampling
        body: dict[str, Any] = {
            "model": self._name or await self._first(),
            "messages": [{"role": message.role, "content": message.content} for message in ask.messages],
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_tokens,
        }
        if sampling.seed is not None:
            body["seed"] = sampling.seed
        if sampling.stop:
            body["stop"] = list(sampling.stop)
        if ask.schema is not None:
            schema = {"name": "answer", "schema": dict(ask.schema)}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        try:
            answered = await self._upstream.ask("chat_completions", body, {})
        except UpstreamFault as error:
            raise ModelUnavailable(error.what, error.hint, endpoint_down=error.status in (502, 503)) from error
        return _reply(answered.data)

    async def close(self) -> None:
        """The upstream is not this model's to close."""

    async def _first(self) -> str:
        import orjson

        try:
            _, body, _ = await self._upstream.passed("GET", "/v1/models", None, {})
            self._name = str(orjson.loads(body)["data"][0]["id"])
        except (UpstreamFault, ValueError, LookupError, TypeError) as error:
            what = "the upstream does not say which models it has"
            raise ModelError(what, "name one: `reviser: upstream:NAME`") from error
        return self._name


def _reply(data: dict[str, Any]) -> Reply:
    try:
        choice = data["choices"][0]
        text = choice["message"]["content"]
        finish = choice.get("finish_reason")
    except (LookupError, TypeError, AttributeError):
        raise ModelError(_NO_CHOICE) from None
    if not isinstance(text, str):
        raise ModelError(_NO_CHOICE)
    usage = data.get("usage")
    counted = Usage()
    if isinstance(usage, dict):
        read, written = usage.get("prompt_tokens"), usage.get("completion_tokens")
        counted = Usage(read if isinstance(read, int) else 0, written if isinstance(written, int) else 0)
    how = {"length": "length", "content_filter": "filter"}.get(str(finish), "stop")
    return Reply(text, how, usage=counted)  # type: ignore[arg-type]
