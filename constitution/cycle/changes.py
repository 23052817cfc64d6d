"""What a step goes by, and which of it is otherwise than when the step was last done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from constitution import archive
from constitution.cycle.digests import of_file, of_rule
from constitution.cycle.step import Step, Work
from rules.schema import Constitution
from rules.words import quoted


def inputs_of(step: Step, work: Work) -> dict[str, str]:
    """All that a step goes by, in words -> digest: its own inputs, and what came of the steps before."""
    found = {"version of the step": str(step.VERSION), **step.inputs(work)}
    for name in step.after(work.settings):
        found[f"step `{name}`"] = work.state.done[name].outcome if name in work.state.done else ""
    return found


def changes(step: Step, work: Work, *, again: bool = True) -> list[str]:
    """Why a step is to be done, in words; nothing where it is not.

    Args:
        step: the step.
        work: with the state.
        again: whether what an earlier run left unfinished is to be taken up.
    """
    done = work.state.done.get(step.NAME)
    if done is None:
        was_begun = step.NAME in work.state.begun and not work.state.finished
        return ["it was begun and not finished" if was_begun else "it was not done yet"]
    found = list(_differences(done.inputs, inputs_of(step, work)))
    begun = work.state.begun.get(step.NAME, done.inputs)
    if not found and dict(begun) != dict(done.inputs):  # what it left half done must not pass for what it was before
        found.append("it was begun with other inputs meanwhile, and not finished")
    for name, digest in done.outputs.items():
        path = work.out / name
        if not path.exists():
            found.append(f"{quoted(name)} is gone")
        elif of_file(path) != digest:
            found.append(f"{quoted(name)} is not as it was left")
    if done.unfinished and again:
        found.append(done.unfinished)
    return found


def rules_of(constitution: Constitution) -> dict[str, str]:
    """Rule -> digest of all that any step goes by."""
    return {rule.id: of_rule(rule) for rule in constitution}


def rules_changed(work: Work) -> list[str]:
    """What changed in the rules since the last cycle began, a line a rule; nothing before the first."""
    before, now = work.state.rules, rules_of(work.constitution)
    if not before or before == now:
        return []
    old = archive.read_constitutions(work.out).get(work.state.rules_digest)
    told = {}
    if old is not None:
        from rules.diff import diff

        told = {
            each.rule: f"{each.kind}: {'; '.join(change.what for change in each.changes)}"
            for each in diff(old, work.constitution).rules
        }
    lines = []
    for rule in sorted({*before, *now}):
        if before.get(rule) == now.get(rule):
            continue
        word = "added" if rule not in before else "removed" if rule not in now else "changed"
        lines.append(f"`{rule}` {told.get(rule, word)}")
    return lines


def _differences(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    for name in now:
        if name not in before:
            yield f"{name} is new"
        elif before[name] != now[name]:
            yield f"{name} changed"
    yield from (f"{name} is gone" for name in before if name not in now)
