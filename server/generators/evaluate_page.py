"""docs/evaluate.md: a frame that was written by hand, and in it each criterion in its own words."""

from __future__ import annotations

from pathlib import Path

from constitution.evaluating.criterion import Criterion, criteria

TARGET = "docs/evaluate.md"
_FRAME = Path(__file__).with_name("evaluate_page.frame.md")
_NEEDS = {"judge": "`--judge`", "data": "`--data`"}


def render(_root: Path) -> str:
    """The page."""
    known = list(criteria().values())
    frame = _FRAME.read_text(encoding="utf-8")
    index = ["| criterion | measures | needs |", "| --- | --- | --- |"]
    index += [f"| [`{each.NAME}`](#{each.NAME}) | {each.TITLE} | {_needs(each)} |" for each in known]
    whole = "\n".join(_section(each) for each in known)
    return frame.replace("<!-- index -->", "\n".join(index)).replace("<!-- criteria -->", whole.rstrip())


def _section(criterion: Criterion) -> str:
    return "\n".join(
        (
            f"### {criterion.NAME}\n",
            f"{criterion.TITLE}.\n",
            f"{criterion.DEFINITION.strip()}\n",
            f"Source: {criterion.SOURCE.strip()}\n",
        )
    )


def _needs(criterion: Criterion) -> str:
    return ", ".join(_NEEDS[need] for need in criterion.NEEDS if need in _NEEDS)
