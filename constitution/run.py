"""An output folder: what determined its rows (run.json), and the lock that keeps a second run out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from constitution.formats.files import write_text
from constitution.row import Record
from rules.errors import WardlawError
from rules.schema import Constitution

RUN_FILE = "run.json"
RULES_FILE = "constitution.json"
LOCK_FILE = ".lock"


class RunError(WardlawError):
    """The output folder cannot take this run."""


class Determined(Record):
    """All that determines a run's rows beside its prompts. A folder holds rows of one of these, unless told."""

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


def read_constitution(folder: Path) -> Constitution | None:
    """The rules that the rows in `folder` were made by; None where they are not there."""
    try:
        return Constitution.model_validate_json((folder / RULES_FILE).read_bytes())
    except (FileNotFoundError, ValueError):
        return None


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold `folder` for one run; made if it is not there.

    Raises:
        RunError: another run holds it, or it cannot be made.
    """
    import filelock

    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder / LOCK_FILE, timeout=0)
        lock.acquire()
    except filelock.Timeout:
        raise RunError(
            f"another run is at work in `{folder}`", "wait for it to end, or give this one another --out folder"
        ) from None
    except OSError as error:
        raise RunError(
            f"`{folder}` cannot be written: {error.strerror or error}", "choose another --out folder"
        ) from error
    try:
        yield
    finally:
        lock.release()


def read_run(folder: Path) -> Determined | None:
    """What determined the rows in `folder`; None where no run was there yet.

    Raises:
        RunError: run.json is damaged.
    """
    path = folder / RUN_FILE
    try:
        return Determined.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise RunError(f"`{path}` is damaged", "put it back from a copy, or use another --out folder") from error


def claim(folder: Path, run: Determined, constitution: Constitution, *, mixed: bool) -> None:
    """Write down what determines the run, if `folder` is new or was made by the very same.

    Args:
        folder: the output folder, locked.
        run: what determines this run.
        constitution: the rules in words; they are kept beside the rows, so that the folder explains itself.
        mixed: go on even where earlier rows were made otherwise; each row says by what it was made.

    Raises:
        RunError: the folder's rows were made otherwise; says how.
        FormatError: the folder cannot be written.
    """
    before = read_run(folder)
    differences = before.differences(run) if before else []
    if differences and not mixed:
        shown = "\n".join(f"    {line}" for line in differences)
        raise RunError(
            f"`{folder}` holds rows that were made otherwise:\n{shown}",
            "use another --out folder, or --mixed to add to this one all the same",
        )
    if before != run:
        write_text(folder / RULES_FILE, dump(constitution.model_dump(mode="json", exclude_defaults=True)))
        write_text(folder / RUN_FILE, dump(run.model_dump(mode="json")))


def dump(value: Any) -> str:
    """JSON for people: indented, in the texts' own script."""
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"
