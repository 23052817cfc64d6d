"""What came out: `figures.json`, the tables as Markdown in `figures.md`, and the picture."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import mean
from typing import Any

from figures import agreement, interval_of, over_seeds, paired, perplexity_of, perplexity_ratio
from found import Found, Line, Measure
from picture import draw

from guard.training.metrics import Interval

PAIRS = (("sft", "base"), ("sft+dpo", "base"), ("first", "base"), ("sft", "first"), ("sft+dpo", "sft"))
"""What is set against what. The last answers what preference learning adds to fine-tuning."""


def report(out: Path, models: Sequence[str], pairs: Sequence[tuple[str, str]] = PAIRS) -> None:
    """Write figures, tables and picture of all that was found; `pairs` are arms, one set against the other."""
    found = Found(out, models)
    arms: dict[str, list[str]] = {}
    for name in models:
        arms.setdefault(name.rpartition("-")[0] or name, []).append(name)
    figures = {
        "models": {name: _of_model(found, name) for name in models},
        "arms": {arm: _of_arm(found, names) for arm, names in arms.items()},
        "differences": {
            f"{one} - {other}": _of_pair(found, arms[one], arms[other])
            for one, other in pairs
            if one in arms and other in arms
        },
        "wins over base": {arm: _wins(found, names) for arm, names in arms.items() if found.comparisons[names[0]]},
        "reliability": _reliability(found),
    }
    (out / "figures.json").write_text(json.dumps(figures, indent=1, default=_plain), encoding="utf-8")
    (out / "figures.md").write_text(_tables(found, figures), encoding="utf-8")
    draw(figures, {measure.name: measure.title for measure in found.measures()}, out / "training.png")
    print((out / "figures.md").read_text(encoding="utf-8"))


def _of_model(found: Found, name: str) -> dict[str, Any]:
    figures = {m.name: interval_of(list(found.values(m, name).values()), counted=m.share) for m in found.measures()}
    if found.perplexity[name]:
        figures["perplexity"] = perplexity_of(found.perplexity[name])
    return figures


def _of_arm(found: Found, names: Sequence[str]) -> dict[str, Any]:
    """One recipe over its seeds: values are means over seeds, question by question."""
    if len(names) == 1:
        return _of_model(found, names[0])
    figures = {m.name: interval_of(list(_values(found, m, names).values()), counted=m.share) for m in found.measures()}
    if found.perplexity[names[0]]:
        figures["perplexity"] = perplexity_of([case for name in names for case in found.perplexity[name]])
    return figures


def _values(found: Found, measure: Measure, names: Sequence[str]) -> Any:
    return over_seeds(names, lambda name: found.values(measure, name))


def _of_pair(found: Found, ones: Sequence[str], others: Sequence[str]) -> dict[str, Any]:
    figures: dict[str, Any] = {
        m.name: paired(_values(found, m, ones), _values(found, m, others)) for m in found.measures()
    }
    if found.perplexity[ones[0]] and found.perplexity[others[0]]:
        ratio = perplexity_ratio(found.perplexity[ones[0]], found.perplexity[others[0]])
        figures["perplexity"] = {
            "n": len(found.perplexity[ones[0]]),
            "ratio": ratio.value,
            "low": ratio.low,
            "high": ratio.high,
        }
    return figures


def _wins(found: Found, names: Sequence[str]) -> dict[str, Any]:
    """How often the judge finds the tuned model's answer to a harmless instruction the more helpful, in both orders."""
    lines = [line for name in names for line in found.comparisons[name].values()]

    def over(told: Callable[[Line], float]) -> Interval | None:
        """Over questions, seeds of one question put together: they are not pairs of their own."""
        each = [{k: told(x) for k, x in found.comparisons[name].items() if "label" in x} for name in names]
        keys = {key for seen in each for key in seen}
        return interval_of([mean(seen[key] for seen in each if key in seen) for key in keys])

    return {
        "pairs": sum("label" in line for line in lines),
        "same text": sum(bool(line.get("same")) for line in lines),
        "unread": sum(bool(line.get("unread")) for line in lines),
        "wins": over(lambda line: float(line["label"] > 0.5)),
        "mean probability": over(lambda line: line["label"]),
        "order flips": over(lambda line: float((line["first"] > 0.5) != (line["second"] > 0.5))),
    }


