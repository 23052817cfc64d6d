"""What a later step would stumble over, found before a model is asked: rules that are not there, files at fault."""

from __future__ import annotations

from constitution.cycle.settings import LABELLED, CycleSettings
from constitution.cycle.state import CycleError
from rules.schema import Constitution
from rules.words import did_you_mean, quoted


def check_named(settings: CycleSettings, constitution: Constitution) -> None:
    """See that every rule that the settings name is there.

    Raises:
        CycleError: one is not.
    """
    known = [rule.id for rule in constitution]
    named = {
        "probes.only": settings.probes.only if settings.probes else (),
        "train.again": settings.train.again if settings.train else (),
    }
    for key, rules in named.items():
        also = [LABELLED] if key == "train.again" else []
        for rule in rules:
            if rule not in (*known, *also):
                hint = did_you_mean(rule, [*known, *also], f"name rules of `{constitution.name}`")
                raise CycleError(f"`{key}`: no rule {quoted(rule)}", hint)


def check_files(settings: CycleSettings) -> None:
    """Read the recipe, the labels, the check sets and the traffic once, as the steps will that come after the models.

    Raises:
        LabelError: one of them cannot be used; with its file and line.
    """
    from constitution.cycle.steps.labels import labelled
    from guard.training.recalibrate import read_traffic
    from guard.training.recipe import Recipe
    from guard.training.sets import find_files, read_objects, read_set

    train, calibrate, check = settings.train, settings.calibrate, settings.check
    if train is not None:
        if train.recipe is not None:
            Recipe.load(train.recipe)
        given = (*settings.labels.feedback, *settings.labels.data)
        for path in find_files(given) if given else ():
            for number, row in read_objects(path):
                labelled(path, number, row)
    if check.sets:
        for path in find_files(check.sets):
            read_set(path, check.ignore)
    if calibrate is not None:
        read_traffic(calibrate.benign)


def extent(settings: CycleSettings, constitution: Constitution) -> list[str]:
    """How much the models are asked for, a line a step."""
    found = []
    if probes := settings.probes:
        from constitution.probing.settings import is_withheld, named_rules

        rules = named_rules(constitution, probes.only)
        rules_told = "one rule" if len(rules) == 1 else f"{len(rules):,} rules"
        sides = sum(kind == "keep" or not is_withheld(rule) for rule in rules for kind in probes.kinds)
        found.append(f"probes: {sides * probes.count:,} wanted: {probes.count:,} of each kind of {rules_told}")
    if rows := settings.rows:
        most = "as many as there are prompts" if rows.limit is None else f"at most {rows.limit:,}"
        found.append(f"rows: {most}, each an answer, its critiques and revisions")
    return found
