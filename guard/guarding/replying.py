"""What the guard says for itself: replies to users, and notes to the model about what it is not shown.

Neither ever tells a pattern, or an excerpt of what was matched.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Literal

from guard.language import language_among, load_statistics, needs_statistics
from guard.window.outcomes import Channel
from rules.schema import Constitution, Rule

Reason = Literal["degraded", "unscannable", "answer"]
"""Why the guard answers for itself where no rule is broken: a check could not be made; the request, or the answer,
holds what cannot be checked."""

_READ = 2000
"""Characters by which the language of a text is told."""

_MADE: Mapping[str, str] = {
    "en": "This is where I stop, because of the rule “{title}”. {why} If you meant something else, please put it in "
    "other words; I am glad to help with any part of it that harms nobody.",
    "zh": "我在这里停下，因为涉及规则“{title}”。{why}如果您想问的是别的，请换一种说法；"
    "其中不伤害任何人的部分，我很乐意帮忙。",
}
_OWN: Mapping[Reason, Mapping[str, str]] = {
    "degraded": {
        "en": "A safety check could not be made just now, so no answer was given. This says nothing about what you "
        "wrote. Please try again in a little while.",
        "zh": "刚才有一项安全检查没能完成，所以没有给出回答。这并不表示您写的内容有问题，请稍后再试。",
    },
    "unscannable": {
        "en": "Your request holds something besides text, such as an image, a sound or a file, and it cannot be "
        "checked here, so it was not passed on. Please say in words what you need.",
        "zh": "您的请求里有文字以外的内容（例如图片、声音或文件），这里无法检查，所以没有继续处理。"
        "请用文字说明您的需要。",
    },
    "answer": {
        "en": "The answer held something besides text that cannot be checked here, so it was kept back. Please ask for "
        "an answer in words.",
        "zh": "回答里有文字以外、这里无法检查的内容，所以没有发出。请要求用文字回答。",
    },
}
_NOTE: Mapping[str, str] = {
    "en": "[Withheld: {what} was taken out of this conversation because of the rule “{title}”. Go on without it, and "
    "do not guess what it said.]",
    "zh": "[已移除：由于规则“{title}”，{what}不在此对话中。请在没有它的情况下继续，不要猜测其内容。]",
}
_UNCHECKED: Mapping[str, str] = {
    "en": "[Withheld: {what} was taken out of this conversation because it could not be checked. Go on without it, and "
    "do not guess what it said.]",
    "zh": "[已移除：由于无法检查，{what}不在此对话中。请在没有它的情况下继续，不要猜测其内容。]",
}
_WHAT: Mapping[str, Mapping[str, str]] = {
    "en": {
        "user": "an earlier message of the user",
        "assistant": "an earlier answer",
        "tool": "the result of a tool",
        "reasoning": "what was thought before an earlier answer",
        "call": "what a tool was called with",
    },
    "zh": {
        "user": "用户较早的一条消息",
        "assistant": "较早的一个回答",
        "tool": "一个工具的结果",
        "reasoning": "较早的一个回答之前的思考",
        "call": "一个工具的调用参数",
    },
}


class Replies:
    """The replies of one constitution."""

    def __init__(self, constitution: Constitution) -> None:
        """The replies that the rules bring, and those made for the ones that bring none."""
        self._rules = {rule.id: rule for rule in constitution}
        spoken = {
            tag for rule in constitution for text in (rule.reply, rule.title, rule.why) if text for tag in text.root
        }
        self._languages = frozenset(spoken)
        if needs_statistics(self._languages):
            load_statistics()  # now: later, the first reply would hold up an event loop for half a second

    def language(self, text: str) -> str:
        """The language in which the writer of a text is to be answered."""
        return language_among(text[:_READ], self._languages)

    def to_rule(self, rule: str, language: str) -> str:
        """What the user reads where a rule stops something."""
        found = self._rules[rule]
        return found.reply.say(language) if found.reply else _made(found, language)

    def to_reason(self, reason: Reason, language: str) -> str:
        """What the user reads where no rule was found broken."""
        return _OWN[reason][_base(language)]

    def note(self, rule: str | None, role: str, channel: Channel, language: str) -> str:
        """What the model reads in place of a text that is withheld; a JSON object for a tool's arguments.

        Args:
            rule: id of the rule it broke; None where it could not be checked.
            role: of the message.
            channel: which of its texts.
            language: of the user.
        """
        base = _base(language)
        kind = {"tool": "call", "reasoning": "reasoning"}.get(channel.kind, role)
        what = _WHAT[base][kind]
        if rule is None:
            said = _UNCHECKED[base].format(what=what)
        else:
            said = _NOTE[base].format(what=what, title=self._rules[rule].title.say(language))
        return json.dumps({"withheld": said.strip("[]")}, ensure_ascii=False) if channel.kind == "tool" else said

    def without(self, text: str) -> str | None:
        """An earlier answer without the reply of this guard that it ends with; None where it ends with none."""
        bare = text.rstrip()
        if not bare.endswith(self._all):
            return None
        # The longest, since one may be the end of another.
        own = max((reply for reply in self._all if bare.endswith(reply)), key=len)
        return bare[: -len(own)].rstrip()

    @cached_property
    def _all(self) -> tuple[str, ...]:
        return tuple({reply.rstrip() for reply in self._every()})

    def _every(self) -> Iterator[str]:
        for said in _OWN.values():
            yield from said.values()
        for rule in self._rules.values():
            if rule.reply:
                yield from rule.reply.root.values()
            else:
                for language in {*rule.title.root, *rule.why.root, *_MADE}:
                    yield _made(rule, language)


def _made(rule: Rule, language: str) -> str:
    """A reply for a rule that brings none."""
    return _MADE[_base(language)].format(title=rule.title.say(language), why=rule.why.say(language))


def _base(language: str) -> str:
    """The nearest of the languages that the guard itself speaks."""
    return "zh" if language.partition("-")[0] == "zh" else "en"
