"""Teaching the heads, from the same beginning in every cycle: what comes out depends on the inputs alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from constitution.cycle.digests import of_data, of_encoder, of_files, of_rules
from constitution.cycle.settings import LABELLED, CycleSettings, TrainSettings
from constitution.cycle.step import Made, Work, folder_in_place, load_heads
from constitution.cycle.steps.labels import KEPT_OUT
from guard.trained.heads import SHIPPED, Heads
from guard.training.bank import BANK
from guard.training.recipe import Recipe, Source
from guard.training.rows import source_of
from guard.training.settings import Training
from guard.training.tune import Tuning

NAME = "train"
ABOUT = "teaching the heads"
VERSION = 1


def left_out(settings: CycleSettings) -> bool:
    """Whether nothing is taught."""
    return settings.train is None


def after(settings: CycleSettings) -> tuple[str, ...]:
    """What teaches."""
    return ("labels",)


def inputs(work: Work) -> dict[str, str]:
    """Rules, encoder, the heads to begin with, the bank, the recipe, and how."""
    train = _settings(work)
    base = None if train.how != "onto" else load_heads(work, work.base)
    return {
        **of_rules(work.constitution),
        "settings `train`": of_data(train.model_dump(mode="json", exclude={"recipe"})),
        "setting `threads`": str(work.settings.threads),
        "setting `seed`": str(work.settings.seed),
        "encoder": of_encoder(work.settings.gate.encoder),
        **({"heads to begin with": base.identity if base else ""} if train.how == "onto" else {}),
        **({"twin bank": of_files("", [BANK])[f" `{BANK}`"]} if train.bank else {}),
        **of_files("file", [train.recipe] if train.recipe else []),
    }


def run(work: Work) -> Made:
    """Teach, and write a folder of heads."""
    settings, train = work.settings, _settings(work)
    recipe = Recipe.load(train.recipe) if train.recipe else Recipe(only_named=False)
    made_by_steps = [work.out / path for path in work.done("labels").outputs if Path(path).name != KEPT_OUT]
    own = {source_of(path): Source() for path in made_by_steps}
    what = Training(
        work.constitution,
        data=made_by_steps,
        check=[path] if (path := work.out / KEPT_OUT).stat().st_size else [],
        recipe=recipe.model_copy(update={"sources": {**own, **recipe.sources}}),
        bank=train.bank,
        encoder=settings.gate.encoder,
        tuned=train.how == "tuned",
        how=Tuning(seed=settings.seed, threads=settings.threads, passes=train.passes or recipe.prompts),
        budget=train.budget,
        unsure=train.unsure,
    )
    out = work.heads_folder("-taught")
    with folder_in_place(out) as partial:
        if train.how == "onto":
            heads, fresh = _onto(work, what, partial)
        else:
            from guard.training.train import train as teach

            heads = teach(what, partial, work.told)
            fresh = heads
    return Made([out], {"how": train.how, "taught": list(fresh.rules) if fresh else [], **_figures(fresh)})


def _onto(work: Work, what: Training, out: Path) -> tuple[Heads, Heads | None]:
    """Teach what the heads to begin with do not know; these as they are where they know all."""
    from guard.training.onto import train_onto, unknown

    base = Heads.load(SHIPPED / "base" if work.base == "shipped" else Path(work.base))
    again = _again(work)
    if not unknown(work.constitution, base, again):
        work.told("every rule has a head already: nothing to teach; `train.again` names rules that are taught anew")
        base.save(out)
        return base, None
    heads = train_onto(what, base, out, work.told, again=again)
    return heads, heads.also[-1]


def _again(work: Work) -> set[str]:
    given = set(_settings(work).again)
    if LABELLED in given:
        known = {rule.id for rule in work.constitution}
        sources = work.done("labels").figures.get("sources", {}).values()
        given |= {rule for source in sources for rule in source["rules"] if rule in known}
    return given - {LABELLED}


def _figures(heads: Heads | None) -> dict[str, Any]:
    if heads is None:
        return {}
    names = ("held_out", "promises", "left_out", "sources")
    return {name: heads.card[name] for name in names if name in heads.card}


def _settings(work: Work) -> TrainSettings:
    return work.settings.train or TrainSettings()
