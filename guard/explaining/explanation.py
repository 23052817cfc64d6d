"""explain(): why the gate judges a text as it does, stage by stage, and what would have had to be otherwise."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from guard.detectors._readings import Reading
from guard.detectors._taught import SIDE
from guard.detectors.base import AskedDetector, Scan, excerpt, parts
from guard.detectors.meaning import MeaningDetector
from guard.detectors.patterns import Patterns
from guard.detectors.static import StaticDetector
from guard.exchange import Exchange
from guard.explaining.advice import advice
from guard.explaining.looking import looking, meaning_of
from guard.explaining.nearest import nearest
from guard.explaining.otherwise import Carrier, Said, acts, otherwise, replayed, was_asked, why_needless
from guard.explaining.patterns import near_misses, pattern_of
from guard.explaining.seen import Explanation, Found, Meant, RuleSeen, StageSeen, Turns, ViewSeen
from guard.explaining.windows import Window, Windows, read_windows
from guard.explaining.words import carried_by
from guard.gate import Gate
from guard.guarding.post import worse
from guard.turns import Joined, earlier_turns, join
from guard.verdict import Finding, Verdict
from guard.views import views
from rules.schema import Action, Rule

__all__ = ["RULES", "Explanation", "explain"]

RULES = 5
"""Rules that are explained one by one; each costs some dozen encodings."""

_VIEW = 160
_JOINED = "joined"


def explain(gate: Gate, exchange: Exchange, named: Sequence[str] = ()) -> Explanation:
    """Explain the verdict on the last message of an exchange. Blocks while models run.

    Args:
        gate: what judges; not a thorough one, or nothing is told of what a stage spared the next.
        exchange: what is judged.
        named: rules that are explained whether or not they are found broken.

    Raises:
        KeyError: a named rule is not the gate's.
    """
    by_id = {rule.id: rule for rule in gate.constitution}
    asked_about = [by_id[rule] for rule in dict.fromkeys(named)]
    verdict = gate.judge(exchange)
    ran = {name.partition(":")[0] for name in verdict.coverage.scanned} | set(verdict.coverage.degraded)
    meaning = meaning_of(gate)
    windows = None
    if meaning is not None:
        found = {(each.span, each.view) for each in verdict.findings if each.detector == meaning.name}
        windows = read_windows(meaning, exchange, found)
    said = _said(gate, exchange, verdict, windows, ran)
    findings = tuple(_found(by_id[each.rule], each, exchange, said) for each in verdict.findings)
    ranked = sorted(findings, key=lambda each: (-list(Action).index(each.action), -each.finding.score))
    broken = list(dict.fromkeys(each.finding.rule for each in ranked))
    chosen = list(dict.fromkeys([*(rule.id for rule in asked_about), *broken[:RULES]]))
    if not chosen:
        chosen = _highest(windows)
    seen, joined = _views(exchange)
    return Explanation(
        exchange,
        verdict,
        tuple(seen),
        joined,
        tuple(_stages(gate, exchange, verdict, said, windows)),
        findings,
        broken[0] if broken else "",
        _unsure(gate, windows if meaning is not None and meaning.name in ran else None, broken),
        _turns(gate, exchange, verdict),
        tuple(
            _rule_seen(gate, by_id[rule], exchange, rule in broken, rule in named, said, windows, meaning, ran)
            for rule in chosen
        ),
        len(windows.windows) if windows else 0,
    )


def _said(gate: Gate, exchange: Exchange, verdict: Verdict, windows: Windows | None, ran: set[str]) -> list[Said]:
    """Each stage's say: as the verdict has it where it looked, else by a look of its own."""
    told = []
    own = [each for each in verdict.findings if not each.view.startswith(_JOINED)]
    by_id = {rule.id: rule for rule in gate.constitution}
    plan = gate.plan(tuple(part for part, _ in parts(exchange)), {})
    for detector in gate.detectors:
        name = detector.name
        failure = plan.on_error.get(name) if name in verdict.coverage.degraded else None
        found: Sequence[Finding] = [each for each in own if each.detector == name]
        clear = False
        if isinstance(detector, MeaningDetector):
            if name not in ran and windows is not None:
                found = _by_windows(detector, windows, by_id)
        elif not isinstance(detector, AskedDetector) and failure is None:
            scan = _alone(gate, exchange, detector.name)
            clear = scan.clear
            found = found if name in ran else scan.findings
        carriers = tuple((_carrier(by_id[each.rule], each, exchange), each) for each in found)
        told.append(Said(name, carriers, clear, detector.skips_clear, failure, was_asked(gate, name, ran)))
    crossed = [each for each in verdict.findings if each.view.startswith(_JOINED)]
    if crossed:
        told.append(Said(_JOINED, tuple((Carrier(each.rule, _JOINED), each) for each in crossed)))
    return told


def _alone(gate: Gate, exchange: Exchange, name: str) -> Scan:
    detector = next(each for each in gate.detectors if each.name == name)
    return detector.scan([exchange])[0]


def _by_windows(detector: MeaningDetector, windows: Windows, rules: dict[str, Rule]) -> list[Finding]:
    """What the meaning detector would find, by the windows that were looked at."""
    found = []
    for window in windows.windows:
        reading: Reading = window.reading
        for rule, score in window.scores.items():
            threshold = detector.threshold(rules[rule], reading.part)
            if score >= threshold:
                said = excerpt(reading.original, reading.span)
                found.append(
                    Finding(rule, reading.part, reading.span, detector.name, score, threshold, reading.view, said)
                )
    return found


