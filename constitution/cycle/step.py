"""What a step is, and what all steps work with."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from constitution.cycle.settings import NONE, CycleSettings
from constitution.cycle.state import CycleError, Done, Former, State
from rules.schema import Constitution

if TYPE_CHECKING:
    from constitution.calls import BudgetSpent, Meter
    from guard.gate import Gate
    from guard.trained.heads import Heads

CURRENT = "current"
"""The link to the heads that are in force: what a server or the gate is pointed to."""


@dataclass(slots=True)
class Work:
    """What a step may read."""

    settings: CycleSettings
    constitution: Constitution
    """The rules, read once when the cycle began."""
    state: State
    told: Callable[[str], None] = lambda _: None
    """Called with lines of progress."""
    watched: Callable[[], str] | None = None
    """What is to be said of the step at work now and then."""

    @property
    def out(self) -> Path:
        """The cycle's folder."""
        return self.settings.out

    @property
    def number(self) -> int:
        """Of the cycle."""
        return self.state.number

    def done(self, step: str) -> Done:
        """What came of an earlier step.

        Raises:
            CycleError: it was not done.
        """
        found = self.state.done.get(step)
        if found is None:
            raise CycleError(f"the step `{step}` was not done", f"run it first: `--only {step}`")
        return found

    def output(self, step: str, name: str) -> Path | None:
        """A file or folder that an earlier step made, by its last name; None where there is none."""
        made = self.state.done.get(step)
        return next((self.out / path for path in made.outputs if Path(path).name == name), None) if made else None

    def heads_of(self, given: str) -> Path | Literal["shipped"] | None:
        """Heads by the name that settings or the state give them."""
        if given == "shipped":
            return "shipped"
        return None if given == NONE else (self.out / given).resolve()

    @property
    def base(self) -> str:
        """The heads to begin with, as `heads_of` takes them."""
        given = self.settings.gate.heads
        return given if given in ("shipped", NONE) else str(Path(given).resolve())

    def heads_from(self, *steps: str) -> str:
        """The heads that the last of these steps made, as `heads_of` takes them; those in force where none did."""
        for step in reversed(steps):
            made = self.state.done.get(step)
            for path in made.outputs if made else ():
                if path.startswith("heads/"):
                    return path
        return self.state.before.heads

    @property
    def newest(self) -> str:
        """The heads that this cycle made, as `heads_of` takes them."""
        return self.heads_from("train", "calibrate")

    def heads_folder(self, suffix: str = "") -> Path:
        """A folder for new heads of this cycle; never the one that is in force, which a killed cycle may have made."""
        in_force = (self.out / CURRENT).resolve()
        names = (f"{self.number:03}{suffix}{again}" for again in ("", *(f".{number}" for number in range(2, 1000))))
        return next(path for name in names if (path := self.out / "heads" / name).resolve() != in_force)

    @contextmanager
    def gate(self, heads: str, *, thorough: bool = False) -> Iterator[Gate]:
        """The gate of the rules with some heads."""
        from guard.gate import Gate

        encoder = self.settings.gate.encoder
        taken = self.heads_of(heads)
        with Gate.build(
            self.constitution, encoder=None if encoder == NONE else encoder, heads=taken, thorough=thorough
        ) as gate:
            yield gate


@dataclass(frozen=True, slots=True)
class Made:
    """What a step came to."""

    outputs: Sequence[Path] = ()
    """Files and folders in the cycle's folder."""
    figures: Mapping[str, Any] = field(default_factory=dict)
    meter: Meter | None = None
    unfinished: str = ""
    """What is left to do; the next run takes the step up again."""
    spent: BudgetSpent | None = None
    """Set where it ended because its token budget was spent: the cycle stops here."""
    refused: tuple[str, ...] = ()
    """What speaks against what it was to do."""


class Step(Protocol):
    """A module of `constitution.cycle.steps`."""

    NAME: str
    ABOUT: str
    """What it does, in a few words."""
    VERSION: int
    """Raised where the same inputs come to something else than before."""

    def left_out(self, settings: CycleSettings) -> bool:
        """Whether the cycle does without."""

    def after(self, settings: CycleSettings) -> tuple[str, ...]:
        """The steps whose outcome it reads."""

    def inputs(self, work: Work) -> dict[str, str]:
        """What else it goes by, in words -> digest."""

    def run(self, work: Work) -> Made:
        """Do it."""


def load_heads(work: Work, given: str) -> Heads | None:
    """Heads by name, with those beside them that judge a rule of the cycle; None for none."""
    from guard.trained.heads import Heads, shipped

    where = work.heads_of(given)
    if where == "shipped":
        return shipped(work.constitution)
    return None if where is None else Heads.load(where).within(work.constitution)


def former_of(work: Work) -> Former:
    """The heads that are in force now: what `current` leads to, else those to begin with."""
    link = work.out / CURRENT
    given = work.base
    if link.is_dir():
        there, out = link.resolve(), work.out.resolve()
        given = there.relative_to(out).as_posix() if there.is_relative_to(out) else str(there)
    heads = load_heads(work, given)
    return Former(heads=given if heads else NONE, identity=heads.identity if heads else "")


@contextmanager
def folder_in_place(folder: Path) -> Iterator[Path]:
    """A folder beside `folder` that takes its place when the block ends; what a killed process left goes away first."""
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield partial
        if folder.exists():
            shutil.rmtree(folder)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
