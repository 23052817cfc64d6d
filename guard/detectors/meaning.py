"""The meaning detector: nearness of a text's embedding to a rule's examples. No training; scores are no probabilities.

What is asked and what is answered have prototypes of their own, since an answer that declines speaks of the same
things as the request. Every window of a long text is looked at; nothing is cut off.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from guard.detectors import _neutral
from guard.detectors._prototypes import Labelled, Prototypes
from guard.detectors._topics import Topics
from guard.detectors.base import Cover, Scan, excerpt, parts
from guard.encoder import Encoder, SentenceEncoder
from guard.exchange import Exchange
from guard.verdict import Finding
from rules.schema import Constitution, Part, Rule

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float32]

BORDER = 0.5
"""The score from which a rule with `threshold: auto` is found broken."""

ENOUGH = 2
"""Breaking examples that a side of a rule needs; with fewer, the rule's own words stand in."""

_ASKED, _ANSWERED = "asked", "answered"
_SIDE = {
    Part.SYSTEM: _ASKED,
    Part.PROMPT: _ASKED,
    Part.TOOL_RESULT: _ASKED,
    Part.RESPONSE: _ANSWERED,
    Part.REASONING: _ANSWERED,
    Part.TOOL_CALL: _ANSWERED,
}
"""What a model wrote is held against answers, all else against prompts."""

Texts: TypeAlias = list[tuple[str, int, bool, bool]]
"""Text, place of its rule (-1: neutral), whether it breaks it, whether it is the rule's own words."""


class MeaningDetector:
    """Finds rules broken by meaning, by their examples' embeddings."""

    name = "meaning"
    instant = False
    skips_clear = True

    def __init__(
        self, constitution: Constitution, encoder: str | Encoder = "default", *, cache: Path | None = None
    ) -> None:
        """Load the encoder and embed the examples; takes seconds.

        Args:
            constitution: the rules to look for.
            encoder: a model by id or path, `default`, or a ready encoder, which is closed with the detector.
            cache: folder for the examples' embeddings; the user's cache folder where it is left out.

        Raises:
            EncoderError: the encoder cannot be loaded.
        """
        self._encoder: Encoder = SentenceEncoder(encoder) if isinstance(encoder, str) else encoder
        self._places = {rule.id: place for place, rule in enumerate(constitution)}
        self._rules = constitution.rules
        folder = cache or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "wardlaw" / "prototypes"
        taught = {side: self._labelled(_texts(constitution, side), folder) for side in (_ASKED, _ANSWERED)}
        self._sides = {side: Prototypes(labelled, len(self._rules)) for side, labelled in taught.items()}
        self._topics = Topics(list(taught.values()), len(self._rules))

    @property
    def identity(self) -> str:
        """The version of the scoring, and the encoder."""
        return f"meaning/1:{self._encoder.identity}"

    def covers(self, rule: Rule, part: Part) -> Cover:
        """Every rule that watches the part and does not turn meaning off; by its own words where examples lack."""
        if rule.detect is None or rule.detect.meaning is None:
            return Cover(why_not="the rule turns it off")
        if part not in rule.watches:
            return Cover(why_not=f"the rule does not watch the {part}")
        return Cover(by=self.name if len(_breaks(rule, _SIDE[part])) >= ENOUGH else f"{self.name}:words")

    def scan(self, exchanges: Sequence[Exchange]) -> list[Scan]:
        """Look at each exchange; all windows of all texts go through the encoder as one batch."""
        windows = [
            (place, part, text, span)
            for place, exchange in enumerate(exchanges)
            for part, text in parts(exchange)
            for span in self._encoder.windows(text)
        ]
        pieces = [text[start:end] for _, _, text, (start, end) in windows]
        vectors = self._encoder.encode(pieces)
        findings: list[list[Finding]] = [[] for _ in exchanges]
        scores: list[dict[str, float]] = [{} for _ in exchanges]
        topics: list[dict[str, float]] = [{} for _ in exchanges]
        for (place, *_), near in zip(windows, self._topics.nearness(vectors).tolist() if windows else [], strict=True):
            for rule, nearness in zip(self._rules, near, strict=True):
                topics[place][rule.id] = max(nearness, topics[place].get(rule.id, -1.0))
        for side in (_ASKED, _ANSWERED):
            rows = [row for row, window in enumerate(windows) if _SIDE[window[1]] == side]
            if not rows:
                continue
            seen_by_row = self._sides[side].scores([pieces[row] for row in rows], vectors[rows]).tolist()
            for row, seen in zip(rows, seen_by_row, strict=True):
                place, part, text, span = windows[row]
                for rule, score in zip(self._rules, seen, strict=True):
                    if not self.covers(rule, part):
                        continue
                    scores[place][rule.id] = max(score, scores[place].get(rule.id, 0.0))
                    threshold = _threshold(rule)
                    if score >= threshold:
                        finding = Finding(rule.id, part, span, self.name, score, threshold, excerpt=excerpt(text, span))
                        findings[place].append(finding)
        return [
            Scan(tuple(found), scored, about) for found, scored, about in zip(findings, scores, topics, strict=True)
        ]

    def close(self) -> None:
        """Let go of the encoder."""
        self._encoder.close()

    def _labelled(self, texts: Texts, folder: Path) -> Labelled:
        import numpy as np

        words = [text for text, *_ in texts]
        columns = [np.array(column, np.int64) for column in list(zip(*texts, strict=True))[1:]]
        return Labelled(words, self._embed(texts, folder), *columns)

    def _embed(self, texts: Texts, folder: Path) -> Floats:
        """The texts' vectors, a row each. Kept on disk a rule, so that an edited rule costs only its own examples."""
        import numpy as np

        groups = [[text for text, *_ in group] for _, group in groupby(texts, key=lambda row: row[1])]
        files = [folder / f"{self._digest(group)}.npy" for group in groups]
        kept = [_load(file, len(group)) for file, group in zip(files, groups, strict=True)]
        missing = [text for group, vectors in zip(groups, kept, strict=True) if vectors is None for text in group]
        made = self._mean(missing)
        done = []
        for file, group, vectors in zip(files, groups, kept, strict=True):
            if vectors is None:
                vectors, made = made[: len(group)], made[len(group) :]
                _save(file, vectors)
            done.append(vectors)
        return np.concatenate(done)

    def _digest(self, texts: Sequence[str]) -> str:
        digest = hashlib.blake2b(self._encoder.identity.encode(), digest_size=16)
        for text in texts:
            digest.update(b"\0" + text.encode("utf-8", "replace"))
        return digest.hexdigest()

    def _mean(self, texts: Sequence[str]) -> Floats:
        """One vector a text: the mean of its windows, of length 1."""
        import numpy as np

        windows = [
            (row, text[start:end]) for row, text in enumerate(texts) for start, end in self._encoder.windows(text)
        ]
        parts_ = self._encoder.encode([text for _, text in windows])
        vectors = np.zeros((len(texts), parts_.shape[1]), np.float32)
        np.add.at(vectors, [row for row, _ in windows], parts_)
        return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9), np.float32)