def _carrier(rule: Rule, finding: Finding, exchange: Exchange) -> Carrier:
    pattern = pattern_of(rule, finding, exchange) if finding.detector == Patterns.name else None
    return Carrier(finding.rule, finding.detector, pattern)


def _found(rule: Rule, finding: Finding, exchange: Exchange, said: Sequence[Said]) -> Found:
    pattern = next(
        (carrier.pattern for each in said for carrier, one in each.findings if one == finding),
        None,
    )
    return Found(finding, pattern, acts(rule, finding), rule.action(finding.part))


def _highest(windows: Windows | None) -> list[str]:
    """The rule with the highest score of all."""
    scores = [(score, rule) for window in (windows.windows if windows else ()) for rule, score in window.scores.items()]
    return [max(scores)[1]] if scores else []


def _views(exchange: Exchange) -> tuple[list[ViewSeen], bool]:
    told: list[ViewSeen] = []
    capped = False
    for part, text in parts(exchange):
        seen = views(text)
        capped = capped or seen.capped
        told += [ViewSeen(part, view.name, len(view.text), _shows(text, view.text)) for view in seen.all]
    return told, capped


def _shows(text: str, view: str) -> str:
    """The beginning of a view; where it begins as the text does, from where it begins to differ."""
    at = 0
    if view != text:
        at = next((place for place, (one, other) in enumerate(zip(text, view, strict=False)) if one != other), 0)
        at = max(0, at - 20)
    begun = "…" if at else ""
    return begun + excerpt(view, (at, len(view)), _VIEW)


def _stages(
    gate: Gate, exchange: Exchange, verdict: Verdict, said: Sequence[Said], windows: Windows | None
) -> list[StageSeen]:
    told, action, clear = [], Action.ALLOW, False
    before: list[Said] = []
    for each in said:
        needless = why_needless(action, clear, each)
        before.append(each)
        if not needless and not each.known:
            needless = "no rule was left open"
        if not needless:
            clear = clear or each.clear
            action = worse(action, replayed(gate, before).action)
        detector = next((one for one in gate.detectors if one.name == each.stage), None)
        told.append(
            StageSeen(
                each.stage,
                needless,
                len(each.findings),
                each.clear,
                verdict.coverage.degraded.get(each.stage, ""),
                verdict.ms.get(each.stage),
                detector.margin(exchange) if isinstance(detector, StaticDetector) else None,
                windows.of if windows and each.stage == MeaningDetector.name else None,
            )
        )
    return told


def _unsure(gate: Gate, windows: Windows | None, broken: Collection[str]) -> tuple[str, ...]:
    """The rules left open for a judge; none where the meaning stage did not look."""
    if windows is None:
        return ()
    best = [(rule, windows.best(rule.id)) for rule in gate.constitution if rule.id not in broken]
    return tuple(rule.id for rule, window in best if window and _in_band(windows.detector, rule, window))


def _in_band(detector: MeaningDetector, rule: Rule, window: Window) -> bool:
    part, score = window.reading.part, window.scores[rule.id]
    heads = detector.heads_of(rule, part)
    if heads is None:
        return False
    threshold = detector.threshold(rule, part)
    return min(heads.sides[SIDE[part]].unsure, threshold) <= score < threshold


def _turns(gate: Gate, exchange: Exchange, verdict: Verdict) -> Turns | None:
    earlier = earlier_turns(exchange)
    if not earlier:
        return None
    told = [(turn, gate.judge(turn)) for turn in earlier]
    joined: Joined | None = join(exchange, told)
    kept = [turn.text for turn, seen in reversed(told) if not seen.findings] if joined else []
    crossed = tuple(dict.fromkeys(each.rule for each in verdict.findings if each.view.startswith(_JOINED)))
    return Turns(tuple(kept), sum(bool(seen.findings) for _, seen in told), crossed)


def _rule_seen(
    gate: Gate,
    rule: Rule,
    exchange: Exchange,
    broken: bool,
    named: bool,
    said: Sequence[Said],
    windows: Windows | None,
    meaning: MeaningDetector | None,
    ran: set[str],
) -> RuleSeen:
    under = dict(parts(exchange))
    looks = tuple(each for each in looking(gate, rule) if each.part in under)
    by_patterns = any(
        carrier.rule == rule.id for each in said if each.stage == Patterns.name for carrier, _ in each.findings
    )
    near = []
    if not by_patterns:
        near = [miss for part, text in under.items() if part in rule.watches for miss in near_misses(rule, part, text)]
    meant = None
    best = windows.best(rule.id) if windows and meaning else None
    if best is not None and windows is not None and meaning is not None:
        part, score = best.reading.part, best.scores[rule.id]
        meant = Meant(
            score,
            meaning.threshold(rule, part),
            meaning.name in ran,
            best,
            _in_band(meaning, rule, best),
            nearest(rule, part, best.reading.text, meaning.encoder),
            carried_by(windows, best, rule.id),
        )
    helps = advice(
        rule,
        broken=broken,
        under=tuple(under),
        looking=looks,
        score=meant.score if meant else None,
        spared=meant is not None and not meant.looked and meant.score >= meant.threshold,
    )
    lacks = otherwise(gate, said, rule.id) if broken else ()
    return RuleSeen(rule, broken, named, looks, meant, tuple(near), lacks, helps)
