"""Near duplicates among the final answers: the first in input order stays, the later ones are rejected.

A pass over all rows after the run, not a check inside it: which of two rows is the first must not depend on which
model call came back sooner. Memory stays flat: signatures lie in a temporary SQLite file.

Source: Broder 1997, MinHash; banding after Leskovec, Rajaraman & Ullman, Mining of Massive Datasets, chapter 3.
"""

from __future__ import annotations

import re
import sqlite3
from array import array
from contextlib import closing

from constitution.checks import words_in
from constitution.row import Rejection
from constitution.rows import Rows

REASON = "near_duplicate"
LIKE = 0.8
"""Estimated Jaccard similarity of word triples from which two answers count as one."""

_BANDS, _WIDTH = 10, 6
"""Two answers that are 0.8 alike share a band with probability 0.95, at 0.9 with 0.9995."""

_HASHES = _BANDS * _WIDTH
_LEAST_WORDS = 8
_TOKEN = re.compile(r"[\u3400-\u9fff]|[^\W_]+")


class Signatures:
    """The answers seen so far, by MinHash signature."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)  # a private file that spills to disk and deletes itself
        self._db.executescript(
            "CREATE TABLE answers (number INTEGER PRIMARY KEY, id TEXT, digest BLOB);"
            "CREATE TABLE bands (band INTEGER, value INTEGER, number INTEGER, PRIMARY KEY (band, value, number))"
            " WITHOUT ROWID; BEGIN;"
        )

    def twin(self, row_id: str, text: str) -> str | None:
        """The id of an earlier answer that `text` is a near duplicate of; else None, and `text` is remembered.

        Answers of fewer than eight words never count: short right answers are alike by nature.
        """
        if words_in(text) < _LEAST_WORDS:
            return None
        digest = _digest(text)
        # The hash of a tuple of integers is the same in every process, unlike that of a string.
        bands = [(band, hash(tuple(digest[band * _WIDTH : (band + 1) * _WIDTH]))) for band in range(_BANDS)]
        tried = set()
        for band, value in bands:
            for (number,) in self._db.execute("SELECT number FROM bands WHERE band = ? AND value = ?", (band, value)):
                if number in tried:
                    continue
                tried.add(number)
                query = "SELECT id, digest FROM answers WHERE number = ?"
                other, kept = self._db.execute(query, (number,)).fetchone()
                if sum(a == b for a, b in zip(array("I", kept), digest, strict=True)) >= LIKE * _HASHES:
                    return str(other)
        cursor = self._db.execute(
            "INSERT INTO answers (id, digest) VALUES (?, ?)", (row_id, array("I", digest).tobytes())
        )
        self._db.executemany(
            "INSERT INTO bands VALUES (?, ?, ?)", [(band, value, cursor.lastrowid) for band, value in bands]
        )
        return None

    def close(self) -> None:
        """Drop everything."""
        self._db.close()


def reject_duplicates(store: Rows) -> int:
    """Reject every accepted row whose final answer nearly repeats that of an earlier one.

    Rows that an earlier pass rejected are judged anew, so the outcome depends on the rows alone.

    Returns:
        How many rows stand rejected as near duplicates.
    """
    rejected = 0
    with closing(Signatures()) as signatures:
        for row_id, reason, final in store.finals(REASON):
            twin = signatures.twin(row_id, final)
            rejected += twin is not None
            if (twin is None) == (reason is None):
                continue
            for row in store.rows(row=row_id):
                if twin is None:
                    store.replace_row(row.model_copy(update={"status": "accepted", "rejection": None}))
                else:
                    detail = f"the answer repeats that of row {twin}"
                    rejection = Rejection(stage="duplicates", reason=REASON, detail=detail)
                    store.replace_row(row.model_copy(update={"status": "rejected", "rejection": rejection}))
    return rejected


def _digest(text: str) -> list[int]:
    from rensa import RMinHash

    tokens = _TOKEN.findall(text.casefold())
    shingles = {" ".join(tokens[i : i + 3]) for i in range(max(1, len(tokens) - 2))}
    sketch = RMinHash(num_perm=_HASHES, seed=7)
    sketch.update(list(shingles))
    return list(sketch.digest())
