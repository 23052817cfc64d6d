"""New examples for a rule, drafted by a chat model for a person to accept one by one.

The model is told the rule in its own words, what it allows and what it has already, and never its tests. What it writes
is only a draft: near copies of what any rule has are dropped, and the gate's word stands beside each, so that a person
sees which of them would teach it something.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml
from pydantic import ValidationError

from guard.exchange import Message
from guard.language import language_among
from guard.models.base import Ask, ChatModel, Sampling
from guard.templating import environment
from guard.trials.advice import texts_of, unlike_neighbours
from guard.trials.cases import KINDS, ORIGINS, Case, Kind
from guard.trials.look import Seen, look
from rules.errors import WardlawError
from rules.schema import Closed, Constitution, Example, NonEmpty, Part, Rule

if TYPE_CHECKING:
    from guard.gate import Gate

PROMPTS = Path(__file__).parent / "prompts"
"""What the model is asked, a file a language."""

MAX_ASKS = 4
"""Asks for one side: a model that repeats itself is not asked for ever."""

_SHOWN = 6
_LINE = 300
_LONGEST = 1200
_LETTERS = 0.7
"""The least share of letters and spaces: small models fall into numbers and signs."""
_TOKENS = 120
"""Tokens a text: an outline needs no more."""
_MARK = re.compile(r"^\s*(?:[-*•]|\(?\d{1,2}[.)、:])\s*")
_QUOTES = "\"'“”‘’「」"


class DraftError(WardlawError):
    """Nothing can be drafted."""


class DraftPrompts(Closed):
    """What the model is asked, in one language."""

    language: NonEmpty
    system: NonEmpty
    """The system message."""
    ask: NonEmpty
    """The user message, a Jinja template."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be drafted."""

    kind: Kind
    count: int
    part: Literal["prompt", "response"] = "prompt"
    language: str = "en"


@dataclass(frozen=True, slots=True)
class Drafted:
    """What came of it."""

    drafts: tuple[Case, ...]
    dropped: tuple[tuple[str, str], ...] = ()
    """Texts that are of no use, and why."""


async def draft(
    model: ChatModel,
    constitution: Constitution,
    rule: Rule,
    wanted: Wanted,
    *,
    temperature: float = 0.7,
    seed: int = 0,
    prompts: Path = PROMPTS,
) -> Drafted:
    """Ask a model for new examples of one side, until there are enough or it has been asked often enough.

    Args:
        model: what is asked.
        constitution: all rules: what is nearly one of their texts is dropped.
        rule: the rule of them that is to get examples.
        wanted: which, and how many.
        temperature: of the model.
        seed: of the first ask; each further one takes the next.
        prompts: folder of the templates.

    Raises:
        ModelError: the model cannot answer.
        DraftError: the templates are wrong.
    """
    messages = worded(rule, wanted, prompts)
    known = [example.text for each in constitution for example in _all(each)]
    kept: list[Case] = []
    dropped: list[tuple[str, str]] = []
    for turn in range(MAX_ASKS):
        sampling = Sampling(temperature, max_tokens=_TOKENS * (wanted.count + 1), seed=seed + turn)
        reply = await model.chat(Ask(messages, sampling, schema_of(wanted)))
        for example, why in _sifted(read(reply.text, wanted), known):
            if why:
                dropped.append((example.text, why))
            elif len(kept) < wanted.count:
                index = len(getattr(rule.examples, wanted.kind)) + len(kept)
                kept.append(Case(rule.id, wanted.kind, "examples", index, example))
                known.append(example.text)
        if len(kept) >= wanted.count:
            break
    return Drafted(tuple(kept), tuple(dropped))


def tried(gate: Gate, drafts: Sequence[Case]) -> list[Seen]:
    """What the gate says of drafts now; those that it gets wrong, which would teach it most, come first."""
    return sorted(look(gate, drafts), key=lambda seen: seen.passed)


def worded(rule: Rule, wanted: Wanted, prompts: Path = PROMPTS) -> tuple[Message, ...]:
    """The messages to the model.

    Raises:
        DraftError: the template cannot be read or filled in.
    """
    said = _read_prompts(prompts, wanted.language)
    told = said.language
    shown = {kind: [_one_line(example) for example in _shown(rule, kind, wanted)] for kind in KINDS}
    values: dict[str, Any] = {
        "title": rule.title.say(told),
        "rule": rule.rule.say(told),
        "why": rule.why.say(told),
        "allowed": [text.say(told) for text in rule.allowed],
        "wanted": unlike_neighbours(rule)[: wanted.count] if wanted.kind == "keeps" else [],
        "breaks": shown["breaks"],
        "keeps": shown["keeps"],
        "count": wanted.count,
        "kind": wanted.kind,
        "part": wanted.part,
        "language": wanted.language,
    }
    try:
        asked = environment().from_string(said.ask).render(**values).strip()
    except Exception as error:  # whatever an expression in a person's template can raise
        raise DraftError(f"the template `ask` ({told}): {error}", "its head lists what can stand in it") from error
    return Message("system", said.system.strip()), Message("user", asked)


