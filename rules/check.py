"""Lints: what is no fault of the file, but a weakness of the rule. One short function a lint.

A lint is found by its decorator; its docstring is its line in docs/rule-format.md. It yields `Found` for a weakness.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from rules.collecting import uncollected
from rules.conflicts import Conflict, conflicts
from rules.errors import Location
from rules.examples import EXAMPLE_PARTS
from rules.load import Loaded
from rules.misplaced import misplaced
from rules.schema import Example, Rule, Text
from rules.words import did_you_mean, listed, quoted

ENOUGH = 3
"""Examples on each side below which a head or a prototype is drawn from too little."""

Found = tuple[tuple[str | int, ...], str, str]
"""Keys from the rule to the weak place, what is weak, and what to do."""


@dataclass(frozen=True, slots=True)
class Company:
    """What the rules of a constitution have in common."""

    rules: int
    speaking: Mapping[tuple[str, str], int]
    """(field, language) -> how many rules have the field in that language itself."""
    cuts: Mapping[str, tuple[tuple[tuple[str | int, ...], str], ...]]
    """Rule -> its texts that a comment cuts off: keys, and the first word of the comment."""
    begins: Mapping[str, tuple[tuple[tuple[str | int, ...], str], ...]]
    """Rule -> its texts that begin like a key or an item of a list, and with what: see `rules.misplaced`."""
    conflicts: Mapping[str, tuple[Conflict, ...]]
    """Rule -> its texts that another rule says the opposite of."""

    @classmethod
    def of(cls, loaded: Loaded) -> Company:
        """Count once, for all lints of all rules."""
        constitution = loaded.constitution
        texts = [(name, getattr(rule, name)) for rule in constitution for name in _SPOKEN]
        found = ((name, tag) for name, text in texts for tag in _LANGUAGES if text is not None and text.speaks(tag))
        cuts = {rule.id: tuple(loaded.cuts(rule.id)) for rule in constitution}
        begins = {rule.id: tuple(misplaced(rule, loaded.begins(rule.id))) for rule in constitution}
        return cls(len(constitution), Counter(found), cuts, begins, conflicts(loaded))


_SPOKEN = ("title", "rule", "why", "critique", "revision", "reply")
_LANGUAGES = ("en", "zh")
Finder = Callable[[Rule, Company], Iterable[Found]]


@dataclass(frozen=True, slots=True)
class Issue:
    """One weakness of one rule."""

    code: str
    severity: Literal["error", "warning"]
    rule: str
    where: Location
    message: str
    hint: str

    def __str__(self) -> str:
        return f"{self.where}: {self.severity}: {self.message} [{self.code}]\n  hint: {self.hint}"


@dataclass(frozen=True, slots=True)
class Lint:
    """A lint that can be run."""

    code: str
    severity: Literal["error", "warning"]
    find: Finder

    @property
    def about(self) -> str:
        """What it looks for, in one sentence."""
        return " ".join((self.find.__doc__ or "").split())


LINTS: list[Lint] = []


def lint(severity: Literal["error", "warning"]) -> Callable[[Finder], Finder]:
    """Make a function a lint; its name, with hyphens, is the lint's code."""

    def enter(find: Finder) -> Finder:
        LINTS.append(Lint(find.__name__.replace("_", "-"), severity, find))
        return find

    return enter


def check(loaded: Loaded) -> tuple[Issue, ...]:
    """All weaknesses of a constitution, in the order of its rules."""
    with uncollected():
        company = Company.of(loaded)
        issues = [
            Issue(each.code, each.severity, rule.id, loaded.locate(rule.id, *keys), f"rule `{rule.id}` {what}", hint)
            for rule in loaded.constitution
            for each in LINTS
            for keys, what, hint in each.find(rule, company)
        ]
    return tuple(issues)


@lint("warning")
def no_examples(rule: Rule, _: Company) -> Iterator[Found]:
    """The meaning detector is on, and there is no example for it to learn from."""
    if rule.detect and rule.detect.meaning and not (rule.examples.breaks or rule.examples.keeps):
        hint = f"write {ENOUGH} prompts or more under `breaks` and under `keeps`, or say `meaning: null`"
        yield ("examples",), "has no `examples`, so its meaning cannot be learnt", hint


_SIDES = {
    "breaks": ("example that breaks it", "examples that break it"),
    "keeps": ("near miss that keeps it", "near misses that keep it"),
}


