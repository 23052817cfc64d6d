"""A trial of rules as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from guard.training.metrics import Interval
    from guard.trials.cases import Kind, Origin
    from guard.trials.contract import Breach
    from guard.trials.look import Seen
    from guard.trials.trial import Tally, Trial
    from rules.loaded import Loaded

_DIGITS = 6


def as_dict(
    loaded: Loaded,
    trial: Trial,
    broken: Sequence[Breach],
    *,
    ok: bool,
    only: Sequence[str] = (),
    poorly: Sequence[str] = (),
) -> dict[str, Any]:
    """All of it: figures by rule, every text, and the contracts that are not kept.

    Args:
        ok: the command's own word.
        poorly: ids of the rules whose texts the encoder reads poorly.
    """
    from guard.trials.trial import Tally

    rules = [rule for rule in loaded.constitution if not only or rule.id in only]
    return {
        "ok": ok,
        "digest": trial.constitution,
        "rules": [
            {
                "id": rule.id,
                "looked_for": rule.detect is not None,
                "read_poorly": rule.id in poorly,
                **_figures(trial.by_rule.get(rule.id, Tally())),
                "contract": None if rule.contract is None else rule.contract.model_dump(mode="json"),
                "breaches": [_breach(each) for each in broken if each.rule == rule.id],
            }
            for rule in rules
        ],
        "all": _figures(trial),
        "disguises": [{"name": name, **disguise_figures(tally)} for name, tally in trial.by_disguise.items()],
        "texts": [_text(loaded, seen) for seen in trial.seen],
    }


def disguise_figures(tally: Tally) -> dict[str, Any]:
    """Of the texts that are found plain: how many are found in a disguise, by their own rule and by any."""
    found, texts = tally.count("breaks")
    stopped = sum(each.found or bool(each.others) for each in tally.seen)
    return {"texts": texts, "found": found, "recall": _interval(tally.recall()), "found_by_any_rule": stopped}


def _figures(tally: Tally) -> dict[str, Any]:
    return {
        "recall": {origin: _share(tally, "breaks", origin) for origin in ("tests", "examples")},
        "false_alarms": {origin: _share(tally, "keeps", origin) for origin in ("tests", "examples")},
        "stages": dict(tally.stages),
        "found_by_another_rule": sum(not seen.found and bool(seen.others) for seen in tally.of("breaks")),
        "failing_tests": len(tally.failing("tests")),
    }


def _share(tally: Tally, kind: Kind, origin: Origin) -> dict[str, Any]:
    found, of = tally.count(kind, origin)
    measured = tally.recall(origin) if kind == "breaks" else tally.false_alarms(origin)
    return {"found": found, "of": of, **(_interval(measured) or {"value": None, "low": None, "high": None})}


def _interval(measured: Interval | None) -> dict[str, float] | None:
    if measured is None:
        return None
    return {name: round(getattr(measured, name), _DIGITS) for name in ("value", "low", "high")}


def _breach(breach: Breach) -> dict[str, Any]:
    return {
        "clause": breach.clause,
        "asked": breach.asked,
        "measured": breach.measured,
        "message": str(breach),
        "hints": list(breach.hints),
    }


def _text(loaded: Loaded, seen: Seen) -> dict[str, Any]:
    case = seen.case
    return {
        "rule": case.rule,
        "kind": case.kind,
        "origin": case.origin,
        "index": case.index,
        "where": str(loaded.locate(case.rule, *case.keys)),
        "part": str(case.part),
        "text": case.text,
        "found": seen.found,
        "passed": seen.passed,
        "failed": seen.failed,
        "stage": seen.stage or None,
        "view": seen.view or None,
        "score": None if seen.score is None else round(seen.score, _DIGITS),
        "threshold": None if seen.threshold is None else round(seen.threshold, _DIGITS),
        "why": seen.why or None,
        "others": list(seen.others),
    }
