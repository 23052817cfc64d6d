"""A chat completions request as the asks of a local model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, cast

from guard.exchange import Message, Role
from guard.models.base import Ask, Sampling
from server.upstreams.base import UpstreamFault

MOST_TOKENS = 2048
"""Of an answer, where the request names no bound; the model's context is one too."""
_MOST_CHOICES = 16
_MOST_LOGPROBS = 20
_ROLES: Mapping[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request wants."""

    asks: tuple[Ask, ...]
    """One for each choice."""
    include_usage: bool


def wanted(body: Mapping[str, Any]) -> Wanted:
    """Read a request.

    Raises:
        UpstreamFault: 400: it is none, or wants what a local model has not.
    """
    if body.get("tools") and body.get("tool_choice") != "none":
        _refuse("tools", "the local model behind this server calls no tools; leave them out")
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        _refuse("messages", "a list of at least one message is needed")
    turns = tuple(_turn(message, f"messages[{n}]") for n, message in enumerate(messages))
    sampling = Sampling(
        temperature=_number(body, "temperature", 1.0, 0.0, 2.0),
        top_p=_number(body, "top_p", 1.0, 0.0, 1.0),
        max_tokens=_whole(body, "max_completion_tokens", 0, 2**31) or _whole(body, "max_tokens", MOST_TOKENS, 2**31),
        seed=_seed(body),
        stop=_stop(body.get("stop")),
    )
    schema, logprobs = _schema(body.get("response_format")), 0
    if body.get("logprobs"):
        logprobs = max(1, _whole(body, "top_logprobs", 0, _MOST_LOGPROBS))
    choices = _whole(body, "n", 1, _MOST_CHOICES)
    if choices < 1:
        _refuse("n", "at least 1 is needed")
    template = body.get("chat_template_kwargs")
    told = dict(template) if isinstance(template, dict) else {}
    asks = tuple(Ask(turns, _of_choice(sampling, n), schema, logprobs, told) for n in range(choices))
    options = body.get("stream_options")
    return Wanted(asks, bool(isinstance(options, dict) and options.get("include_usage")))


def _of_choice(sampling: Sampling, number: int) -> Sampling:
    """The sampling of one choice: with one seed for all they would all say the same."""
    if sampling.seed is None or number == 0:
        return sampling
    return Sampling(sampling.temperature, sampling.top_p, sampling.max_tokens, sampling.seed + number, sampling.stop)


def _turn(message: Any, where: str) -> Message:
    if not isinstance(message, dict):
        _refuse(where, "a message is an object")
    role = _ROLES.get(str(message.get("role")))
    if role is None:
        _refuse(f"{where}.role", f"one of {', '.join(_ROLES)} is needed")
    if message.get("tool_calls"):
        _refuse(f"{where}.tool_calls", "the local model behind this server calls no tools")
    reasoning = message.get("reasoning_content")
    content = _text(message.get("content"), f"{where}.content")
    return Message(role, content, reasoning=reasoning if isinstance(reasoning, str) else None)


def _text(content: Any, where: str) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, list):
        _refuse(where, "a text or a list of parts is needed")
    texts = []
    for n, part in enumerate(content):
        key = part.get("type") if isinstance(part, dict) else None
        if key not in ("text", "refusal") or not isinstance(part.get(key), str):
            _refuse(f"{where}[{n}]", "the local model behind this server reads parts of type `text` alone")
        texts.append(cast("str", part[key]))
    return "".join(texts)


def _number(body: Mapping[str, Any], name: str, usual: float, least: float, most: float) -> float:
    value = body.get(name)
    if value is None:
        return usual
    # a bool is an int to Python; no one means it as a temperature
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        _refuse(name, f"a number from {least:g} to {most:g} is needed")
    return float(value)


def _whole(body: Mapping[str, Any], name: str, usual: int, most: int) -> int:
    value = body.get(name)
    if value is None:
        return usual
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        _refuse(name, f"a whole number up to {most} is needed")
    return value


def _seed(body: Mapping[str, Any]) -> int | None:
    seed = body.get("seed")
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
        _refuse("seed", "a whole number is needed")
    return None if seed is None else abs(seed)


def _stop(stop: Any) -> tuple[str, ...]:
    if stop is None:
        return ()
    stops: Sequence[Any] = [stop] if isinstance(stop, str) else stop if isinstance(stop, list) else [None]
    if not all(isinstance(one, str) for one in stops):
        _refuse("stop", "a text or a list of texts is needed")
    return tuple(one for one in stops if one)


def _schema(form: Any) -> dict[str, Any] | None:
    kind = form.get("type") if isinstance(form, dict) else None
    if form is None or kind == "text":
        return None
    if kind == "json_object":
        return {"type": "object"}
    inner = form.get("json_schema") if kind == "json_schema" else None
    schema = inner.get("schema") if isinstance(inner, dict) else None
    if not isinstance(schema, dict):
        _refuse("response_format", "`text`, `json_object`, or `json_schema` with a schema is needed")
    return schema


def _refuse(where: str, what: str) -> NoReturn:
    told = f"{where}: {what}"
    raise UpstreamFault(400, "invalid_request", "a request that the local model cannot take", told=told, where=where)