@lint("warning")
def loop_only(rule: Rule, _: Company) -> Iterator[Found]:
    """The rule has neither examples that break it nor `detect`, so the gate never looks for it."""
    if rule.detect is None and "detect" not in rule.model_fields_set:
        hint = "write what breaks it under `examples: breaks`, or say `detect: null` if that is meant"
        yield (), "has neither `examples` that break it nor `detect`: only the loop uses it", hint


@lint("warning")
def looks_for_nothing(rule: Rule, _: Company) -> Iterator[Found]:
    """`detect` turns the meaning detector off, and names no pattern and no hidden characters to look for instead."""
    detect = rule.detect
    # Without meaning nothing is unsure, so that a judge is asked only if it always is; a hazard is for guard models.
    if detect is None or detect.meaning or detect.judge.when == "always":
        return
    if not (detect.patterns or detect.hidden or rule.hazards):
        hint = "write `patterns`, or leave `meaning: null` out; `detect: null` says that only the loop uses the rule"
        yield ("detect",), "has a `detect` that looks for nothing", hint


@lint("warning")
def few_examples(rule: Rule, _: Company) -> Iterator[Found]:
    """There are examples, but fewer than three of a side."""
    sides = {"breaks": rule.examples.breaks, "keeps": rule.examples.keeps}
    if any(sides.values()):
        for side, examples in sides.items():
            if len(examples) < ENOUGH:
                one, many = _SIDES[side]
                count = f"1 {one}" if len(examples) == 1 else f"{len(examples) or 'no'} {many}"
                yield ("examples", side), f"has {count}", f"write {ENOUGH} or more under `{side}`"


@lint("warning")
def no_tests(rule: Rule, _: Company) -> Iterator[Found]:
    """A gate is asked to find the rule broken, and nothing says whether it does."""
    if rule.detect:
        missing = [side for side, tests in (("breaks", rule.tests.breaks), ("keeps", rule.tests.keeps)) if not tests]
        if missing:
            what = f"has no `tests` under {listed(missing)}"
            yield ("tests",), what, "write two or three that no example resembles: they never teach"


@lint("error")
def contradiction(rule: Rule, _: Company) -> Iterator[Found]:
    """One text stands both among those that break the rule and among those that keep it."""
    breaking = {_said(example): path for path, example in _all(rule) if path[1] == "breaks"}
    for path, example in _all(rule):
        if path[1] == "keeps" and _said(example) in breaking:
            other = ": ".join(str(key) for key in breaking[_said(example)][:2])
            what = f"is said to be kept by {quoted(example.text)}, which stands under `{other}` too"
            yield path, what, "delete it on one side"


@lint("error")
def conflict(rule: Rule, company: Company) -> Iterator[Found]:
    """A text that the rule calls fine, a near miss or a revision, breaks another rule by that rule's own examples."""
    for each in company.conflicts.get(rule.id, ()):
        what = f"calls {quoted(each.text)} fine, and rule `{each.other}` ({each.where}) is broken by it"
        yield each.path, what, "let one of the two go: what breaks a rule in force is nobody's near miss"


@lint("error")
def taught_test(rule: Rule, _: Company) -> Iterator[Found]:
    """A test repeats an example: it shows only that the example was learnt."""
    taught = {_said(example) for path, example in _all(rule) if path[0] == "examples"}
    for path, example in _all(rule):
        if path[0] == "tests" and _said(example) in taught:
            yield path, f"is tested by one of its own examples, {quoted(example.text)}", "say it in other words"


@lint("error")
def contract_count(rule: Rule, _: Company) -> Iterator[Found]:
    """A rule has fewer texts than its contract asks for; the rest of a contract is measured by `wardlaw rules test`."""
    for side, asked in (("breaks", rule.contract.breaks), ("keeps", rule.contract.keeps)) if rule.contract else ():
        there = sum(path[1] == side for path, _ in _all(rule))
        if there < asked:
            what = f"has {there} under `{side}` (examples and tests), and its contract asks for {asked}"
            shown = {example.part for path, example in _all(rule) if path[1] == side}
            unseen = [part for part in rule.watches if part in EXAMPLE_PARTS and part not in shown]
            none = f"; none of them is a {' or a '.join(unseen)} yet, which the rule watches" if unseen else ""
            yield ("contract", side), what, f"write {asked - there} more under `{side}`{none}"


