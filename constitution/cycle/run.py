"""The steps of a cycle in order: each is skipped while what it goes by is as it was, and done where that changed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from constitution import archive
from constitution.cycle.changes import changes, inputs_of, rules_changed, rules_of
from constitution.cycle.digests import of_data, of_file
from constitution.cycle.foresight import check_files, check_named
from constitution.cycle.settings import CycleSettings
from constitution.cycle.state import CycleError, Done, read_state, write_state
from constitution.cycle.step import Made, Step, Work, former_of
from constitution.cycle.steps import steps
from constitution.run import RunError, locked
from rules.errors import WardlawError
from rules.words import did_you_mean, listed, quoted

if TYPE_CHECKING:
    from constitution.calls import BudgetSpent
    from rules.schema import Constitution

Action: TypeAlias = Literal["run", "skip", "maybe", "left out"]
"""`maybe`: it comes after a step that is to be run, and is skipped where that comes to the same as before."""

_SHOWN = 6


@dataclass(frozen=True, slots=True)
class Planned:
    """What would be done with a step."""

    step: str
    about: str
    action: Action
    why: str
    """Which input changed."""


@dataclass(slots=True)
class Finished:
    """What a run of the cycle came to."""

    report: Mapping[str, Any]
    ran: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    spent: BudgetSpent | None = None
    """Set where it ended because a token budget was spent."""
    unfinished: dict[str, str] = field(default_factory=dict)
    refused: tuple[str, ...] = ()
    whole: bool = True
    """Whether all steps are done."""


class Cycle:
    """One run. `work` can be watched while it goes on."""

    def __init__(
        self, settings: CycleSettings, constitution: Constitution, told: Callable[[str], None] = lambda _: None
    ) -> None:
        """Args: constitution: the rules, read once: what is written to their files meanwhile counts for the next run.

        Raises:
            CycleError: cycle.json is damaged.
        """
        self.work = Work(settings, constitution, read_state(settings.out), told)
        self.steps = [step for step in steps() if not step.left_out(settings)]
        self._told = told
        self.at = ""
        """The step at work; after an error, the one it came in."""

    # -- looking ahead

    def plan(self, *, only: str | None = None, start: str | None = None) -> list[Planned]:
        """What would be done, and why; nothing is written and no model is opened.

        Raises:
            WardlawError: an input cannot be read.
        """
        self._check_named(only, start)
        found = []
        to_run: set[str] = set()
        for step in steps():
            if step not in self.steps:
                found.append(Planned(step.NAME, step.ABOUT, "left out", "the cycle file leaves it out"))
                continue
            waits = [name for name in step.after(self.work.settings) if name in to_run]
            changed = changes(step, self.work)
            action: Action = "run" if changed else "maybe" if waits else "skip"
            why = "; ".join(changed[:_SHOWN]) + (f"; and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else "")
            if not changed:
                why = f"after {listed(waits)}" if waits else "nothing that it goes by has changed"
            if step.NAME in {only, start} and action != "run":
                action, why = "run", "it was asked for"
            if only is not None and only != step.NAME:
                action, why = "left out", f"only `{only}` was asked for"
            if action in ("run", "maybe"):
                to_run.add(step.NAME)
            found.append(Planned(step.NAME, step.ABOUT, action, why))
        return found

    def rules_changed(self) -> list[str]:
        """What changed in the rules since the last cycle began, a line a rule; nothing before the first."""
        return rules_changed(self.work)

    # -- doing

    def run(self, *, only: str | None = None, start: str | None = None) -> Finished:
        """Do the steps that something changed for.

        Args:
            only: this step alone, also where nothing changed.
            start: from this step on; it is done also where nothing changed, the later ones where something did.

        Raises:
            CycleError: another cycle is at work in the folder, or an earlier step is not up to date.
            LabelError: a file that a later step needs cannot be used; nothing was begun.
            WardlawError: what a step raises. What was done is kept; run again to go on.
        """
        self._check_named(only, start)
        out = self.work.out
        with ExitStack() as stack:
            try:
                stack.enter_context(locked(out))
            except RunError as error:  # of this folder; that a step's own is held, the step tells
                if "another run" not in error.what:
                    raise
                hint = "wait for it to end, or give this one another `out` folder"
                raise CycleError(f"another cycle is at work in `{out}`", hint) from None
            self.work.state = read_state(out)
            return self._run(only, start)

    def _run(self, only: str | None, start: str | None) -> Finished:
        for line in self.rules_changed():
            self._told(f"rules changed: {line}")
        todo = self._todo(only, start)
        forced = only or start
        if forced or any(changes(step, self.work) for step in todo):
            check_files(self.work.settings)
            self._begin()
        came = Finished({})
        for step in todo:
            changed = changes(step, self.work)
            if forced == step.NAME and not changed:
                changed = ["it was asked for"]
            if not changed:
                came.skipped.append(step.NAME)
                self._told(f"{step.NAME}: skipped, nothing that it goes by has changed")
            elif (made := self._do(step, changed)).spent is not None:
                came.spent, came.whole = made.spent, False
                break
            else:
                came.ran.append(step.NAME)
        state = self.work.state
        left = [step for step in self.steps if step.NAME not in state.done or changes(step, self.work, again=False)]
        came.whole = came.whole and not left
        came.unfinished = {name: done.unfinished for name, done in state.done.items() if done.unfinished}
        came.refused = state.done["adopt"].refused if came.whole else ()
        from constitution.cycle.report import write_report

        came.report = write_report(self.work, came)
        if came.whole and not state.finished:
            self._keep(finished=True)
        return came

    def _todo(self, only: str | None, start: str | None) -> list[Step]:
        names = [step.NAME for step in self.steps]
        first = names.index(only or start or names[0])
        for step in self.steps[:first]:
            if changed := changes(step, self.work, again=False):
                what = f"`{step.NAME}` comes before `{only or start}` and is not up to date: {changed[0]}"
                raise CycleError(what, f"run it first: leave the option out, or `--only {step.NAME}`")
        return self.steps[first : first + 1] if only else self.steps[first:]

    def _do(self, step: Step, changed: list[str]) -> Made:
        work = self.work
        inputs = inputs_of(step, work)
        self._told(f"{step.NAME}: {step.ABOUT}: {'; '.join(changed[:_SHOWN])}")
        self._keep(begun={**work.state.begun, step.NAME: inputs})
        began = time.monotonic()
        self.at = step.NAME
        try:
            made = step.run(work)
        finally:
            work.watched = None
        self.at = ""
        meter = made.meter
        done = Done(
            inputs=inputs,
            outputs={str(path.relative_to(work.out)): of_file(path) for path in made.outputs},
            figures=made.figures,
            calls=meter.calls if meter else 0,
            reused=meter.reused if meter else 0,
            tokens_in=meter.usage.prompt if meter else 0,
            tokens_out=meter.usage.completion if meter else 0,
            seconds=round(time.monotonic() - began, 2),
            cycle=work.number,
            unfinished=made.unfinished,
            refused=made.refused,
        )
        if made.spent is None:
            self._keep(done={**work.state.done, step.NAME: done})
        return made

    def _begin(self) -> None:
        """Begin a new cycle, or go on with the one that was not finished; the rules count as read now."""
        work, state = self.work, self.work.state
        rules = rules_of(work.constitution)
        digest = of_data(rules)
        archive.keep_rules(work.out, digest, work.constitution)
        done = {name: each for name, each in state.done.items() if name in {step.NAME for step in self.steps}}
        if state.finished:
            self._keep(number=state.number + 1, finished=False, before=former_of(work))
        self._keep(rules_digest=digest, rules=rules, done=done)

    def _keep(self, **more: Any) -> None:
        self.work.state = self.work.state.model_copy(update=more)
        write_state(self.work.out, self.work.state)

    def _check_named(self, *names: str | None) -> None:
        known = [step.NAME for step in self.steps]
        for name in names:
            if name is not None and name not in known:
                every = [step.NAME for step in steps()]
                what = f"the cycle leaves the step {quoted(name)} out" if name in every else f"no step {quoted(name)}"
                raise CycleError(what, did_you_mean(name, known, f"its steps are {listed(known)}"))


def read_rules(settings: CycleSettings) -> Constitution:
    """The rules of a cycle.

    Raises:
        RuleErrors: with the place of each fault.
    """
    from rules.load import load

    return load(*settings.rules).constitution


def opened(settings: CycleSettings, told: Callable[[str], None] = lambda _: None) -> Cycle:
    """A cycle with its rules read.

    Raises:
        RuleErrors: the rules cannot be used.
        CycleError: cycle.json is damaged, or the settings name a rule that is not there.
    """
    constitution = read_rules(settings)
    check_named(settings, constitution)
    return Cycle(settings, constitution, told)


def rules_changed_meanwhile(cycle: Cycle) -> bool:
    """Whether the files say other rules by now than the cycle read when it began, or none that can be used."""
    try:
        return rules_of(read_rules(cycle.work.settings)) != rules_of(cycle.work.constitution)
    except WardlawError:
        return True
