"""Steps that are done once: each is skipped where its files are there and were made of the same inputs."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


class Steps:
    """The steps of one output folder; `steps.json` there holds what each was made of."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self._path = out / "steps.json"
        out.mkdir(parents=True, exist_ok=True)

    def do(self, name: str, of: Mapping[str, Any], makes: Path, work: Callable[[], object]) -> str:
        """Do `work`, which writes the file or folder `makes`, unless it was done of the same; gives the step's digest.

        Args:
            name: of the step, unique in the folder.
            of: everything that determines the outcome: settings, digests of files and of steps before.
            makes: what the work leaves behind.
            work: what to do.
        """
        mark = digest(of)
        if self.known(name, of, makes):
            print(f"{name}: done before", flush=True)
            return mark
        began = time.monotonic()
        print(f"{name} ...", flush=True)
        work()
        seconds = time.monotonic() - began
        made = {**self._made(), name: {"of": mark, "seconds": round(seconds, 1)}}
        half = self._path.with_suffix(".part")
        half.write_text(json.dumps(made, indent=1), encoding="utf-8")
        half.replace(self._path)
        print(f"{name}: {seconds:.0f} s", flush=True)
        return mark

    def known(self, name: str, of: Mapping[str, Any], makes: Path) -> bool:
        """Whether a step was done of the same, and what it made is still there."""
        return makes.exists() and self._made().get(name, {}).get("of") == digest(of)

    def _made(self) -> dict[str, dict[str, Any]]:
        """Read anew each time: another run may be at work on other steps of the folder."""
        return json.loads(self._path.read_text(encoding="utf-8")) if self._path.exists() else {}


def digest(of: Mapping[str, Any]) -> str:
    """A short hash of a JSON value."""
    text = json.dumps(of, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def file_digest(path: Path) -> str:
    """A short hash of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=12)).hexdigest()


def write_json_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    """One object a line; the file is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_suffix(".part")
    half.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    half.replace(path)


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSONL file; `.gz` too."""
    packed = path.read_bytes()
    text = (gzip.decompress(packed) if path.suffix == ".gz" else packed).decode("utf-8")
    return [json.loads(line) for line in text.split("\n") if line.strip()]


def bare(text: str) -> str:
    """The letters of a text, without case: by these two prompts are the same."""
    return re.sub(r"\W+", "", text).casefold()
