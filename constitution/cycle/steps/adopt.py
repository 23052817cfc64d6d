"""New heads in the place of those in force, in one step, and only where nothing got worse."""

from __future__ import annotations

import os
from pathlib import Path

from constitution.cycle.settings import NONE, CycleSettings
from constitution.cycle.state import CycleError
from constitution.cycle.step import CURRENT, Made, Work, folder_in_place, load_heads
from constitution.cycle.steps.check import states_of

NAME = "adopt"
ABOUT = "new heads into force"
VERSION = 1

BY = "wardlaw cycle"
"""Who says so, in the ledger."""


def left_out(settings: CycleSettings) -> bool:
    """Never."""
    return False


def after(settings: CycleSettings) -> tuple[str, ...]:
    """What was measured."""
    return ("check",)


def inputs(work: Work) -> dict[str, str]:
    """What is demanded of new heads."""
    return {"settings `adopt`": work.settings.adopt.demand}


def run(work: Work) -> Made:
    """Point `current` to the new heads; where something speaks against them, those of before stay in force."""
    before, newest = work.state.before.heads, work.newest
    checked = work.done("check").figures
    refused = tuple(checked["against"][work.settings.adopt.demand])
    heads = load_heads(work, newest)
    same = newest == before or (heads is not None and heads.identity == work.state.before.identity)
    if same or refused:
        if before != NONE:  # a server that is pointed to it must find heads, and those that were in force
            former = _copied(work, before) if before in ("shipped", work.base) else work.out / before
            if (work.out / CURRENT).resolve() != former.resolve():
                _point(work, former)
        why = "the heads are those of before" if same else "something got worse"
        return Made(figures={"adopted": False, "why": why, "in_force": _in_force(work)}, refused=refused)
    _point(work, work.out / newest)
    _record(work)
    return Made(figures={"adopted": True, "in_force": _in_force(work)})


def _point(work: Work, heads: Path) -> None:
    """Make `current` lead to a folder of heads; whoever opens it finds the old ones or the new ones, whole."""
    link, partial = work.out / CURRENT, work.out / f".{CURRENT}.partial"
    try:
        partial.unlink(missing_ok=True)
        partial.symlink_to(os.path.relpath(heads, work.out), target_is_directory=True)
        partial.replace(link)
        folder = os.open(work.out, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        what = f"`{link}` cannot be made to lead to the new heads: {error.strerror or error}"
        raise CycleError(what, "see what lies there; the heads of before are in force") from error


def _copied(work: Work, given: str) -> Path:
    """The heads of before the first cycle, as a folder of this one."""
    folder = work.out / "heads" / "000"
    heads = load_heads(work, given)
    if heads is not None and not folder.is_dir():
        with folder_in_place(folder) as partial:
            heads.save(partial)
    return folder


def _record(work: Work) -> None:
    """Write the replay into the ledger, where that was asked for."""
    ledger, checked = work.settings.ledger, work.done("check")
    path = next(iter(checked.outputs), None)
    if ledger is None or not ledger.record or not ledger.file.exists() or path is None:
        return
    from guard.ledger.events import Replayed, Target, now
    from guard.ledger.file import append
    from guard.ledger.outcomes import STATES
    from rules.digest import constitution_digest

    states = states_of(work.out / path)
    named = {state: tuple(name for name, found in states.items() if found == state) for state in STATES}
    if not states:
        return
    target = Target(
        kind="gate",
        name=" ".join(work.settings.rules),
        constitution=constitution_digest(work.constitution),
        gate=checked.figures["gates"]["after"],
    )
    append(ledger.file, [Replayed(at=now(), by=BY, target=target, settles=True, **named)])


def _in_force(work: Work) -> str:
    link = work.out / CURRENT
    return link.resolve().name if link.is_dir() else NONE
