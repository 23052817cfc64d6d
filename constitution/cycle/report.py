"""What a cycle changed: report.json, README.md, and a file of each cycle that was."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from constitution.cycle.coverage import coverage
from constitution.cycle.step import Work
from constitution.formats.files import write_text
from constitution.markdown import rendered
from constitution.run import dump

if TYPE_CHECKING:
    from constitution.cycle.run import Finished

HISTORY = "history"
CARD = "card.md.jinja"


def write_report(work: Work, came: Finished) -> Mapping[str, Any]:
    """Write what the cycle changed, where it is whole and something was done; give it in any case.

    Raises:
        FormatError: the folder cannot be written.
    """
    path = work.out / HISTORY / f"{work.number:03}.json"
    report = _report(work, came)
    if came.whole and (came.ran or not path.is_file()):
        write_text(path, dump(report))
    if came.whole and came.ran:
        whole = {**report, "cycles": trend(work.out)}
        write_text(work.out / "report.json", dump(whole))
        filters = {"share": share, "reasons": reasons}
        write_text(work.out / "README.md", rendered(Path(__file__).with_name(CARD), filters, **whole))
        return whole
    return {**report, "cycles": trend(work.out)}


def _report(work: Work, came: Finished) -> dict[str, Any]:
    state = work.state
    figures = {name: dict(done.figures) for name, done in state.done.items()}
    told = [_step(work, came, name) for name in _names(work)]
    return {
        "cycle": work.number,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "whole": came.whole,
        "seconds": round(sum(step["seconds"] for step in told), 1),
        "rules": {"digest": state.rules_digest, "count": len(work.constitution), "sources": list(work.settings.rules)},
        "before": state.before.model_dump(),
        "steps": told,
        "gate": figures.get("check"),
        "coverage": coverage(work),
        "probes": figures.get("probes"),
        "rows": figures.get("rows"),
        "ledger": figures.get("ledger"),
        "labels": figures.get("labels"),
        "train": figures.get("train"),
        "calibrate": figures.get("calibrate"),
        "adopt": figures.get("adopt"),
        "refused": list(came.refused),
        "unfinished": dict(came.unfinished),
    }


def _names(work: Work) -> list[str]:
    from constitution.cycle.steps import steps

    return [step.NAME for step in steps() if not step.left_out(work.settings)]


def _step(work: Work, came: Finished, name: str) -> dict[str, Any]:
    """What a step cost in this cycle; of one that was skipped, nothing."""
    done = work.state.done.get(name)
    costs = done if done is not None and done.cycle == work.number else None
    skipped = "ran earlier" if costs is not None and came.ran else "skipped"
    return {
        "step": name,
        "did": "not done" if done is None else "ran" if name in came.ran else skipped,
        "calls": costs.calls if costs else 0,
        "reused": costs.reused if costs else 0,
        "tokens_in": costs.tokens_in if costs else 0,
        "tokens_out": costs.tokens_out if costs else 0,
        "seconds": costs.seconds if costs else 0.0,
    }


def trend(folder: Path) -> list[dict[str, Any]]:
    """A line a cycle, oldest first: what the gate found after it, rows, and whether its heads came into force."""
    found = []
    for path in sorted((folder / HISTORY).glob("*.json")):
        report = json.loads(path.read_bytes())
        gate = report.get("gate") or {}
        found.append(
            {
                "cycle": report["cycle"],
                "finished": report["finished"],
                "rules": report["rules"]["count"],
                "sets": {each["set"]: each["after"] for each in gate.get("sets", ())},
                "rows": (report.get("rows") or {}).get("accepted"),
                "heads": sum(line["head"] for line in report["coverage"]),
                "ledger": (gate.get("ledger") or {}).get("still_open"),
                "adopted": bool((report.get("adopt") or {}).get("adopted")),
            }
        )
    return found


def share(found: Mapping[str, float] | None) -> str:
    """`42.0% (20.3 to 66.5)`."""
    if found is None:
        return "-"
    return f"{found['value']:.1%} ({100 * found['low']:.1f} to {100 * found['high']:.1f})"


def reasons(found: Mapping[str, object]) -> str:
    """`repeats 3, off_target 1`."""
    return ", ".join(f"{name} {count}" for name, count in found.items()) or "-"
