"""What people wrote of a rule, to begin with: its examples, and a file of more. Never its tests: they only check."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from constitution.probing.probe import Kind, ProbeError, identify
from guard.exchange import Exchange, Message
from guard.training.sets import as_line, read_objects
from rules.schema import Constitution, Example, Part, Rule
from rules.words import did_you_mean, quoted

_SIDES: Mapping[Kind, str] = {"break": "breaks", "keep": "keeps"}
_EXAMPLE = '{"rule": "rule-id", "kind": "break", "prompt": "..."}'


@dataclass(frozen=True, slots=True)
class Seed:
    """One prompt that a person wrote."""

    id: str
    messages: tuple[Message, ...]

    @property
    def text(self) -> str:
        """What the user said last."""
        return self.messages[-1].content


def seeds_of(rule: Rule, kind: Kind, more: Sequence[tuple[str, Kind, Seed]] = ()) -> list[Seed]:
    """The seeds of one side of a rule, each once: of its examples, then of a file.

    An example that is an answer says little of its prompt, which often leads to a breaking and to a keeping answer. It
    gives that prompt only where a rule looks at answers alone or has no other on a side, and never to both sides.
    """
    prompts, led = _examples(rule, kind)
    found = prompts if prompts and Part.PROMPT in rule.watches else [*prompts, *led]
    if kind == "keep":
        drawing = {seed.id for seeds in _examples(rule, "break") for seed in seeds}
        found = [seed for seed in found if seed.id not in drawing]
    found += [seed for rule_id, side, seed in more if (rule_id, side) == (rule.id, kind)]
    return list({seed.id: seed for seed in found}.values())


def _examples(rule: Rule, kind: Kind) -> tuple[list[Seed], list[Seed]]:
    """The examples that are prompts, and the prompts of those that are answers."""
    sides: tuple[list[Seed], list[Seed]] = [], []
    for example in getattr(rule.examples, _SIDES[kind]):
        seed = _prompt_of(example)
        if seed is not None:
            sides[Exchange.of_example(example).messages[-1].role == "assistant"].append(seed)
    return sides


def held_back(rules: Iterable[Rule]) -> Iterator[str]:
    """The prompts of all tests: what no probe may come near."""
    for rule in rules:
        for example in (*rule.tests.breaks, *rule.tests.keeps):
            seed = _prompt_of(example)
            if seed is not None:
                yield seed.text


def read_seeds(path: Path, constitution: Constitution) -> list[tuple[str, Kind, Seed]]:
    """Seeds of a JSONL file, `rule`, `kind` (`break` or `keep`) and `prompt` in every line.

    Raises:
        ProbeError: a line names no rule that there is, or no kind.
        LabelError: the file cannot be read, or a line holds no prompt.
    """
    ids = [rule.id for rule in constitution]
    found: list[tuple[str, Kind, Seed]] = []
    for number, fields in read_objects(path):
        where = f"{path}:{number}"
        rule, kind = str(fields.get("rule")), fields.get("kind")
        if rule not in ids:
            raise ProbeError(f"{where}: no rule {quoted(rule)}", did_you_mean(rule, ids, f"as {_EXAMPLE}"))
        if kind not in ("break", "keep"):
            raise ProbeError(f"{where}: the kind {quoted(kind)} is neither `break` nor `keep`", f"as {_EXAMPLE}")
        messages = as_line(path, number, {"prompt": fields.get("prompt")}).exchange.messages
        if messages[-1].role != "user" or not messages[-1].content.strip():
            raise ProbeError(f"{where}: the prompt does not end with words of the user", f"as {_EXAMPLE}")
        found.append((rule, kind, Seed(identify(messages), messages)))
    if not found:
        raise ProbeError(f"`{path}` holds no seeds", f"a line is {_EXAMPLE}")
    return found


def _prompt_of(example: Example) -> Seed | None:
    messages = list(Exchange.of_example(example).messages)
    while messages and messages[-1].role == "assistant":
        messages.pop()
    if not messages or messages[-1].role != "user":
        return None  # of a tool or a system message: no prompt
    return Seed(identify(messages), tuple(messages))