def schema_of(wanted: Wanted) -> Mapping[str, Any]:
    """The form of the answer, for models that can be held to one."""
    text = {"type": "string", "minLength": 1, "maxLength": _LONGEST}
    pair = {
        "type": "object",
        "properties": {"prompt": text, "response": text},
        "required": ["prompt", "response"],
        "additionalProperties": False,
    }
    item = text if wanted.part == "prompt" else pair
    texts = {"type": "array", "items": item, "minItems": wanted.count, "maxItems": wanted.count}
    return {"type": "object", "properties": {"texts": texts}, "required": ["texts"], "additionalProperties": False}


def read(text: str, wanted: Wanted) -> list[Example]:
    """The drafts in an answer: its JSON, or its lines where it is none, as small models write. Nothing is trusted."""
    found = _json_of(text)
    if found is None:
        found = [_MARK.sub("", line) for line in text.splitlines()] if wanted.part == "prompt" else []
    examples = []
    for item in found:
        data = _cleaned(item) if wanted.part == "prompt" else item
        if wanted.part == "response" and not (isinstance(data, dict) and set(data) == {"prompt", "response"}):
            continue
        try:
            examples.append(Example.model_validate(data))
        except ValidationError:
            continue
    return [example for example in examples if _is_text(example.text)]


def _json_of(text: str) -> list[Any] | None:
    """The list of texts of the first JSON object in an answer; None where there is none."""
    start = text.find("{")
    if start < 0:
        return None
    try:
        found, _ = json.JSONDecoder(strict=False).raw_decode(text[start:])
    except (ValueError, RecursionError):
        # cut off by the model's limit: what was whole before that is of use all the same
        return _strings(text[start:]) or None
    texts = found.get("texts") if isinstance(found, dict) else None
    return texts if isinstance(texts, list) else None


def _strings(text: str) -> list[Any]:
    """The strings of broken JSON that are no keys."""
    found = re.finditer(r'("(?:[^"\\]|\\["\\/bfnrt])*")(\s*:)?', text, re.DOTALL)
    return [json.loads(each[1], strict=False) for each in found if not each[2]]


def _cleaned(item: Any) -> Any:
    return item.strip().strip(_QUOTES).strip() if isinstance(item, str) else None


def _is_text(text: str) -> bool:
    """Whether it can be a message at all: not a heading, a scrap, an essay or a heap of signs."""
    if sum(char.isalpha() or char.isspace() for char in text) < _LETTERS * len(text):
        return False
    han = sum("\u3400" <= char <= "\u9fff" for char in text)
    return (len(text) >= 12 or han >= 5) and len(text) <= _LONGEST and not text.endswith((":", "："))


def _sifted(examples: Sequence[Example], known: Sequence[str]) -> Iterator[tuple[Example, str]]:
    """Each draft, and why it is of no use; a later one that copies an earlier one is of none."""
    from guard.training.near import Grams, near_any

    if not examples:
        return
    texts = [example.text for example in examples]
    grams = Grams([*known, *texts])
    copies = near_any(texts, known, grams)
    for place, (example, is_copy) in enumerate(zip(examples, copies, strict=True)):
        if is_copy:
            yield example, "nearly a copy of an example or a test"
        elif any(near_any([texts[place]], texts[:place], grams)):
            yield example, "nearly a copy of another draft"
        else:
            yield example, ""


def _read_prompts(folder: Path, language: str) -> DraftPrompts:
    path = folder / f"{language.partition('-')[0]}.yaml"
    path = path if path.is_file() else folder / "en.yaml"
    try:
        return DraftPrompts.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError, ValidationError) as error:
        what = " ".join(str(error).split())[:200]
        raise DraftError(f"the templates `{path}` cannot be used: {what}", "mend the file") from error


def _shown(rule: Rule, kind: Kind, wanted: Wanted) -> list[Example]:
    """A few of the rule's own examples, those of the wanted part and language first; never a test."""
    part = Part.PROMPT if wanted.part == "prompt" else Part.RESPONSE
    spoken = {*rule.rule.root, wanted.language}
    examples = texts_of(rule, kind, ("examples",))
    return sorted(
        examples, key=lambda each: (each.part is not part, language_among(each.text, spoken) != wanted.language)
    )[:_SHOWN]


def _one_line(example: Example) -> str:
    said = " / ".join(" ".join(turn.content.split()) for turn in example.messages)
    return said if len(said) <= _LINE else said[: _LINE - 1] + "…"


def _all(rule: Rule) -> Iterator[Example]:
    for kind in KINDS:
        yield from texts_of(rule, kind, ORIGINS)
