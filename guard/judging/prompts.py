"""The judge's templates: YAML that a person edits, one file a language, and the messages made of them."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, ValidationError, model_validator

from guard.exchange import Message, Role
from guard.judging.fence import fenced, neutralise, new_mark
from guard.judging.pieces import Piece
from guard.templating import environment
from rules.errors import WardlawError
from rules.schema import Closed, Example, NonEmpty, Part, Rule

if TYPE_CHECKING:
    import jinja2

PROMPTS = Path(__file__).parent / "prompts"
"""The templates that ship."""

_SHOT = 300
"""Characters of an example that is shown."""
_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]")
_KANA_OR_HANGUL = re.compile(r"[\u3040-\u30ff\uac00-\ud7af]")
_LATIN = re.compile(r"[A-Za-z\u00c0-\u024f]")
_LOOKED_AT = 4000


class PromptError(WardlawError):
    """A file of the judge's templates is wrong."""


class JudgedPart(Closed):
    """How one part of an exchange is spoken of."""

    what: NonEmpty
    """What is judged."""
    breaks: NonEmpty
    """When such a text breaks a rule."""


class Answers(Closed):
    """How the answer in one word is spelt, in lower case."""

    yes: tuple[NonEmpty, ...] = Field(min_length=1)
    no: tuple[NonEmpty, ...] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Worded:
    """One question to the judge."""

    messages: tuple[Message, ...]
    case: str
    """What the answer must name."""


class JudgePrompts(Closed):
    """All texts of the judge in one language."""

    language: NonEmpty
    speakers: Mapping[Role, NonEmpty]
    parts: Mapping[Part, JudgedPart]
    system: str
    """The system message: the rule, and what is evidence. Empty for none."""
    ask: NonEmpty
    """The exchange."""
    quote: NonEmpty
    """The end of the user message in the mode `quote`."""
    one_word: NonEmpty
    """The end of the user message in the mode `logprobs`."""
    answers: Answers

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        missing = [part.value for part in Part if part not in self.parts]
        if missing:
            raise ValueError(f"`parts` says nothing of {', '.join(missing)}")
        for name in ("system", "ask", "quote", "one_word"):
            self._template(name)
        return self

    @cached_property
    def _environment(self) -> jinja2.Environment:
        return environment()

    @cached_property
    def _compiled(self) -> dict[str, jinja2.Template]:
        return {}

    @cached_property
    def _systems(self) -> dict[tuple[str, Part, int], tuple[Rule, str]]:
        return {}

    def _template(self, name: str) -> jinja2.Template:
        if name not in self._compiled:
            import jinja2

            try:
                self._compiled[name] = self._environment.from_string(getattr(self, name))
            except jinja2.TemplateError as error:
                raise ValueError(f"the template `{name}` does not read: {error}") from error
        return self._compiled[name]

    def _render(self, name: str, **values: Any) -> str:
        try:
            return self._template(name).render(**values).strip()
        except Exception as error:  # whatever an expression in a person's template can raise
            hint = f"the head of {PROMPTS.name}/en.yaml lists what can stand in a template"
            raise PromptError(f"template `{name}` ({self.language}): {error}", hint) from error

    def word(self, rule: Rule, piece: Piece, *, one_word: bool, shots: int) -> Worded:
        """The question whether `piece` breaks `rule`."""
        mark, case = new_mark(), secrets.token_hex(4)
        part = self.parts[piece.part]
        earlier = "\n".join(
            fenced(message.content, mark, self.speakers[message.role]) for message in piece.earlier if message.content
        )
        asked = self._render(
            "ask",
            mark=mark,
            what=part.what,
            breaking=part.breaks,
            earlier=earlier,
            judged=fenced(piece.text, mark, self.speakers[piece.role]),
        )
        end = self._render("one_word" if one_word else "quote", case=case, mark=mark)
        system = self._about(rule, piece.part, shots)
        before = (Message("system", system),) if system else ()
        return Worded((*before, Message("user", f"{asked}\n\n{end}")), case)

    def _about(self, rule: Rule, part: Part, shots: int) -> str:
        """The system message of a rule, rendered once a part, whose examples it shows."""
        kept = self._systems.get((rule.id, part, shots))
        if kept is None or kept[0] is not rule:
            say = self.language
            text = self._render(
                "system",
                rule={
                    "title": rule.title.say(say),
                    "rule": rule.rule.say(say),
                    "allowed": [text.say(say) for text in rule.allowed],
                },
                breaks=_shown(rule.examples.breaks, part, shots, say),
                keeps=_shown(rule.examples.keeps, part, shots, say),
            )
            kept = self._systems[rule.id, part, shots] = rule, text
        return kept[1]


class PromptSet:
    """The judge's templates of every language in a folder."""

    def __init__(self, by_language: Mapping[str, JudgePrompts]) -> None:
        self.by_language = dict(by_language)
        self.fallback = by_language.get("en") or next(iter(by_language.values()))
        dumped = {name: item.model_dump(mode="json") for name, item in sorted(self.by_language.items())}
        self.digest = hashlib.blake2b(
            json.dumps(dumped, ensure_ascii=False, sort_keys=True).encode(), digest_size=8
        ).hexdigest()
        """Changes with any text of any language, not with comments."""

    @classmethod
    def read(cls, folder: Path = PROMPTS) -> PromptSet:
        """Read every *.yaml of `folder`.

        Raises:
            PromptError: no file there, or one that is wrong, with its path and key.
        """
        import yaml

        files = sorted(folder.glob("*.yaml"))
        if not files:
            raise PromptError(f"no templates of the judge in `{folder}`", "copy the shipped folder and edit the copy")
        by_language = {}
        for path in files:
            try:
                prompts = JudgePrompts.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
            except (yaml.YAMLError, UnicodeDecodeError) as error:
                raise PromptError(f"{path}: not YAML: {' '.join(str(error).split())}", "mend the file") from error
            except ValidationError as error:
                first = error.errors()[0]
                place = ".".join(str(part) for part in first["loc"]) or "the file"
                what = first["msg"].removeprefix("Value error, ")
                raise PromptError(f"{path}: `{place}`: {what}", "compare with the shipped en.yaml") from error
            by_language[prompts.language] = prompts
        return cls(by_language)

    def of(self, text: str) -> JudgePrompts:
        """The templates in the language of a text, or in English where there are none."""
        return self.by_language.get(language_of(text)) or self.fallback


def language_of(text: str) -> str:
    """`zh` where most of a text is Chinese, else `en`; a Han character weighs three Latin letters, about its word."""
    looked_at = text[:_LOOKED_AT]
    if looked_at.isascii():
        return "en"
    han, latin = len(_HAN.findall(looked_at)), len(_LATIN.findall(looked_at))
    japanese_or_korean = len(_KANA_OR_HANGUL.findall(looked_at)) * 5 > han
    return "zh" if han * 3 > latin and not japanese_or_korean else "en"


def _shown(examples: Sequence[Example], part: Part, count: int, language: str) -> list[str]:
    """The first `count` examples of the part, those in the language of the templates first, each on one line."""
    of_part = [example for example in examples if example.part is part]
    ordered = sorted(of_part, key=lambda example: language_of(example.text) != language)
    return [neutralise(" ".join(example.text.split()))[:_SHOT] for example in ordered[:count]]