@lint("error")
def contract_unmeasured(rule: Rule, _: Company) -> Iterator[Found]:
    """A contract asks for a recall, and the gate does not look for the rule at all."""
    if rule.contract and rule.contract.recall > 0 and rule.detect is None:
        what = "has a contract that asks for a recall, and no `detect`: the gate finds none of it"
        hint = "write `contract: {recall: 0}`, or say how it is found under `detect`"
        yield ("contract", "recall"), what, hint


@lint("warning")
def no_reply(rule: Rule, _: Company) -> Iterator[Found]:
    """A gate can stop an answer, and there is nothing to say in its place."""
    if rule.detect and rule.reply is None:
        what = "has no `reply` for when the guard answers for itself"
        yield (), what, "say in a sentence or two what you will not do, and what help there is"


_REFUSAL = re.compile(
    r"(i(’|')?m |i am )?(very |so |really )?(sorry|afraid)?[\s,.!]*(but )?(as an ai[^,.]*,\s*)?"
    r"(i|we) (cannot|can ?not|can(’|')t|won(’|')t|will not|am unable to|(’|')m unable to|am not able to)\b"
    r"((?!\bbut\b)[^.!?;])*[.!?]?"
    r"|(很?抱歉|对不起|不好意思)?[，,。!！\s]*(但是?)?(作为[^，,。]*[，,])?我(们)?(不能|无法|没办法|不可以)"
    r"((?!但|不过|可以)[^。！!；])*[。！!]?",
    re.IGNORECASE,
)


@lint("warning")
def bare_refusal(rule: Rule, _: Company) -> Iterator[Found]:
    """The reply is a refusal and nothing more."""
    for language, reply in rule.reply.root.items() if rule.reply else ():
        if _REFUSAL.fullmatch(reply.strip()):
            what = f"has a `reply` that only refuses: {quoted(reply)}"
            yield ("reply", language), what, "add why in half a sentence, and what you can help with instead"


@lint("warning")
def missing_language(rule: Rule, company: Company) -> Iterator[Found]:
    """A text that is written by language lacks `en` or `zh`, and more than half of the rules have it in that one."""
    for name in _SPOKEN:
        text: Text | None = getattr(rule, name)
        if text is None or "und" in text.root:  # a plain string serves every language
            continue
        for language in _LANGUAGES:
            speaking = company.speaking.get((name, language), 0)
            if not text.speaks(language) and speaking * 2 > company.rules:
                what = f"has no `{language}` in `{name}`, which {speaking} other rules have"
                yield (name,), what, f"add `{language}:` to it"


@lint("warning")
def literal_hits_near_miss(rule: Rule, _: Company) -> Iterator[Found]:
    """A literal pattern is found in a text that keeps the rule: a false alarm that is known beforehand."""
    for index, pattern in enumerate(rule.detect.patterns if rule.detect else ()):
        if pattern.literal is None:
            continue
        for path, example in _all(rule):
            watched = example.part in (pattern.watches or rule.watches)
            if path[1] == "keeps" and watched and _holds(example.text, pattern.literal):
                what = f"has the literal {quoted(pattern.literal)}, which its own near miss holds:"
                hint = "write a narrower pattern, or leave the case to `meaning`"
                yield ("detect", "patterns", index), f"{what} {quoted(example.text)}", hint


@lint("warning")
def quoted_pattern(rule: Rule, _: Company) -> Iterator[Found]:
    """A pattern stands in typographic quotes, which YAML takes for a part of it."""
    for index, pattern in enumerate(rule.detect.patterns if rule.detect else ()):
        text = pattern.literal or pattern.regex or ""
        if len(text) > 1 and text[0] in _QUOTES and text[-1] in _QUOTES:
            key = "literal" if pattern.literal else "regex"
            what = f"has a pattern in typographic quotes, and looks for these too: {quoted(text)}"
            yield ("detect", "patterns", index, key), what, "write plain single quotes `'` in their place"


_QUOTES = "“”„‟‘’‚‛«»‹›「」『』＂＇"  # the very characters that are mistaken


@lint("warning")
def cut_text(rule: Rule, company: Company) -> Iterator[Found]:
    """An unquoted text ends where YAML sees a comment that may belong to it, as in `order #1234`."""
    for keys, word in company.cuts[rule.id]:
        yield keys, f"has a text that ends before {quoted(word)}", "quote the line if the rest belongs to it"


