"""The gate measured before and after: the rules' own tests and contracts, check sets, and the ledger replayed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from constitution.cycle.digests import of_data, of_encoder, of_files, of_rules
from constitution.cycle.settings import CycleSettings
from constitution.cycle.step import Made, Work
from constitution.cycle.steps.ledger import entries_of
from constitution.formats.files import write_text
from constitution.run import dump
from guard.ledger.events import Target
from guard.ledger.find import Kind
from guard.ledger.outcomes import Column, Outcome, Replay
from guard.ledger.replay import judge
from guard.training.evaluate import SetResult, evaluate
from guard.training.metrics import Interval
from guard.training.sets import CheckSet, find_files, read_set, tests_of
from guard.trials.change import Change, Demand, compare
from guard.trials.trial import Trial, try_rules
from rules.words import quoted

if TYPE_CHECKING:
    from guard.gate import Gate
    from guard.ledger.state import Entry

NAME = "check"
ABOUT = "the gate before and after"
VERSION = 3

DEMANDS: tuple[Demand, ...] = ("off", "report", "contract", "no_worse", "strict")
CHANCE = 0.05
"""One-sided probability from which losses on a check set are laid to chance."""
_SHOWN = 5
_ALL_THE_SAME = "`adopt: {demand: report}` takes such heads all the same"


def left_out(settings: CycleSettings) -> bool:
    """Never."""
    return False


def after(settings: CycleSettings) -> tuple[str, ...]:
    """What made heads."""
    return tuple(name for name in ("train", "calibrate") if getattr(settings, name) is not None)


def inputs(work: Work) -> dict[str, str]:
    """Rules, encoder, the heads in force before, the check sets, and the finds."""
    settings = work.settings
    entries = entries_of(settings.ledger.file) if settings.ledger else []
    return {
        **of_rules(work.constitution),
        "encoder": of_encoder(settings.gate.encoder),
        "heads in force": work.state.before.identity,
        # Whether one is open or fixed is what a replay says: it must not call for the next.
        "finds": of_data([[e.find.id, e.rules, e.status == "accepted"] for e in entries]),
        "settings `ledger`": of_data(settings.ledger.hold_out if settings.ledger else None),
        "settings `check`": of_data(settings.check.ignore),
        **of_files("file", settings.check.sets),
    }


def run(work: Work) -> Made:
    """Measure both gates on the same texts."""
    settings = work.settings
    check = settings.check
    sets = [read_set(path, check.ignore) for path in find_files(check.sets)] if check.sets else []
    entries = entries_of(settings.ledger.file) if settings.ledger else []
    with work.gate(work.state.before.heads) as before, work.gate(work.newest) as now:
        gates = {"before": before, "after": now}
        work.told(f"{sum(len(each.rows) for each in sets):,} rows of check sets, {len(entries):,} finds, and the tests")
        measured = {name: _measured(gate, sets) for name, gate in gates.items()}
        change = compare(now, before)
        replay = _replay(work, gates, entries)
    lost = _lost(measured["before"][0], measured["after"][0], {each.name for each in sets})
    regressed = [
        f"{quoted(entry.find.id)} ({', '.join(entry.rules) or 'no rule'}): {quoted(entry.find.text)}"
        for entry in (replay.regressed() if replay else [])
    ]
    figures = {
        "sets": [_compared(old, new) for old, new in zip(measured["before"][0], measured["after"][0], strict=True)],
        "own": _by_own(measured["before"][1], measured["after"][1]),
        "rules": _by_rule(measured["before"][1], measured["after"][1]),
        "tests": {"run": change.run, "failing": len(change.failing), "worse": len(change.worse)},
        "breaches": {
            "all": [str(each) for each in change.breaches],
            "new": [str(each) for each in change.new_breaches],
        },
        "ledger": _ledger(replay) if replay else None,
        "heads": _heads(now),
        "gates": {name: gate.identity for name, gate in gates.items()},
        "against": {demand: _against(change, demand, lost, regressed) for demand in DEMANDS},
    }
    states = {name: outcome.state for name, outcome in replay.today.outcomes.items()} if replay else {}
    path = write_text(work.out / "check" / f"{work.number:03}.json", dump({**figures, "finds": states}))
    return Made([path], figures)


def _measured(gate: Gate, sets: Sequence[CheckSet]) -> tuple[list[SetResult], Trial]:
    trial = try_rules(gate, origins=("tests",), explain=False)
    return evaluate(gate, [*tests_of(gate.constitution), *sets]), trial


def _compared(old: SetResult, new: SetResult) -> dict[str, Any]:
    return {
        "set": new.name,
        "rows": len(new.judged),
        "harmful": new.counts.harmful,
        "safe": new.counts.safe,
        "before": _accuracy(old),
        "after": _accuracy(new),
        "degraded": dict(new.degraded),
    }


def _accuracy(result: SetResult) -> dict[str, Any]:
    return {
        "recall": interval(result.counts.recall),
        "false_alarms": interval(result.counts.safe_flagged),
        "auc": result.ranking and round(result.ranking.auc, 4),
    }


def _by_own(old: Trial, new: Trial) -> dict[str, Any]:
    """All tests, each found where its own rule is: a set counts what any rule finds, also the wrong one."""
    return {
        "harmful": new.count("breaks")[1],
        "safe": new.count("keeps")[1],
        "before": {"recall": interval(old.recall()), "false_alarms": interval(old.false_alarms())},
        "after": {"recall": interval(new.recall()), "false_alarms": interval(new.false_alarms())},
    }


def _by_rule(old: Trial, new: Trial) -> dict[str, Any]:
    return {
        rule: {
            side: {"recall": interval(tally.recall()), "false_alarms": interval(tally.false_alarms())}
            for side, tally in (("before", old.by_rule[rule]), ("after", new.by_rule[rule]))
        }
        for rule in new.by_rule
    }


def _replay(work: Work, gates: Mapping[str, Gate], entries: Sequence[Entry]) -> Replay | None:
    ledger = work.settings.ledger
    if not entries or ledger is None:
        return None
    columns = []
    for gate in gates.values():
        outcomes: dict[str, Outcome] = judge(entries, gate, lambda _: None)
        columns.append(Column(_target(work, gate), outcomes))
    return Replay(tuple(entries), tuple(columns), ledger.hold_out)


def _target(work: Work, gate: Gate) -> Target:
    return Target(kind="gate", name=" ".join(work.settings.rules), constitution=gate.digest, gate=gate.identity)


def _ledger(replay: Replay) -> dict[str, Any]:
    before, now = replay.columns
    between = replay.between(1)
    kinds: tuple[Kind, ...] = ("break", "false-alarm")
    sides = {
        side: {
            kind.replace("-", "_"): {
                "n": sum(entry.find.kind == kind for entry in entries),
                "before": interval(before.rate(entries, kind)),
                "after": interval(now.rate(entries, kind)),
            }
            for kind in kinds
        }
        for side, entries in replay.sides().items()
    }
    counts, regressed = now.count(replay.entries), replay.regressed()
    accepted = replay.changes()["accepted"]
    return {
        "finds": len(replay.entries),
        "fixed": len(between["fixed"]),
        "regressed": len(regressed),
        "accepted": len(accepted),
        "still_open": counts["breaks"] - len(regressed) - len(accepted),
        "untold": counts["unsure"] + counts["failed"],
        "holds": counts["holds"],
        "sides": sides,
    }


def _lost(old: Sequence[SetResult], new: Sequence[SetResult], of: set[str]) -> list[str]:
    """The check sets that got worse beyond chance: more rows lost than won, by the exact sign test on those that differ
    (McNemar 1947, doi:10.1007/BF02295996)."""
    from scipy.stats import binomtest

    found = []
    for before, after in zip(old, new, strict=True):
        if after.name not in of:
            continue
        for harmful, what in ((True, "harmful rows found"), (False, "harmless rows let pass")):
            pairs = [
                (was.flagged == harmful, now.flagged == harmful)
                for was, now in zip(before.judged, after.judged, strict=True)
                if now.row.harmful == harmful
            ]
            lost, won = pairs.count((True, False)), pairs.count((False, True))
            if lost and binomtest(lost, lost + won, 0.5, alternative="greater").pvalue < CHANCE:
                found.append(f"check set `{after.name}`: {what}: {lost:,} lost and {won:,} won, of {len(pairs):,}")
    return found


def _against(change: Change, demand: Demand, lost: Sequence[str], regressed: Sequence[str]) -> list[str]:
    told = change.against(demand, _ALL_THE_SAME)
    found = [told] if told else []
    if demand in ("no_worse", "strict"):
        found += lost
        if regressed:
            more = f"; and {len(regressed) - _SHOWN} more" if len(regressed) > _SHOWN else ""
            found.append(f"finds that held break: {'; '.join(regressed[:_SHOWN])}{more}")
    return found


def _heads(gate: Gate) -> dict[str, str]:
    """Rule -> how it is looked for by meaning: `meaning` by a head, else how else, or why not."""
    found = {}
    for detector in gate.detectors:
        if detector.name != "meaning":
            continue
        for rule in gate.constitution:
            covers = [detector.covers(rule, part) for part in rule.watches]
            found[rule.id] = next((cover.by for cover in covers if cover.by), "") or next(
                (cover.why_not for cover in covers if cover.why_not), ""
            )
    return found


def interval(found: Interval | None) -> dict[str, float] | None:
    """An interval as JSON."""
    return None if found is None else {name: round(getattr(found, name), 4) for name in ("value", "low", "high")}


def states_of(path: Path) -> dict[str, str]:
    """Find id -> state, of the replay that was kept."""
    import json

    found: dict[str, str] = json.loads(path.read_bytes())["finds"]
    return found
