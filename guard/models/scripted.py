"""A model that answers from a file, as `scripted:answers.yaml`: for trying a pipeline out and for tests of it.

The file is YAML or JSON (a list of replies, or `replies:` with a `default:`), or JSON lines (a reply a line):

    replies:
      - match: pipe bomb              # plain words, found in any letter case
        text: I will not help with that.
      - regex: '(?i)^critique the answer'        # RE2 syntax
        where: any                    # look at every message, whoever wrote it; `last` (default): the last user's
        texts: [first way to say it, second way]   # taken in turn by the ask's seed: text number `seed % 2`
        reasoning: The user may be in danger.    # as a reasoning model gives it, apart from the text
        finish: length                # stop (default), length, filter
        delay_ms: 50                  # how long the answer takes
        logprobs:                     # given where the ask wants log-probabilities
          - {token: "yes", logprob: -0.1, top: {"yes": -0.1, "no": -2.4}}
      - match: far too long
        error: context                # context, unavailable, refused: the call fails so
    default:                          # where nothing matches; in a list or JSON lines, a last reply without a condition
      text: Fine.

The first reply that matches is given, so the answer depends on the ask alone, however many calls run at once. Sampling
but for the seed, `stop` and schemas change nothing; tokens are counted as one for every four characters.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from guard.models._limit import Limit
from guard.models._script import Fault, Source, read_source
from guard.models.base import (
    Ask,
    ContentRefused,
    ContextTooLong,
    ModelConfigError,
    ModelError,
    ModelUnavailable,
    Piece,
    Reply,
    TokenLogprob,
    Usage,
)

NonEmpty = Annotated[str, StringConstraints(min_length=1)]

_WORD = re.compile(r"\s*\S+\s*\Z|\s*\S+|\s+\Z")


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)


class ScriptedLogprob(_Strict):
    """One token of a scripted answer."""

    token: str
    logprob: Annotated[float, Field(le=0)]
    top: dict[str, Annotated[float, Field(le=0)]] = {}
    """The likeliest tokens in its place, with their natural-log probabilities."""


class Outcome(_Strict):
    """What is answered."""

    text: str | None = None
    """The answer; may be empty, as a real model's may."""
    texts: Annotated[list[str], Field(min_length=1)] | None = None
    """Several answers, taken in turn by the seed."""
    reasoning: str | None = None
    """What the model thought before it spoke."""
    finish: Literal["stop", "length", "filter"] = "stop"
    """How the answer ended."""
    delay_ms: Annotated[float, Field(ge=0, le=600_000)] = 0
    """How long the call takes, milliseconds."""
    logprobs: list[ScriptedLogprob] | None = None
    """Log-probabilities of the answer's tokens."""
    error: Literal["unavailable", "context", "refused"] | None = None
    """The call fails instead of answering."""

    @model_validator(mode="after")
    def _one_way_to_answer(self) -> Self:
        given = [name for name in ("text", "texts", "error") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"a reply has exactly one of `text`, `texts` and `error`, not {given or 'none of them'}")
        return self


class Entry(Outcome):
    """What is answered, and to what. Without `match` and `regex` it answers everything."""

    match: NonEmpty | None = None
    """Plain words that the message holds, in any letter case."""
    regex: NonEmpty | None = None
    """A regular expression found in the message, in RE2's syntax."""
    where: Literal["last", "any"] = "last"
    """Which messages are looked at: the last user message, or all."""

    @model_validator(mode="after")
    def _one_condition(self) -> Self:
        if self.match is not None and self.regex is not None:
            raise ValueError("a reply has `match` or `regex`, not both")
        return self

    @property
    def always(self) -> bool:
        """Whether it answers everything."""
        return self.match is None and self.regex is None


class Script(_Strict):
    """All of a file."""

    replies: list[Entry] = []
    """Tried in order."""
    default: Outcome | None = None
    """Given where none of them matches."""


def open_model(spec: str, *, concurrency: int) -> ScriptedModel:
    """Open the script in the file `spec`.

    Raises:
        ModelConfigError: the file cannot be read, or something in it is wrong; says at which line.
    """
    path = Path(spec).expanduser()
    try:
        content = path.read_bytes()
        text = content.decode()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ModelConfigError(
            f"the script `{spec}` cannot be read: {why}", "name a YAML, JSON or JSONL file as `scripted:FILE`"
        ) from None
    source = read_source(spec, text)
    script = _check(source)
    identity = f"scripted:{path.name}#{hashlib.sha256(content).hexdigest()[:12]}"
    return ScriptedModel(source, script, identity, concurrency=concurrency)


