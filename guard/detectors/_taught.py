"""What a constitution's own texts teach the meaning detector, and their embeddings, kept on disk."""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from guard.detectors import _neutral
from guard.detectors._prototypes import Labelled
from guard.encoders import Encoder
from guard.trained.sides import ANSWERED, ASKED
from rules.schema import Constitution, Part, Rule

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float32]

ENOUGH = 2
"""Breaking examples that a side of a rule needs; with fewer, the rule's own words stand in."""

SIDE = {
    Part.SYSTEM: ASKED,
    Part.PROMPT: ASKED,
    Part.TOOL_RESULT: ASKED,
    Part.RESPONSE: ANSWERED,
    Part.REASONING: ANSWERED,
    Part.TOOL_CALL: ANSWERED,
}
"""What a model wrote is held against answers, all else against prompts."""

Texts: TypeAlias = list[tuple[str, int, bool, bool]]
"""Text, place of its rule (-1: neutral), whether it breaks it, whether it is the rule's own words."""


def labelled(constitution: Constitution, side: str, encoder: Encoder, folder: Path) -> Labelled:
    """The examples, near misses, neutral texts and words of one side, with their vectors.

    Args:
        constitution: the rules.
        side: `asked` or `answered`.
        encoder: what embeds them.
        folder: where vectors are kept, a file a rule, so that an edited rule costs only its own examples.
    """
    import numpy as np

    texts = _texts(constitution, side)
    words = [text for text, *_ in texts]
    columns = [np.array(column, np.int64) for column in list(zip(*texts, strict=True))[1:]]
    return Labelled(words, _embed(texts, encoder, folder), *columns)


def breaking(rule: Rule, side: str) -> list[str]:
    """The texts of one side that show the rule broken."""
    texts = [example.text for example in rule.examples.breaks if SIDE[example.part] == side]
    return texts + [text for text, breaks in _demonstrated(rule) if breaks and side == ANSWERED]


def _texts(constitution: Constitution, side: str) -> Texts:
    neutral = _neutral.PROMPTS if side == ASKED else _neutral.RESPONSES
    texts: Texts = [(text, -1, False, False) for text in neutral]
    for place, rule in enumerate(constitution):
        if rule.detect is None or rule.detect.meaning is None:
            continue
        breaks = breaking(rule, side)
        texts += [(text, place, True, False) for text in breaks]
        texts += [(text, place, False, False) for text in _keeping(rule, side)]
        if len(breaks) < ENOUGH:
            texts += [(text, place, True, True) for text in rule.rule.root.values()]
            texts += [(text, place, False, True) for allowed in rule.allowed for text in allowed.root.values()]
    return texts


def _keeping(rule: Rule, side: str) -> list[str]:
    texts = [example.text for example in rule.examples.keeps if SIDE[example.part] == side]
    return texts + [text for text, breaks in _demonstrated(rule) if not breaks and side == ANSWERED]


def _demonstrated(rule: Rule) -> Iterator[tuple[str, bool]]:
    """The answers of the demonstrations: critiques say which break the rule, and revisions keep it."""
    for shown in rule.demonstrations:
        yield shown.answer, shown.critique.verdict == "breaks"
        if shown.revision is not None:
            yield shown.revision, False


def _embed(texts: Texts, encoder: Encoder, folder: Path) -> Floats:
    import numpy as np

    groups = [[text for text, *_ in group] for _, group in groupby(texts, key=lambda row: row[1])]
    files = [folder / f"{_digest(group, encoder)}.npy" for group in groups]
    kept = [_load(file, len(group)) for file, group in zip(files, groups, strict=True)]
    missing = [text for group, vectors in zip(groups, kept, strict=True) if vectors is None for text in group]
    made = mean_vectors(missing, encoder)
    done = []
    for file, group, vectors in zip(files, groups, kept, strict=True):
        if vectors is None:
            vectors, made = made[: len(group)], made[len(group) :]
            _save(file, vectors)
        done.append(vectors)
    return np.concatenate(done)


def _digest(texts: Sequence[str], encoder: Encoder) -> str:
    digest = hashlib.blake2b(f"{encoder.identity}:{encoder.backend}".encode(), digest_size=16)
    for text in texts:
        digest.update(b"\0" + text.encode("utf-8", "replace"))
    return digest.hexdigest()


def mean_vectors(texts: Sequence[str], encoder: Encoder) -> Floats:
    """One vector a text: the mean of its windows, of length 1."""
    import numpy as np

    windows = [(row, text[start:end]) for row, text in enumerate(texts) for start, end in encoder.windows(text)]
    parts = encoder.encode([text for _, text in windows])
    vectors = np.zeros((len(texts), parts.shape[1]), np.float32)
    np.add.at(vectors, [row for row, _ in windows], parts)
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