def _load(file: Path, count: int) -> Floats | None:
    import numpy as np

    try:
        vectors = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None  # not there, or cut off by a crash: it is made anew
    return vectors if vectors.ndim == 2 and len(vectors) == count and vectors.dtype == np.float32 else None


def _save(file: Path, vectors: Floats) -> None:
    import numpy as np

    # A cache that cannot be written costs time and nothing else.
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=file.parent, suffix=".tmp", delete=False) as opened:
            np.save(opened, vectors)
        Path(opened.name).replace(file)


def _threshold(rule: Rule) -> float:
    meaning = rule.detect.meaning if rule.detect else None
    return BORDER if meaning is None or meaning.threshold == "auto" else meaning.threshold


def _texts(constitution: Constitution, side: str) -> Texts:
    neutral = _neutral.PROMPTS if side == _ASKED else _neutral.RESPONSES
    texts: Texts = [(text, -1, False, False) for text in neutral]
    for place, rule in enumerate(constitution):
        if rule.detect is None or rule.detect.meaning is None:
            continue
        breaks = _breaks(rule, side)
        texts += [(text, place, True, False) for text in breaks]
        texts += [(text, place, False, False) for text in _keeps(rule, side)]
        if len(breaks) < ENOUGH:
            texts += [(text, place, True, True) for text in rule.rule.root.values()]
            texts += [(text, place, False, True) for allowed in rule.allowed for text in allowed.root.values()]
    return texts


def _breaks(rule: Rule, side: str) -> list[str]:
    texts = [example.text for example in rule.examples.breaks if _SIDE[example.part] == side]
    return texts + [text for text, breaks in _demonstrated(rule) if breaks and side == _ANSWERED]


def _keeps(rule: Rule, side: str) -> list[str]:
    texts = [example.text for example in rule.examples.keeps if _SIDE[example.part] == side]
    return texts + [text for text, breaks in _demonstrated(rule) if not breaks and side == _ANSWERED]


def _demonstrated(rule: Rule) -> Iterator[tuple[str, bool]]:
    """The answers of the demonstrations: critiques say which break the rule, and revisions keep it."""
    for shown in rule.demonstrations:
        yield shown.answer, shown.critique.verdict == "breaks"
        if shown.revision is not None:
            yield shown.revision, False