@lint("warning")
def text_like_a_key(rule: Rule, company: Company) -> Iterator[Found]:
    """An unquoted text begins like a key or an item of a list, as `prompt:Hi` does: YAML takes it for text."""
    for keys, word in company.begins[rule.id]:
        if word == "0":
            yield keys, "has an example that is a number or a date", "write what was said; quote it if that is all"
        elif word == "-":
            hint = "put its `- ` under the one above; quote the whole text if it is one"
            yield keys, "has a text with a line that begins like an item of a list", hint
        else:
            hint = f"for a key write `{word}: `, a colon and a space, in line with the keys; else quote the whole text"
            yield keys, f"has a text with a line that begins like the key `{word}`", hint


@lint("warning")
def said_twice(rule: Rule, _: Company) -> Iterator[Found]:
    """One example, test or neighbour stands twice on the same side of a rule."""
    seen: set[object] = set()
    for path, example in _all(rule):
        key = (path[:2], _said(example))
        if key in seen:
            yield path, f"says {quoted(example.text)} twice", "delete one, or say it in other words"
        seen.add(key)
    for index, allowed in enumerate(rule.allowed):
        if allowed in rule.allowed[:index]:
            yield ("allowed", index), f"says {quoted(allowed)} twice", "delete one, or say it in other words"


@lint("warning")
def neighbour_as_example(rule: Rule, _: Company) -> Iterator[Found]:
    """An example repeats a text of `allowed`, which describes what is fine and is nothing that somebody says."""
    allowed = {" ".join(text.casefold().split()) for each in rule.allowed for text in each.root.values()}
    for path, example in _all(rule):
        if " ".join(example.text.casefold().split()) in allowed:
            what = f"has {quoted(example.text)} among its `{path[1]}` and under `allowed`"
            hint = "write what somebody would say" if path[1] == "keeps" else "it cannot be both: delete one of the two"
            yield path, what, hint


@lint("warning")
def unknown_hazard_code(rule: Rule, _: Company) -> Iterator[Found]:
    """A hazard names a code that its system does not have; a system that is not in the crosswalk may have any."""
    from rules.hazards import crosswalk

    known = crosswalk().systems if rule.hazards else {}
    for index, hazard in enumerate(rule.hazards):
        system, _colon, code = hazard.partition(":")
        if system in known and code not in known[system].codes:
            codes = known[system].codes
            what = f"has the hazard {quoted(hazard)}, and {quoted(system)} has no code {quoted(code)}"
            yield ("hazards", index), what, did_you_mean(code, codes, f"its codes are {listed(codes)}")


@lint("error")
def pattern_looks_elsewhere(rule: Rule, _: Company) -> Iterator[Found]:
    """A pattern watches a part that its rule does not, and so never acts."""
    for index, pattern in enumerate(rule.detect.patterns if rule.detect else ()):
        strangers = [part for part in pattern.watches or () if part not in rule.watches]
        if strangers:
            what = f"has a pattern that watches {listed(strangers)}, which the rule does not"
            yield ("detect", "patterns", index, "watches"), what, "add it to the rule's `watches`, or take it out here"


def _all(rule: Rule) -> Iterator[tuple[tuple[str | int, ...], Example]]:
    """Every example and test of a rule, with its path."""
    for name, group in (("examples", rule.examples), ("tests", rule.tests)):
        for side, examples in (("breaks", group.breaks), ("keeps", group.keeps)):
            for index, example in enumerate(examples):
                yield (name, side, index), example


def _said(example: Example) -> tuple[tuple[str, str], ...]:
    """What an example says, letter case and spacing aside."""
    return tuple((turn.role, " ".join(turn.content.casefold().split())) for turn in example.messages)


def _holds(text: str, literal: str) -> bool:
    """Whether a literal stands in a text, as whole words where the script has word borders."""
    literal = literal.casefold()
    words = r"\s+".join(re.escape(word) for word in literal.split())
    before = r"(?<![a-z0-9])" if re.match(r"[a-z0-9]", literal) else ""
    after = r"(?![a-z0-9])" if re.search(r"[a-z0-9]$", literal) else ""
    return re.search(before + words + after, text.casefold()) is not None
