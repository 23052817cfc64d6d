"""The meaning detector: one encoding of a text, then one head a rule.

A rule without a trained head is judged by the nearness of the text to its examples; one without examples by its own
words. What is asked and what is answered have heads and prototypes of their own, since an answer that declines speaks
of the same things as the request; heads judge an answer together with its prompt. Every window of a long text is
looked at, in every reading that takes a disguise off; nothing is cut off.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from guard.detectors._prototypes import Prototypes
from guard.detectors._readings import Reading, readings
from guard.detectors._taught import ENOUGH, SIDE, breaking, labelled
from guard.detectors._topics import Topics
from guard.detectors.base import Cover, Scan, excerpt
from guard.encoders import Encoder
from guard.exchange import Exchange
from guard.trained.folder import HeadsError
from guard.trained.heads import Heads
from guard.trained.scoring import scores as head_scores
from guard.trained.scripts import POORLY_READ, is_other, others
from guard.trained.sides import ANSWERED, SIDES, Side
from guard.verdict import Finding
from rules.schema import Constitution, Part, Rule

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float32]

BORDER = 0.5
"""The score from which a rule without a head and with `threshold: auto` is found broken."""


@dataclass(slots=True)
class _Seen:
    """What was seen of one exchange so far."""

    findings: list[Finding]
    scores: dict[str, float]
    topics: dict[str, float]
    unsure: set[str]
    poorly: bool = False
    """Whether some of the text is in a script that the encoder reads poorly."""


@dataclass(frozen=True, slots=True)
class _Judge:
    """Heads of one side, and which rules of the constitution they judge."""

    side: Side
    places: list[int]
    """Of the rules, in the constitution."""
    columns: list[int]
    """Of the same rules, in the heads."""


class MeaningDetector:
    """Finds rules broken by meaning."""

    name = "meaning"
    instant = False
    skips_clear = True

    def __init__(
        self,
        constitution: Constitution,
        encoder: Encoder,
        heads: Heads | None = None,
        *,
        topics: bool = True,
        latin: bool = False,
        cache: Path | None = None,
    ) -> None:
        """Embed the examples of the rules that have no head; takes seconds where they are not kept from before.

        Args:
            constitution: the rules to look for.
            encoder: closed with the detector; with the heads' adapter, where they have one.
            heads: trained heads for some of the rules.
            topics: whether to tell what a text is about as well, which costs an encoding where heads judge answers.
            latin: whether the encoder was made for the Latin script alone; heads that were calibrated apart on other
                scripts say so too. Coverage then tells of texts in others.
            cache: folder for the examples' embeddings; the user's cache folder where it is left out.

        Raises:
            HeadsError: the heads were taught on vectors of another size.
        """
        self._encoder = encoder
        self._heads = heads
        self._rules = constitution.rules
        self._stale = frozenset(heads.stale(constitution)) if heads else frozenset()
        self._judges = {side: self._headed(side) for side in SIDES}
        self._by_head = {side: [place for judge in self._judges[side] for place in judge.places] for side in SIDES}
        used = [judge.side for side in SIDES for judge in self._judges[side]]
        self._reads_poorly = latin or any(side.other is not None for side in used)
        self._by_example = {
            side: [place for place, rule in enumerate(self._rules) if place not in self._by_head[side] and _wants(rule)]
            for side in SIDES
        }
        folder = cache or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "wardlaw" / "prototypes"
        self._topics: Topics | None = None
        self._prototypes: dict[str, Prototypes] = {}
        if topics or any(self._by_example.values()):
            taught = {side: labelled(constitution, side, encoder, folder) for side in SIDES}
            self._prototypes = {
                side: Prototypes(examples, len(self._rules))
                for side, examples in taught.items()
                if self._by_example[side]
            }
            self._topics = Topics(list(taught.values()), len(self._rules)) if topics else None

    @property
    def identity(self) -> str:
        """The version of the scoring, the encoder and the heads."""
        return f"meaning/2:{self._encoder.identity}:{self._heads.identity if self._heads else 'examples'}"

    def covers(self, rule: Rule, part: Part) -> Cover:
        """Every rule that watches the part and does not turn meaning off, by head, examples or its own words."""
        if not _wants(rule):
            return Cover(why_not="the rule turns it off")
        if part not in rule.watches:
            return Cover(why_not=f"the rule does not watch the {part}")
        side = SIDE[part]
        if any(self._rules[place].id == rule.id for place in self._by_head[side]):
            return Cover(by=f"{self.name}:stale" if rule.id in self._stale else self.name)
        return Cover(by=f"{self.name}:{'examples' if len(breaking(rule, side)) >= ENOUGH else 'words'}")

    def threshold(self, rule: Rule, part: Part) -> float:
        """The score from which `rule` is found broken in `part`, a part that it watches."""
        for judge in self._judges[SIDE[part]]:
            if any(self._rules[place].id == rule.id for place in judge.places):
                return _threshold(rule, judge.side.threshold)
        return _threshold(rule, BORDER)

    def scan(self, exchanges: Sequence[Exchange]) -> list[Scan]:
        """Look at each exchange; all windows of all readings go through the encoder as one batch."""
        found = [
            reading for place, exchange in enumerate(exchanges) for reading in readings(exchange, place, self._encoder)
        ]
        return self._look(found, len(exchanges))

    @property
    def encoder(self) -> Encoder:
        """The encoder; it stays the detector's to close."""
        return self._encoder

    def heads_of(self, rule: Rule, part: Part) -> Heads | None:
        """The trained heads that judge a rule in a part; None where none does."""
        by_head = any(self._rules[place].id == rule.id for place in self._by_head[SIDE[part]])
        return self._heads.of(rule) if by_head and self._heads else None

    def scored(self, rows: Sequence[Reading]) -> list[Mapping[str, float]]:
        """Each reading's own scores, by the rules that watch its part: what a scan takes the highest of."""
        return [scan.scores for scan in self._look([replace(row, place=at) for at, row in enumerate(rows)], len(rows))]

    def _look(self, found: Sequence[Reading], count: int) -> list[Scan]:
        """A scan of each of `count` exchanges, by all their readings."""
        seen = [_Seen([], {}, {}, set()) for _ in range(count)]
        if self._reads_poorly:
            for reading in found:
                if reading.view == "raw" and is_other(reading.text):
                    seen[reading.place].poorly = True
        for side in SIDES:
            rows = [reading for reading in found if SIDE[reading.part] == side]
            if not rows:
                continue
            # A prompt reads the same with and without its context, so that heads, examples and topics share a vector.
            vectors: Floats | None = None
            if self._by_head[side]:
                vectors = self._encoder.encode([reading.in_context for reading in rows])
                self._judge_by_heads(side, rows, vectors, seen)
            if self._by_example[side] or self._topics:
                if vectors is None or side == ANSWERED:
                    vectors = self._encoder.encode([reading.text for reading in rows])
                self._judge_by_examples(side, rows, vectors, seen)
                self._tell_topics(rows, vectors, seen)
        return [
            Scan(
                tuple(s.findings),
                s.scores,
                s.topics,
                unsure=frozenset(s.unsure),
                partial=POORLY_READ if s.poorly else "",
            )
            for s in seen
        ]

    def close(self) -> None:
        """Let go of the encoder."""
        self._encoder.close()

    def _headed(self, side: str) -> list[_Judge]:
        """The heads of this side, each with the rules that it judges."""
        judges = []
        for heads in self._heads.every if self._heads else ():
            if side not in heads.sides:
                continue
            width = heads.sides[side].weight.shape[1]
            dim = self._encoder.encode(["a"]).shape[1]
            if width != dim:
                raise HeadsError(
                    f"heads were taught on vectors of {width} numbers, the encoder gives {dim}",
                    "take the encoder that their card names, or train heads for this one: `wardlaw gate train`",
                )
            columns = {rule: column for column, rule in enumerate(heads.rules)}
            places = [
                place
                for place, rule in enumerate(self._rules)
                if _wants(rule) and self._heads is not None and self._heads.of(rule) is heads
            ]
            if places:
                judges.append(_Judge(heads.sides[side], places, [columns[self._rules[place].id] for place in places]))
        return judges

    def _judge_by_heads(self, side: str, rows: Sequence[Reading], vectors: Floats, seen: Sequence[_Seen]) -> None:
        by_part: dict[Part, list[int]] = {}
        for row, reading in enumerate(rows):
            by_part.setdefault(reading.part, []).append(row)
        for part, members in by_part.items():
            foreign = others([rows[row].text for row in members])
            for judge in self._judges[side]:
                watching = [at for at, place in enumerate(judge.places) if part in self._rules[place].watches]
                columns = [judge.columns[at] for at in watching]
                rules = [self._rules[judge.places[at]] for at in watching]
                scored_rows = head_scores(judge.side, vectors[members], columns, foreign).tolist()
                for row, scored in zip(members, scored_rows, strict=True):
                    for rule, score in zip(rules, scored, strict=True):
                        threshold = _threshold(rule, judge.side.threshold)
                        self._note(seen[rows[row].place], rule, rows[row], score, threshold, calibrated=True)
                        if min(judge.side.unsure, threshold) <= score < threshold:
                            seen[rows[row].place].unsure.add(rule.id)

    def _judge_by_examples(self, side: str, rows: Sequence[Reading], vectors: Floats, seen: Sequence[_Seen]) -> None:
        if not self._by_example[side]:
            return
        scored = self._prototypes[side].scores([reading.text for reading in rows], vectors).tolist()
        for reading, scores in zip(rows, scored, strict=True):
            for place in self._by_example[side]:
                rule = self._rules[place]
                if reading.part in rule.watches:
                    threshold = _threshold(rule, BORDER)
                    self._note(seen[reading.place], rule, reading, scores[place], threshold, calibrated=False)

    def _tell_topics(self, rows: Sequence[Reading], vectors: Floats, seen: Sequence[_Seen]) -> None:
        if self._topics is None:
            return
        for reading, near in zip(rows, self._topics.nearness(vectors).tolist(), strict=True):
            topics = seen[reading.place].topics
            for rule, nearness in zip(self._rules, near, strict=True):
                topics[rule.id] = max(nearness, topics.get(rule.id, -1.0))

    def _note(
        self, seen: _Seen, rule: Rule, reading: Reading, score: float, threshold: float, *, calibrated: bool
    ) -> None:
        seen.scores[rule.id] = max(score, seen.scores.get(rule.id, 0.0))
        if score >= threshold:
            seen.findings.append(
                Finding(
                    rule.id,
                    reading.part,
                    reading.span,
                    self.name,
                    score,
                    threshold,
                    reading.view,
                    excerpt(reading.original, reading.span),
                    calibrated,
                )
            )


def _wants(rule: Rule) -> bool:
    return rule.detect is not None and rule.detect.meaning is not None


def _threshold(rule: Rule, auto: float) -> float:
    meaning = rule.detect.meaning if rule.detect else None
    return auto if meaning is None or meaning.threshold == "auto" else meaning.threshold
