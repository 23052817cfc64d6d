"""Rows made anew after rules were changed: those that depend on a rule which is otherwise now, and no others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from constitution.claim import Claim
from constitution.dependents import Dependence, InForce, depending
from constitution.generate import Generation
from constitution.input import Input
from constitution.prompt import Prompt
from constitution.row import Row
from constitution.run import Determined, RunError, read_runs
from constitution.store import RowStore
from guard.exchange import Message

_MAY_DIFFER = frozenset({"constitution", "constitution_name", "rules", "gate"})
"""What is otherwise by new rules alone; the gate's identity names them."""


class Update(Generation):
    """One run that makes rows anew. Each stands in its old place, under its id, as soon as it is whole: a run that is
    killed goes on with those that are left, since a row that was made by today's rules depends on no other."""

    redoes = True

    def _open(self) -> Input:
        # The prompts stand in the rows; the files they once came from may be gone.
        return Input(self.settings.model_copy(update={"prompts": (), "benign": ()}))

    def _count(self) -> int | None:
        folder = self.settings.out
        with closing(RowStore(folder, read_only=True)) as store:
            self.dependence: Dependence = depending(folder, store, self.constitution)
        return self.dependence.stale

    def _prompts(self, store: RowStore) -> Iterator[Prompt]:
        """The prompts of the rows that are to be made anew, read page by page while others are written."""
        in_force = InForce(self.settings.out, self.constitution)
        for row in store.rows():
            if in_force.stale(row):
                yield _prompt_of(row)

    def _claim(self, run: Determined, store: RowStore) -> Claim:
        """The right to write by other rules, but by nothing else that is otherwise.

        Raises:
            RunError: models, templates or the loop's settings are other ones.
        """
        before = newest(self.settings.out)
        free = _MAY_DIFFER | ({"rounds"} if self.settings.rounds is None else set())
        same = before.model_copy(update={name: getattr(run, name) for name in free})
        if (differences := same.differences(run)) and not self.settings.mixed:
            shown = "\n".join(f"    {line}" for line in differences)
            raise RunError(
                f"rows would be made anew in `{self.settings.out}` by more than other rules:\n{shown}",
                "name the models and templates of before, or say --mixed",
            )
        return self._claimed(run, store, mixed=True)


def newest(folder: Path) -> Determined:
    """What determined the newest rows of a folder.

    Raises:
        RunError: no run made a row there, or run.json is damaged.
    """
    runs = read_runs(folder)
    if not runs:
        raise RunError(f"`{folder}` holds no rows of a run", "name the folder that `wardlaw generate --out` wrote")
    return runs[-1]


def _prompt_of(row: Row) -> Prompt:
    return Prompt(row.id, tuple(Message(said.role, said.content) for said in row.prompt), row.source, row.benign)
