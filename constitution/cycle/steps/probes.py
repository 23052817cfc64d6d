"""New red-team prompts and near misses of the rules."""

from __future__ import annotations

import asyncio
from typing import Any

from constitution.cycle.digests import of_data, of_encoder, of_file, of_files, of_models, of_rules
from constitution.cycle.settings import NONE, CycleSettings, ProbeSettings
from constitution.cycle.step import Made, Work

NAME = "probes"
ABOUT = "new red-team prompts and near misses"
VERSION = 1

_COSTS_ONLY = {"seeds", "model", "max_tokens_total"}


def left_out(settings: CycleSettings) -> bool:
    """Whether there are none."""
    return settings.probes is None


def after(settings: CycleSettings) -> tuple[str, ...]:
    """Nothing comes before."""
    return ()


def inputs(work: Work) -> dict[str, str]:
    """Rules, models, encoder, seeds, templates, and how many."""
    from constitution.probing.wording import PROMPTS

    settings, probes = work.settings, _settings(work)
    return {
        **of_rules(work.constitution),
        "settings `probes`": of_data(probes.model_dump(mode="json", exclude=_COSTS_ONLY)),
        "setting `language`": settings.language,
        "setting `seed`": str(settings.seed),
        **of_models({"model": probes.model or settings.model, "judge": settings.judge}),
        **of_files("file", [probes.seeds] if probes.seeds else []),
        "encoder": of_encoder(settings.gate.encoder),
        "templates": of_file(PROMPTS),
    }


def run(work: Work) -> Made:
    """Make them; calls that were answered before are not asked again, whatever changed."""
    from constitution.probing.figures import making_figures
    from constitution.probing.making import Making
    from constitution.probing.recipe import Recipe
    from constitution.probing.settings import Common, Wanted

    settings, probes = work.settings, _settings(work)
    encoder = settings.gate.encoder
    common = Common(
        out=work.out / "probes",
        model=probes.model or settings.model or "",
        judge=settings.judge,
        only=probes.only,
        seeds=probes.seeds,
        encoder=None if encoder == NONE else encoder,
        language=settings.language,
        concurrency=settings.concurrency or 8,
        budget=probes.max_tokens_total,
    )
    recipe = Recipe(
        count=probes.count,
        rounds=probes.rounds,
        patience=probes.patience,
        rouge=probes.rouge,
        cosine=probes.cosine,
        languages=probes.languages,
        multi_turn=probes.multi_turn,
        temperature=probes.temperature,
        seed=settings.seed,
    )
    making = Making(common, Wanted(probes.kinds, probes.disguises), recipe, work.constitution)
    work.watched = lambda: _line(making)
    made = asyncio.run(making.run(anew=True))
    figures = making_figures(made, making.meter)
    kept = {name: figures[name] for name in ("sides", "probes", "disguised", "short")}
    outputs = [path for path in made.files if path.name in ("probes.jsonl", "labels.jsonl")]
    return Made(outputs, kept, making.meter, spent=made.spent)


def _settings(work: Work) -> ProbeSettings:
    return work.settings.probes or ProbeSettings()


def _line(making: Any) -> str:
    if making.meter.loading:
        return "loading models ..."
    probes = sum(len(side.probes) for side in making.sides)
    wanted = sum(side.wanted for side in making.sides if side.end in ("", "reached"))
    texts = sum(side.texts for side in making.sides)
    return f"{probes:,} of {wanted:,} probes from {texts:,} texts; calls: {making.meter.calls:,}"