def _reliability(found: Found) -> dict[str, Any]:
    """How far the tellers agree with people's labels."""
    figures: dict[str, Any] = {}
    for name, positive, field in (("refusal", "refusal", "refuses"), ("harm", "harmful", "broken")):
        lines, labels = found.labels[name]
        if lines:
            said = [bool(line[field]) for line in lines]
            figures["refusal, by phrases" if name == "refusal" else "harm, by the gate"] = agreement(
                said, [line["label"] == positive for line in labels]
            )
    read = [line for line in found.reliability if not line.get("unread")]
    if read:
        figures["harm, by the judge"] = agreement(
            [bool(line["breaks"]) for line in read], [line["label"] == "harmful" for line in read]
        )
    return figures


def _tables(found: Found, figures: dict[str, Any]) -> str:
    arms = list(figures["arms"])
    measures = found.measures()
    lines = ["| | " + " | ".join(arms) + " |", "| --- |" + " ---: |" * len(arms)]
    for measure in measures:
        cells = [_interval(figures["arms"][arm].get(measure.name), share=measure.share) for arm in arms]
        lines.append(f"| {measure.title} ({len(found.values(measure, arms[0]))}) | " + " | ".join(cells) + " |")
    if "perplexity" in figures["arms"][arms[0]]:
        cells = [_interval(figures["arms"][arm].get("perplexity"), share=False) for arm in arms]
        lines.append(
            f"| people's texts: perplexity a token ({len(found.perplexity[arms[0]])}) | " + " | ".join(cells) + " |"
        )
    pairs = list(figures["differences"])
    lines += ["", "| difference, paired by prompt | " + " | ".join(pairs) + " |", "| --- |" + " ---: |" * len(pairs)]
    for measure in measures:
        cells = [_difference(figures["differences"][pair][measure.name], share=measure.share) for pair in pairs]
        lines.append(f"| {measure.title} | " + " | ".join(cells) + " |")
    ratios = [figures["differences"][pair].get("perplexity") for pair in pairs]
    if any(ratios):
        cells = [f"x{told['ratio']:.3f} [{told['low']:.3f}, {told['high']:.3f}]" if told else "-" for told in ratios]
        lines.append("| people's texts: perplexity, ratio | " + " | ".join(cells) + " |")
    if figures["wins over base"]:
        lines += [
            "",
            "| against base, benign | pairs | wins | mean probability | the order flips |",
            "| --- | ---: | ---: | ---: | ---: |",
        ]
        for arm, wins in figures["wins over base"].items():
            told = [
                _interval(wins[name], share=name != "mean probability")
                for name in ("wins", "mean probability", "order flips")
            ]
            lines.append(f"| {arm} | {wins['pairs']} | " + " | ".join(told) + " |")
    if figures["reliability"]:
        lines += [
            "",
            "| teller | labels | agrees | kappa | found | false | always the commonest |",
            "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        ]
        for name, said in figures["reliability"].items():
            agrees = _interval(Interval(said["agreement"], said["low"], said["high"]), share=True)
            kappa = "-" if said["kappa"] is None else f"{said['kappa']:.2f}"
            told = [_interval(said[key], share=True) for key in ("found", "false")]
            lines.append(
                f"| {name} | {said['n']} | {agrees} | {kappa} | {told[0]} | {told[1]} | {said['commonest']:.0%} |"
            )
    unread, grades = found.unread()
    return "\n".join([*lines, "", f"{unread} of {grades} grades could not be read.", ""])


def _interval(found: Interval | None, *, share: bool) -> str:
    if found is None:
        return "-"
    if share:
        return f"{100 * found.value:.0f}% [{100 * found.low:.0f}, {100 * found.high:.0f}]"
    return f"{found.value:.3g} [{found.low:.3g}, {found.high:.3g}]"


def _difference(found: dict[str, Any], *, share: bool) -> str:
    if "difference" not in found:
        return "-"
    scale, form = (100, "+.0f") if share else (1, "+.3g")
    value, low, high = (format(scale * found[key] + 0.0, form) for key in ("difference", "low", "high"))
    p = f", p {found['p']:.2g}" if "p" in found else ""
    return f"{value} [{low}, {high}]{p}"


def _plain(value: Any) -> Any:
    if isinstance(value, Interval):
        return {key: None if math.isnan(number) else round(number, 5) for key, number in asdict(value).items()}
    raise TypeError(f"{type(value)} is not JSON")
