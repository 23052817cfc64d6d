"""The files of a run of probing, and its card; each is put in its place only when it is whole."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from constitution.formats.files import write_text
from constitution.markdown import rendered
from constitution.probing.figures import making_figures, trying_figures
from constitution.probing.recipe import Origins
from constitution.probing.side import REASONS
from rules.schema import Constitution, Part

if TYPE_CHECKING:
    from constitution.calls import Meter
    from constitution.probing.attempts import Attack
    from constitution.probing.making import Made
    from constitution.probing.trying import Tried

MAKING = "card.md.jinja"
TRYING = "attempts.md.jinja"


def write_making(
    folder: Path, made: Made, constitution: Constitution, origins: Origins, meter: Meter
) -> tuple[Path, ...]:
    """Write probes, label rows, disguised views, rejected texts and the card of a run of making.

    Raises:
        FormatError: a file cannot be written.
    """
    probes = [probe for side in made.sides for probe in side.probes]
    # A prompt that only draws out a bad answer is no bad text itself: as a label row it would teach the gate so.
    watched = {rule.id for rule in constitution if Part.PROMPT in rule.watches}
    labelled = [probe for probe in probes if probe.kind == "keep" or probe.rule in watched]
    files = (
        _lines(folder / "probes.jsonl", (probe.line() for probe in probes)),
        _lines(folder / "labels.jsonl", (probe.label_line() for probe in labelled)),
        _lines(
            folder / "disguised.jsonl",
            ({**view.line(), "label": _label(view.kind), "found": found} for view, found in made.disguised),
        ),
        _lines(
            folder / "rejected.jsonl",
            (each.model_dump(mode="json") for side in made.sides for each in side.rejected),
        ),
    )
    figures = making_figures(made, meter)
    text = _render(
        MAKING,
        figures=figures,
        labelled=len(labelled),
        constitution=constitution,
        origins=origins,
        reasons=REASONS,
        model=next((probe.lineage.model for probe in probes), ""),
        spent=made.spent,
    )
    return (*files, write_text(folder / "README.md", text))


def write_trying(
    folder: Path, tried: Tried, constitution: Constitution, attack: Attack, meter: Meter
) -> tuple[Path, ...]:
    """Write the transcripts, the finds for the ledger, and the card of a run of attempts.

    Raises:
        FormatError: a file cannot be written.
    """
    files = (
        _lines(folder / "attempts.jsonl", (attempt.model_dump(mode="json") for attempt in tried.attempts)),
        _lines(folder / "finds.jsonl", (attempt.find() for attempt in tried.attempts if attempt.broken)),
    )
    text = _render(
        TRYING,
        figures=trying_figures(tried, meter),
        constitution=constitution,
        attack=attack,
        first=tried.attempts[0] if tried.attempts else None,
        spent=tried.spent,
    )
    return (*files, write_text(folder / "README.md", text))


def _lines(path: Path, lines: Iterable[Mapping[str, Any]]) -> Path:
    return write_text(path, "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines))


def _label(kind: str) -> str:
    return "harmful" if kind == "break" else "safe"


def _render(name: str, **values: Any) -> str:
    return rendered(Path(__file__).with_name(name), {"percent": percent, "counts": counts}, **values)


def percent(found: Mapping[str, float] | None) -> str:
    """`42.0% (20.3% to 66.5%)`."""
    return "-" if found is None else f"{found['value']:.1%} ({found['low']:.1%} to {found['high']:.1%})"


def counts(found: Mapping[str, int]) -> str:
    """`repeats 3, off_target 1`."""
    return ", ".join(f"{name} {count}" for name, count in found.items()) or "-"