def _check(source: Source) -> Script:
    try:
        script = Script.model_validate(source.data)
    except ValidationError as error:
        # A misspelled key is the cause, the key that is then missing its echo.
        first = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
        raise source.fault_of(first["loc"], first["type"], first["msg"], _keys(first["loc"])) from None
    for number, entry in enumerate(script.replies):
        hidden = number + 1 < len(script.replies) or script.default is not None
        if entry.always and hidden:
            raise source.error(
                ("replies", number),
                Fault("a reply without `match` or `regex` hides those after it", "give it a condition, or put it last"),
            )
    return script


def _keys(loc: tuple[int | str, ...]) -> list[str]:
    """The keys that are known where `loc` points."""
    model: type[BaseModel] = Script
    if "logprobs" in loc:
        model = ScriptedLogprob
    elif loc[0] == "replies" and len(loc) > 2:
        model = Entry
    elif loc[0] == "default" and len(loc) > 1:
        model = Outcome
    return list(model.model_fields)


class ScriptedModel:
    """A chat model that answers from a script."""

    local = True

    def __init__(self, source: Source, script: Script, identity: str, *, concurrency: int) -> None:
        self._file = source.path
        self._limit = Limit(concurrency)
        self._identity = identity
        self._default = script.default
        self._entries = [(entry, *_compiled(source, number, entry)) for number, entry in enumerate(script.replies)]

    @property
    def identity(self) -> str:
        """The file's name and a hash of what is in it."""
        return self._identity

    async def chat(self, ask: Ask) -> Reply:
        """Give the first reply that matches.

        Raises:
            ModelError: none matches and there is no default, or the child that the reply's `error` names.
        """
        async with self._limit:
            outcome = self._find(ask)
            await asyncio.sleep(outcome.delay_ms / 1000)
            if outcome.error is not None:
                raise _error(outcome.error, self._file)
            return _reply(outcome, ask)

    async def stream(self, ask: Ask) -> AsyncGenerator[Piece, None]:
        """Give the first reply that matches, word by word; its delay is spread over the words.

        Raises:
            ModelError: as for `chat`.
        """
        async with self._limit:
            outcome = self._find(ask)
            pause = outcome.delay_ms / 1000
            if outcome.error is not None:
                await asyncio.sleep(pause)
                raise _error(outcome.error, self._file)
            reply = _reply(outcome, ask)
            pieces = [Piece(reasoning=word) for word in _WORD.findall(reply.reasoning or "")]
            pieces += [Piece(word) for word in _WORD.findall(reply.text)]
            for piece in pieces:
                await asyncio.sleep(pause / len(pieces))
                yield piece
            yield Piece(reply=reply)

    async def close(self) -> None:
        """Nothing to let go of."""

    def _find(self, ask: Ask) -> Outcome:
        every = [message.content for message in ask.messages]
        last = next((message.content for message in reversed(ask.messages) if message.role == "user"), every[-1])
        for entry, words, pattern in self._entries:
            texts = every if entry.where == "any" else [last]
            if entry.always or any(
                words in text.casefold() if pattern is None else pattern.search(text) is not None for text in texts
            ):
                return entry
        if self._default is None:
            start = " ".join(last.split())[:60]
            raise ModelError(
                f"no reply in `{self._file}` matches a message that starts with `{start}`",
                "add a reply with `match:` or `regex:`, or a `default:`",
            )
        return self._default


def _compiled(source: Source, number: int, entry: Entry) -> tuple[str, re.Pattern[str] | None]:
    if entry.regex is None:
        return (entry.match or "").casefold(), None
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        return "", re2.compile(entry.regex, options)
    except re2.error as error:
        why = error.args[0] if error.args else error
        why = why.decode("utf-8", "replace") if isinstance(why, bytes) else why
        fault = Fault(f"the regex `{entry.regex}` cannot be read: {why}", "patterns are written in RE2's syntax")
        raise source.error(("replies", number, "regex"), fault) from None


def _error(kind: str, file: str) -> ModelError:
    hint = f"`{file}` scripts this error"
    if kind == "context":
        return ContextTooLong("the conversation does not fit the scripted model", hint)
    if kind == "refused":
        return ContentRefused("the scripted model's filter refused the conversation", hint)
    return ModelUnavailable("the scripted model is unavailable", hint)


def _reply(outcome: Outcome, ask: Ask) -> Reply:
    texts = outcome.texts if outcome.texts is not None else [outcome.text or ""]
    text = texts[(ask.sampling.seed or 0) % len(texts)]
    logprobs = None
    if ask.logprobs and outcome.logprobs is not None:
        logprobs = tuple(
            TokenLogprob(given.token, given.logprob, dict(list(given.top.items())[: ask.logprobs]))
            for given in outcome.logprobs
        )
    spent = len(text) + len(outcome.reasoning or "")
    return Reply(
        text,
        outcome.finish,
        outcome.reasoning,
        Usage(sum(_tokens(len(message.content)) for message in ask.messages), _tokens(spent)),
        logprobs,
    )


def _tokens(characters: int) -> int:
    return -(-characters // 4)
