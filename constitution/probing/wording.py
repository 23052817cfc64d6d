"""The templates of probing: YAML that a person edits, one file a language, checked when read, rendered with Jinja."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import model_validator

from constitution.templates import Spoken, TemplateError, read_languages
from guard.exchange import Message
from guard.templating import environment
from rules.schema import Closed, NonEmpty, Rule

if TYPE_CHECKING:
    import jinja2

PROMPTS = Path(__file__).parent / "prompts"
"""The templates that ship."""

_CLOSING = re.compile(r"<(\s*/\s*message)", re.IGNORECASE)
_TEXTS = ("write.ask", "write.more", "write.manner", "aim.ask", "turn.ask")


class Asked(Closed):
    """One thing that a model is asked for."""

    system: NonEmpty
    """The system message."""
    ask: NonEmpty
    """The user message, a Jinja template."""


class Written(Asked):
    """New probes, asked for as if the model had written those that exist: small models go on in kind, and are lost in a
    list that they are told to be unlike."""

    more: NonEmpty
    """The message after those, a Jinja template."""
    manner: NonEmpty
    """The end of the last message: how they are said, and the form of the answer."""


class Words(Spoken):
    """All texts of probing in one language."""

    speakers: Mapping[str, NonEmpty]
    write: Written
    """New probes."""
    aim: Asked
    """What a message is after."""
    turn: Asked
    """The prober's next message to a live model."""
    styles: Mapping[str, NonEmpty]
    personas: Mapping[str, NonEmpty]
    lengths: Mapping[str, NonEmpty]

    @model_validator(mode="after")
    def _compiles(self) -> Self:
        import jinja2

        for name in _TEXTS:
            try:
                self._template(name)
            except jinja2.TemplateError as error:
                raise ValueError(f"the template `{name}` does not read: {error}") from error
        return self

    @cached_property
    def _compiled(self) -> dict[str, jinja2.Template]:
        return {}

    def _template(self, name: str) -> jinja2.Template:
        if name not in self._compiled:
            what, _, text = name.partition(".")
            self._compiled[name] = environment().from_string(getattr(getattr(self, what), text))
        return self._compiled[name]

    def _render(self, name: str, rule: Rule, **values: Any) -> str:
        say = self.language
        own = {
            "title": rule.title.say(say),
            "rule": rule.rule.say(say),
            "why": rule.why.say(say),
            "allowed": [text.say(say) for text in rule.allowed],
            "probe": rule.probe.say(say) if rule.probe else None,
        }
        try:
            return self._template(name).render(**own, **values).strip()
        except Exception as error:  # whatever an expression in a person's template can raise
            raise TemplateError(
                f"template `{name}` ({say}): {error}",
                "the head of constitution/probing/prompts/en.yaml lists what can stand in a template",
            ) from error

    def messages(self, what: str, rule: Rule, **values: Any) -> tuple[Message, ...]:
        """The messages of `aim` or `turn`.

        Raises:
            TemplateError: the template cannot be filled in.
        """
        asked: Asked = getattr(self, what)
        text = self._render(f"{what}.ask", rule, **values)
        return Message("system", asked.system.strip()), Message("user", text)

    def writing(self, rule: Rule, shown: Sequence[str], count: int, **values: Any) -> tuple[Message, ...]:
        """The messages that ask for new probes.

        Args:
            rule: whose.
            shown: texts that exist, as if the model had written them; there may be none.
            count: how many are asked for.
            values: what else the templates name.

        Raises:
            TemplateError: a template cannot be filled in.
        """
        system = Message("system", self.write.system.strip())
        manner = self._render("write.manner", rule, count=count, **values)
        if not shown:
            ask = self._render("write.ask", rule, count=count, **values)
            return system, Message("user", f"{ask}\n{manner}")
        ask = self._render("write.ask", rule, count=len(shown), **values)
        more = self._render("write.more", rule, count=count, **values)
        wrote = json.dumps({"texts": list(shown)}, ensure_ascii=False)
        return system, Message("user", ask), Message("assistant", wrote), Message("user", f"{more}\n{manner}")

    def conversation(self, messages: Sequence[Message]) -> list[dict[str, str]]:
        """Messages as a template sees them."""
        return [{"speaker": self.speakers[message.role], "content": fenced(message.content)} for message in messages]


class Wording:
    """The words of every language in a folder."""

    def __init__(self, by_language: Mapping[str, Words]) -> None:
        if "en" not in by_language and len(by_language) != 1:
            raise TemplateError("the templates hold several languages and none is `en`", "add an en.yaml")
        self.by_language = dict(by_language)
        self._fallback = by_language.get("en") or next(iter(by_language.values()))
        dumped = {name: words.model_dump(mode="json") for name, words in sorted(self.by_language.items())}
        text = json.dumps(dumped, ensure_ascii=False, sort_keys=True)
        self.digest = hashlib.blake2b(text.encode(), digest_size=12).hexdigest()
        """Changes with any text of any language, not with comments."""

    @classmethod
    def read(cls, folder: Path = PROMPTS) -> Wording:
        """Read every *.yaml of `folder`.

        Raises:
            TemplateError: no file in it, or a file that is wrong, with its path and key.
        """
        return cls(read_languages(Words, folder, PROMPTS))

    def of(self, language: str) -> Words:
        """The words of a language, or English where there are none."""
        return self.by_language.get(language) or self._fallback


def fenced(text: str) -> str:
    """A text that cannot close the tag round it, and so cannot speak to its reader from outside."""
    return _CLOSING.sub(r"&lt;\1", text)
