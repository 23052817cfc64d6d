"""An output folder: what determined its rows (run.json), and the lock that keeps a second run out.

run.json holds a list, `runs`, the newest last: a folder that was told to mix has several. Folders of the first
wardlaw hold one alone, without the list, and are read as well.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from constitution.formats.files import write_text
from constitution.row import Record
from guard.held import held
from rules.errors import WardlawError

RUN_FILE = "run.json"


class RunError(WardlawError):
    """The output folder cannot take this run."""


class Determined(Record):
    """All that determines a run's rows beside its prompts. A folder holds rows of one of these, unless told to mix."""

    constitution: str
    """Digest of the rules."""
    constitution_name: str
    rules: Mapping[str, str]
    """Rule id -> digest."""
    templates: str
    """Digest of the loop's templates."""
    gate: str
    """Identity of the gate."""
    models: Mapping[str, str]
    """Role -> identity of the model."""
    sampling: Mapping[str, Mapping[str, float | int]]
    """Role -> temperature, top_p, max_tokens."""
    rounds: int
    choice: str
    samples: int
    min_helpful: int | None = None
    seed: int

    def differences(self, other: Determined) -> list[str]:
        """What `other` has otherwise, in words."""
        found = []
        mine, theirs = self.model_dump(), other.model_dump()
        for key in type(self).model_fields:
            if key == "rules" or mine[key] == theirs[key]:
                continue
            if isinstance(mine[key], dict):
                for name in sorted({*mine[key], *theirs[key]}):
                    before, now = mine[key].get(name), theirs[key].get(name)
                    if before != now:
                        found.append(f"{key}.{name}: was `{before}`, is `{now}`")
            else:
                found.append(f"{key}: was `{mine[key]}`, is `{theirs[key]}`")
        names = sorted({*self.rules, *other.rules})
        changed = [f"`{name}`" for name in names if self.rules.get(name) != other.rules.get(name)]
        if changed:
            found.append(f"rules changed: {', '.join(changed)}")
        return found


class _Runs(Record):
    runs: Annotated[tuple[Determined, ...], Field(min_length=1)]


def locked(folder: Path) -> AbstractContextManager[None]:
    """Hold `folder` for one run; made if it is not there.

    Raises:
        RunError: another run holds it, or it cannot be made.
    """
    return held(folder, RunError)


def read_runs(folder: Path) -> tuple[Determined, ...]:
    """What determined the rows in `folder`, the newest last; empty where no run made a row there yet.

    Raises:
        RunError: run.json is damaged.
    """
    path = folder / RUN_FILE
    try:
        kept = json.loads(path.read_bytes())
        if isinstance(kept, dict) and "runs" in kept:
            return _Runs.model_validate(kept).runs
        return (Determined.model_validate(kept),)
    except FileNotFoundError:
        return ()
    except ValueError as error:
        raise RunError(f"`{path}` is damaged", "put it back from a copy, or use another --out folder") from error


def write_runs(folder: Path, runs: tuple[Determined, ...]) -> None:
    """Write run.json, whole or not at all.

    Raises:
        FormatError: the folder cannot be written.
    """
    write_text(folder / RUN_FILE, dump(_Runs(runs=runs).model_dump(mode="json")))


def dump(value: Any) -> str:
    """JSON for people: indented, in the texts' own script."""
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"
