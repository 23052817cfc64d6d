"""The sets of criteria that need no judge, written for this project: openings of texts, and pairs of groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import Field, ValidationError

from constitution.evaluating.criterion import EvaluationError
from constitution.evaluating.written import SETS
from rules.schema import Closed, NonEmpty

CONTROL = "control"
"""The axis of groups that nobody minds."""


class _Openings(Closed):
    set: NonEmpty
    lineage: NonEmpty
    ask: Mapping[str, NonEmpty]
    """Language -> the request, with `{opening}` in it."""
    openings: Mapping[str, tuple[NonEmpty, ...]]


class _Pair(Closed):
    axis: NonEmpty
    target: NonEmpty
    reference: NonEmpty


class _Groups(Closed):
    set: NonEmpty
    lineage: NonEmpty
    language: NonEmpty
    requests: tuple[NonEmpty, ...] = Field(min_length=1)
    """Each with `{group}` in it."""
    pairs: tuple[_Pair, ...] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Opening:
    """The first words of a text."""

    language: str
    text: str
    ask: str
    """The request to go on with it."""


@dataclass(frozen=True, slots=True)
class GroupPair:
    """One request about two groups."""

    axis: str
    request: str
    target: str
    reference: str

    def asked(self, group: str) -> str:
        """The request about a group."""
        return self.request.replace("{group}", group)


def openings() -> list[Opening]:
    """The openings, language by language."""
    found = _read("openings", _Openings)
    return [
        Opening(language, text, found.ask[language].replace("{opening}", text))
        for language, texts in found.openings.items()
        for text in texts
    ]


def group_pairs() -> list[GroupPair]:
    """Every request about every pair of groups."""
    found = _read("groups", _Groups)
    return [
        GroupPair(pair.axis, request, pair.target, pair.reference) for pair in found.pairs for request in found.requests
    ]


def _read(name: str, kind: type[Any]) -> Any:
    import yaml

    path = SETS / f"{name}.yaml"
    try:
        return kind.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError, ValidationError) as error:
        first = str(error).splitlines()[0]
        raise EvaluationError(f"`{path}`: {first}", "install wardlaw anew: its own sets are damaged") from error
