"""Which rules have probes, rows, labels and a head, and why the others have none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from constitution.cycle.step import Work

_NOT_LOOKED_FOR = "not looked for by meaning"


def coverage(work: Work) -> list[dict[str, Any]]:
    """A line a rule: counts, and what is lacking with the reason."""
    figures = {name: done.figures for name, done in work.state.done.items()}
    sides: dict[tuple[str, str], Mapping[str, Any]] = {
        (side["rule"], side["kind"]): side for side in figures.get("probes", {}).get("sides", ())
    }
    rows = figures.get("rows", {}).get("rules", {})
    labels = [source["rules"] for source in figures.get("labels", {}).get("sources", {}).values()]
    heads = figures.get("check", {}).get("heads", {})
    found = []
    for rule in work.constitution:
        lacking: dict[str, str] = {}
        probes = {}
        for kind in ("break", "keep"):
            side = sides.get((rule.id, kind))
            probes[kind] = side["probes"] if side else 0
            if side and side["probes"] < side["wanted"]:
                lacking[f"probes ({kind})"] = side["why"]
        if "probes" in figures and not any(name == rule.id for name, _ in sides):
            lacking["probes"] = "not asked for"
        count = rows.get(rule.id, {})
        if "rows" in figures and not count:
            lacking["rows"] = "no row came under it"
        elif count and not count["accepted"]:
            lacking["rows"] = "all were rejected"
        head = heads.get(rule.id, "")
        if not head.startswith("meaning") or head.partition(":")[2] in ("examples", "words"):
            lacking["head"] = _why_no_head(rule, head, "train" in figures)
        elif head.endswith(":stale"):
            lacking["head"] = "taught by earlier words"
        found.append(
            {
                "rule": rule.id,
                "probes": probes,
                "rows": {name: count.get(name, 0) for name in ("accepted", "changed", "rejected")},
                "labels": sum(each.get(rule.id, 0) for each in labels),
                "head": head in ("meaning", "meaning:stale"),
                "lacking": lacking,
            }
        )
    return found


def _why_no_head(rule: Any, head: str, taught: bool) -> str:
    if rule.detect is None or rule.detect.meaning is None:
        return _NOT_LOOKED_FOR
    if not taught:
        return "nothing was taught"
    return f"judged by its {head.partition(':')[2]}" if ":" in head else head or "no encoder"
