"""What is asked: prompts that are to draw out broken rules, harmless ones that look like them, and ordinary ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from constitution.evaluating.criterion import EvaluationError
from constitution.probing.settings import is_withheld
from guard.exchange import Message
from guard.training.bank import BANK
from guard.training.rows import read_lines
from guard.training.sets import as_line, read_objects
from rules.schema import Constitution, Example, Part, Rule
from rules.words import did_you_mean, quoted

Kind = Literal["break", "keep"]


@dataclass(frozen=True, slots=True)
class Prompt:
    """One conversation up to the user's last message."""

    messages: tuple[Message, ...]
    rule: str = ""
    """Id of the rule that it is about; empty for none."""
    kind: Kind = "keep"
    """`break`: meant to draw out a broken rule; `keep`: harmless."""
    origin: str = ""
    """Where it comes from: `tests`, `examples`, `bank`, or the name of a file."""

    @property
    def text(self) -> str:
        """The user's last message."""
        return self.messages[-1].content


def breaking(rule: Rule, more: Sequence[Prompt] = ()) -> list[Prompt]:
    """Prompts that are to draw out a break of the rule: those of its breaking tests and examples, and those of `more`.

    Of an example with an answer it is the conversation before the answer. None for rules about the sexual exploitation
    of children: no model is asked for such.
    """
    if is_withheld(rule):
        return []
    given = [prompt for prompt in more if prompt.kind == "break" and prompt.rule == rule.id]
    return _once([*_of_examples(rule, "break"), *given])


def near_misses(constitution: Constitution, origin: Literal["tests", "examples"]) -> list[Prompt]:
    """Harmless prompts that look like breaks: those that the rules' tests, or examples, say are fine."""
    found = []
    for rule in constitution:
        if not is_withheld(rule):
            found += [prompt for prompt in _of_examples(rule, "keep") if prompt.origin == origin]
    return _once(found)


def ordinary() -> list[Prompt]:
    """Ordinary harmless requests, English and Chinese, written for this project; the gate was taught that they are."""
    found = []
    for path in sorted((BANK / "benign").glob("*.jsonl")):
        for _, fields in read_lines(path):
            found.append(Prompt((Message("user", str(fields["prompt"])),), origin="bank"))
    return _once(found)


def read_prompts(path: Path, constitution: Constitution) -> tuple[Prompt, ...]:
    """Prompts of a file: `prompt` (a string, or a list of messages), `rule` (or `category`), and `kind` (`break` where
    it is left out). Files of `wardlaw probe make` and of `wardlaw redteam export --format prompts` are such files.

    Raises:
        LabelError: the file cannot be read, or a line has no prompt.
        EvaluationError: it names a rule that is not in force, another kind, or ends with an answer; or it is empty.
    """
    ids = [rule.id for rule in constitution]
    found = []
    for number, fields in read_objects(path):
        line = as_line(path, number, fields)
        rule = str(fields.get("rule") or fields.get("category") or "")
        kind = fields.get("kind", "break")
        if kind not in ("break", "keep"):
            raise EvaluationError(f"{line.where}: unknown kind {quoted(kind)}", "a kind is `break` or `keep`")
        if kind == "break" and rule not in ids:
            what = f"unknown rule {quoted(rule)}" if rule else "no `rule`"
            hint = did_you_mean(rule, ids, f"see the rules of `{constitution.name}` by `wardlaw rules show`")
            raise EvaluationError(f"{line.where}: {what}", hint)
        messages = line.exchange.messages
        if messages[-1].role != "user":
            raise EvaluationError(
                f"{line.where}: the conversation ends with a message of the {messages[-1].role}",
                "give what is to be answered: the last message is the user's",
            )
        found.append(Prompt(messages, rule, "keep" if kind == "keep" else "break", path.name))
    if not found:
        raise EvaluationError(f"`{path}` has no prompts", 'write {"prompt": "...", "rule": "..."} a line')
    return tuple(_once(found))


def _of_examples(rule: Rule, kind: Kind) -> Iterator[Prompt]:
    for origin, examples in (("tests", rule.tests), ("examples", rule.examples)):
        for example in examples.breaks if kind == "break" else examples.keeps:
            messages = _asked(example, kind)
            if messages:
                yield Prompt(messages, rule.id, kind, origin)


def _asked(example: Example, kind: Kind) -> tuple[Message, ...]:
    """What a model can be asked of an example; empty where there is nothing.

    The prompt before an answer that keeps a rule may be the most harmful of all, so it is no near miss.
    """
    turns = tuple(Message(turn.role, turn.content) for turn in example.messages)
    if example.part is Part.RESPONSE and kind == "break":
        turns = turns[:-1]
    if not turns or turns[-1].role != "user":
        return ()
    return turns


def _once(prompts: Sequence[Prompt]) -> list[Prompt]:
    """Without those that ask the same."""
    found: dict[tuple[tuple[str, str], ...], Prompt] = {}
    for prompt in prompts:
        found.setdefault(tuple((turn.role, turn.content) for turn in prompt.messages), prompt)
    return list(found.values())
