from __future__ import annotations

import pytest

from guard.detectors.base import Cover, Scan
from guard.exchange import Exchange
from guard.gate import Gate
from guard.verdict import Finding
from rules.schema import Action, Part


class Stage:
    """A detector that gives the scan it was told to give, and counts."""

    identity = "stage/1"

    def __init__(self, name, scan=None, *, instant=True, skips_clear=False):
        self.name = name
        self.instant = instant
        self.skips_clear = skips_clear
        self.looked = 0
        self._scan = scan or Scan()

    def covers(self, rule, part):
        return Cover(by=self.name)

    def scan(self, exchanges):
        self.looked += len(exchanges)
        return [self._scan for _ in exchanges]

    def close(self):
        """Nothing to let go of."""


class Asked(Stage):
    """A detector that is asked about open rules."""

    def __init__(self, scan=None, *, always=()):
        super().__init__("judge", scan, instant=False)
        self.rules: list[frozenset[str]] = []
        self._always = set(always)

    def always(self, rule):
        return rule.id in self._always

    async def ask(self, exchanges, rules):
        self.looked += len(exchanges)
        self.rules += rules
        return [self._scan for _ in exchanges]


def found(rule="weapon-help", detector="judge"):
    return Scan((Finding(rule, Part.PROMPT, (0, 1), detector, 0.9, 0.5),), {rule: 0.9})


@pytest.fixture
def gate_of(make_rule, constitute):
    def make(*stages, **options):
        rules = options.pop("rules", None) or [make_rule(detect={})]
        return Gate(constitute(*rules), stages, **options)

    return make


BOTH_WAYS = pytest.mark.parametrize("way", ["judge", "ajudge"])


async def ask(gate, way, text="x"):
    return gate.judge(Exchange.of(text)) if way == "judge" else await gate.ajudge(Exchange.of(text))


@BOTH_WAYS
async def test_what_is_clear_goes_past_the_stages_that_need_not_look(gate_of, way):
    dear = Stage("meaning", instant=False, skips_clear=True)
    verdict = await ask(gate_of(Stage("static", Scan(clear=True)), dear), way)
    assert dear.looked == 0
    assert "meaning" not in verdict.coverage.scanned
    assert verdict.coverage.scanned["static"] == ("weapon-help",)


@BOTH_WAYS
async def test_what_is_not_clear_is_looked_at(gate_of, way):
    dear = Stage("meaning", instant=False, skips_clear=True)
    await ask(gate_of(Stage("static"), dear), way)
    assert dear.looked == 1


@BOTH_WAYS
async def test_a_certain_block_ends_the_looking(gate_of, way):
    dear = Stage("meaning", instant=False)
    verdict = await ask(gate_of(Stage("patterns", found(detector="patterns")), dear), way)
    assert verdict.action is Action.BLOCK
    assert dear.looked == 0
    assert "meaning" not in verdict.coverage.scanned


@BOTH_WAYS
async def test_a_thorough_gate_looks_with_everything(gate_of, way):
    dear = Stage("meaning", instant=False, skips_clear=True)
    await ask(gate_of(Stage("patterns", found()), Stage("static", Scan(clear=True)), dear, thorough=True), way)
    assert dear.looked == 1


@BOTH_WAYS
async def test_only_the_rules_left_open_are_asked_about(gate_of, make_rule, way):
    rules = [make_rule(name, detect={}) for name in ("one", "two", "three")]
    judge = Asked(always=["three"])
    await ask(gate_of(Stage("meaning", Scan(unsure=frozenset({"one"}))), judge, rules=rules), way)
    assert judge.rules == [frozenset({"one", "three"})]


@BOTH_WAYS
async def test_nothing_open_asks_nothing_and_coverage_says_so(gate_of, way):
    judge = Asked()
    verdict = await ask(gate_of(Stage("meaning"), judge), way)
    assert judge.looked == 0
    assert "judge" not in verdict.coverage.scanned


@BOTH_WAYS
async def test_what_the_judge_finds_decides(gate_of, way):
    verdict = await ask(gate_of(Stage("meaning", Scan(unsure=frozenset({"weapon-help"}))), Asked(found())), way)
    assert verdict.action is Action.BLOCK
    assert verdict.broken == ("weapon-help",)


@BOTH_WAYS
async def test_a_rule_that_could_not_be_asked_about_blocks_and_is_named(gate_of, way):
    judge = Asked(Scan(failed={"weapon-help": "the budget is spent"}), always=["weapon-help"])
    verdict = await ask(gate_of(Stage("meaning"), judge), way)
    assert verdict.action is Action.BLOCK
    assert verdict.coverage.degraded == {"judge": "the budget is spent"}


@BOTH_WAYS
async def test_a_rule_that_allows_errors_lets_pass_what_could_not_be_asked(gate_of, make_rule, way):
    judge = Asked(Scan(failed={"weapon-help": "it is down"}), always=["weapon-help"])
    verdict = await ask(gate_of(Stage("meaning"), judge, rules=[make_rule(detect={}, on_error="allow")]), way)
    assert verdict.action is Action.ALLOW
    assert verdict.coverage.degraded


async def test_many_callers_are_judged_together_and_each_gets_its_own(gate_of):
    import asyncio

    dear = Stage("meaning", instant=False)
    gate = gate_of(dear)
    verdicts = await asyncio.gather(*(gate.ajudge(Exchange.of(f"text {n}")) for n in range(50)))
    assert dear.looked == 50
    assert len(verdicts) == 50
