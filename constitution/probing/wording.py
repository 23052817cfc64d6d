"""The templates of probing: YAML that a person edits, one file a language, checked when read, rendered with Jinja."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import ValidationError

from constitution.probing.probe import ProbeError
from guard.exchange import Message
from guard.templating import environment
from rules.schema import Closed, NonEmpty, Rule

if TYPE_CHECKING:
    import jinja2

PROMPTS = Path(__file__).parent / "prompts"
"""The templates that ship."""


class Asked(Closed):
    """One thing that a model is asked for."""

    system: NonEmpty
    """The system message."""
    ask: NonEmpty
    """The user message, a Jinja template."""


class Words(Closed):
    """All texts of probing in one language."""

    language: NonEmpty
    speakers: Mapping[str, NonEmpty]
    write: Asked
    """New probes."""
    aim: Asked
    """What a message is after."""
    turn: Asked
    """The prober's next message to a live model."""
    styles: Mapping[str, NonEmpty]
    personas: Mapping[str, NonEmpty]
    lengths: Mapping[str, NonEmpty]

    @cached_property
    def _environment(self) -> jinja2.Environment:
        return environment()

    def messages(self, what: str, rule: Rule, **values: Any) -> tuple[Message, ...]:
        """The messages of `write`, `aim` or `turn`.

        Raises:
            ProbeError: the template cannot be filled in.
        """
        asked: Asked = getattr(self, what)
        say = self.language
        own = {
            "title": rule.title.say(say),
            "rule": rule.rule.say(say),
            "why": rule.why.say(say),
            "allowed": [text.say(say) for text in rule.allowed],
            "probe": rule.probe.say(say) if rule.probe else None,
        }
        try:
            text = self._environment.from_string(asked.ask).render(**own, **values).strip()
        except Exception as error:  # whatever an expression in a person's template can raise
            raise ProbeError(
                f"the template `{what}.ask` ({say}): {error}", "the head of en.yaml lists what can stand in it"
            ) from error
        return Message("system", asked.system.strip()), Message("user", text)

    def conversation(self, messages: Sequence[Message]) -> list[dict[str, str]]:
        """Messages as a template sees them."""
        return [{"speaker": self.speakers[message.role], "content": fenced(message.content)} for message in messages]


class Wording:
    """The words of every language in a folder."""

    def __init__(self, by_language: Mapping[str, Words]) -> None:
        self.by_language = dict(by_language)
        dumped = {name: words.model_dump(mode="json") for name, words in sorted(self.by_language.items())}
        text = json.dumps(dumped, ensure_ascii=False, sort_keys=True)
        self.digest = hashlib.blake2b(text.encode(), digest_size=12).hexdigest()

    @classmethod
    def read(cls, folder: Path = PROMPTS) -> Wording:
        """Read every *.yaml of `folder`.

        Raises:
            ProbeError: there is no en.yaml, or a file is wrong.
        """
        found = {}
        for path in sorted(folder.glob("*.yaml")):
            try:
                words = Words.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
            except (OSError, yaml.YAMLError, UnicodeDecodeError, ValidationError) as error:
                what = " ".join(str(error).split())[:200]
                raise ProbeError(f"the templates `{path}` cannot be used: {what}", "mend the file") from error
            found[words.language] = words
        if "en" not in found:
            raise ProbeError(f"no `en.yaml` in `{folder}`", f"copy {PROMPTS.parent.name}/{PROMPTS.name} and edit it")
        return cls(found)

    def of(self, language: str) -> Words:
        """The words of a language, or English where there are none."""
        return self.by_language.get(language.partition("-")[0], self.by_language["en"])


def fenced(text: str) -> str:
    """A text that cannot close the tag round it, and so cannot speak to its reader from outside."""
    return text.replace("</message", "&lt;/message")
