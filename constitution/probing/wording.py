"""The templates of probing: YAML that a person edits, one file a language, checked when read, rendered with Jinja."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from constitution.spoken import ByLanguage, Spoken, fenced
from guard.exchange import Message
from rules.schema import Closed, NonEmpty, Rule

PROMPTS = Path(__file__).parent / "prompts"
"""The templates that ship."""


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

    TEMPLATES = ("write.ask", "write.more", "write.manner", "aim.ask", "turn.ask")
    TOLD_IN = "constitution/probing/prompts/en.yaml"

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

    def _of(self, name: str, rule: Rule, **values: Any) -> str:
        say = self.language
        own = {
            "title": rule.title.say(say),
            "rule": rule.rule.say(say),
            "why": rule.why.say(say),
            "allowed": [text.say(say) for text in rule.allowed],
            "probe": rule.probe.say(say) if rule.probe else None,
        }
        return self._render(name, **own, **values)

    def messages(self, what: str, rule: Rule, **values: Any) -> tuple[Message, ...]:
        """The messages of `aim` or `turn`.

        Raises:
            TemplateError: the template cannot be filled in.
        """
        asked: Asked = getattr(self, what)
        text = self._of(f"{what}.ask", rule, **values)
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
        manner = self._of("write.manner", rule, count=count, **values)
        if not shown:
            ask = self._of("write.ask", rule, count=count, **values)
            return system, Message("user", f"{ask}\n{manner}")
        ask = self._of("write.ask", rule, count=len(shown), **values)
        more = self._of("write.more", rule, count=count, **values)
        wrote = json.dumps({"texts": list(shown)}, ensure_ascii=False)
        return system, Message("user", ask), Message("assistant", wrote), Message("user", f"{more}\n{manner}")

    def conversation(self, messages: Sequence[Message]) -> list[dict[str, str]]:
        """Messages as a template sees them."""
        return [
            {"speaker": self.speakers[message.role], "content": fenced(message.content, "message")}
            for message in messages
        ]


class Wording(ByLanguage[Words]):
    """The words of every language in a folder."""

    KIND = Words
    OWN = PROMPTS
