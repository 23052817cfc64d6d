"""Training rows: probes, finds and prompts of one's own through the loop.

Rows stay from cycle to cycle. Where rules changed, those that depend on them are made anew in their places, and all
others stand; where models or settings did, the rows are put aside and a new folder is begun: nothing is mixed.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from constitution.cycle.digests import of_data, of_encoder, of_file, of_files, of_models
from constitution.cycle.settings import NONE, CycleSettings, RowSettings
from constitution.cycle.step import Made, Work
from constitution.formats.files import write_text
from constitution.run import dump, read_runs
from rules.digest import constitution_digest, rule_digest

if TYPE_CHECKING:
    from constitution.calls import Meter
    from constitution.generate import Generation, Outcome
    from constitution.settings import Settings

NAME = "rows"
ABOUT = "answers, critiques and revisions"
VERSION = 1
MADE_BY = "rows.made-by.json"
"""What the rows in the folder go by beside their prompts and rules."""

_HOW = {"rounds", "choose", "samples", "min_helpful"}
_WHICH = {"probes", "benign_share", "limit", "licence"}


def left_out(settings: CycleSettings) -> bool:
    """Whether there are none."""
    return settings.rows is None


def after(settings: CycleSettings) -> tuple[str, ...]:
    """What gives prompts."""
    rows = settings.rows or RowSettings()
    probes = ("probes",) if rows.probes and settings.probes is not None else ()
    return (*probes, *(("ledger",) if settings.ledger is not None else ()))


def inputs(work: Work) -> dict[str, str]:
    """Rules, models, encoder, templates, prompt files, and how rows are made."""
    rows = _settings(work)
    return {
        **{f"rule `{rule.id}`": rule_digest(rule) for rule in work.constitution},
        **_how(work),
        "settings `rows`": of_data(rows.model_dump(mode="json", include=_WHICH)),
        **of_files("file", [*rows.prompts, *rows.benign]),
    }


def run(work: Work) -> Made:
    """Make what is not there yet, and make anew what depends on rules that changed."""
    prompts = _prompts(work)
    if not prompts:
        work.told("no prompts: no probes, no finds, and no files of your own")
        return Made(figures={"prompts": 0})
    folder = work.out / "rows"
    _put_aside(work, folder)
    settings = _told_to_loop(work, prompts, folder)
    meters: list[Meter] = []
    remade = _update(work, settings, meters)
    if remade is not None and (remade[1].spent or remade[0].tally.failed):
        return _made(remade[0], remade[1], remade[0].tally.finished, meters)
    runs = read_runs(folder)
    by_other_rules = bool(runs) and runs[-1].constitution != constitution_digest(work.constitution)
    from constitution.generate import Generation

    generation = Generation(settings.model_copy(update={"mixed": by_other_rules}), work.constitution)
    meters.append(generation.meter)
    outcome = _run(work, generation)
    return _made(generation, outcome, remade[0].tally.finished if remade else 0, meters)


def _update(work: Work, settings: Settings, meters: list[Meter]) -> tuple[Generation, Outcome] | None:
    """Make the rows anew that depend on rules which changed; None where none does."""
    from constitution.update import Update

    if not read_runs(settings.out):
        return None
    update = Update(settings, work.constitution)
    if not update.dependence.stale:
        return None
    rules = ", ".join(f"`{rule}` {count:,}" for rule, count in update.dependence.rules.most_common(5))
    work.told(f"{update.dependence.stale:,} of {update.dependence.rows:,} rows depend on rules that changed: {rules}")
    meters.append(update.meter)
    return update, _run(work, update)


def _run(work: Work, generation: Generation) -> Outcome:
    work.watched = lambda: _line(generation)
    return asyncio.run(generation.run())


def _made(generation: Generation, outcome: Outcome, remade: int, meters: list[Meter]) -> Made:
    from constitution.calls import Meter
    from guard.models.base import Usage

    figures, tally = outcome.exported.statistics, generation.tally
    reasons: dict[str, int] = {}
    for by_reason in figures.rejections.values():
        for reason, count in by_reason.items():
            reasons[reason] = reasons.get(reason, 0) + count
    told: dict[str, Any] = {
        "prompts": generation.total,
        "rows": figures.rows,
        "new": tally.finished if not generation.redoes else 0,
        "remade": remade,
        "from_before": tally.resumed,
        "accepted": figures.accepted,
        "changed": figures.changed,
        "rejected": figures.rejected,
        "reasons": dict(sorted(reasons.items(), key=lambda item: -item[1])),
        "failed": tally.failed,
        "rules": {rule: count.model_dump() for rule, count in figures.rules.items()},
    }
    meter = Meter(
        usage=Usage(sum(m.usage.prompt for m in meters), sum(m.usage.completion for m in meters)),
        calls=sum(m.calls for m in meters),
        reused=sum(m.reused for m in meters),
    )
    unfinished = f"{tally.failed:,} rows could not be finished (last: {tally.last_failure})" if tally.failed else ""
    files = [item.path for item in outcome.exported.files if item.name == "gate"]
    return Made(files, told, meter, unfinished, outcome.spent)


def _prompts(work: Work) -> list[str]:
    """The files of prompts that are there and hold any."""
    given = [
        path
        for step, name in (("probes", "probes.jsonl"), ("ledger", "prompts.jsonl"))
        if (path := work.output(step, name)) is not None and (step != "probes" or _settings(work).probes)
    ]
    return [*(str(path) for path in given if path.stat().st_size), *_settings(work).prompts]


def _told_to_loop(work: Work, prompts: list[str], folder: Path) -> Settings:
    from constitution.settings import Settings

    settings, rows = work.settings, _settings(work)
    encoder = settings.gate.encoder
    return Settings(
        prompts=tuple(prompts),
        out=folder,
        rules=settings.rules,
        models={role: name for role, name in _models(work).items() if name is not None},
        rounds=rows.rounds,
        choice=rows.choose,
        samples=rows.samples,
        min_helpful=rows.min_helpful,
        seed=settings.seed,
        encoder=None if encoder == NONE else encoder,
        benign=rows.benign,
        benign_share=rows.benign_share,
        limit=rows.limit,
        max_tokens_total=rows.max_tokens_total,
        concurrency=settings.concurrency,
        licence=rows.licence,
    )


def _how(work: Work) -> dict[str, str]:
    """All that rows go by beside their prompts and rules."""
    from constitution.templates import PROMPTS
    from guard.trained.heads import SHIPPED

    return {
        "settings of the loop": of_data(_settings(work).model_dump(mode="json", include=_HOW)),
        "setting `seed`": str(work.settings.seed),
        **of_models(_models(work)),
        "encoder": of_encoder(work.settings.gate.encoder),
        "heads of the sieve": of_file(SHIPPED),
        "templates": of_file(PROMPTS),
    }


def _put_aside(work: Work, folder: Path) -> None:
    """Put rows aside that were made by other models or settings; they are kept, and no longer taught."""
    how, path = _how(work), work.out / MADE_BY
    before = json.loads(path.read_bytes()) if path.is_file() else None
    if before is not None and before != how and folder.exists():
        changed = sorted(key for key in {*before, *how} if before.get(key) != how.get(key))
        number = 1
        while (aside := folder.with_name(f"rows.{number}")).exists():
            number += 1
        folder.rename(aside)
        work.told(f"{', '.join(changed)} changed: the rows of before lie in {aside}, and new ones are begun")
    if before != how:
        write_text(path, dump(how))


def _models(work: Work) -> dict[str, str | None]:
    settings, rows = work.settings, _settings(work)
    return {
        "answerer": rows.answerer or settings.model,
        "critic": rows.critic or settings.model,
        "reviser": rows.reviser or settings.model,
        "judge": rows.judge,
    }


def _settings(work: Work) -> RowSettings:
    return work.settings.rows or RowSettings()


def _line(generation: Generation) -> str:
    if generation.meter.loading:
        return "loading models ..."
    tally = generation.tally
    done = tally.finished + tally.resumed + tally.repeated + tally.failed
    of = f" of {generation.total:,}" if generation.total is not None else ""
    told = f"{done:,}{of} rows ({tally.accepted:,} accepted, {tally.resumed:,} from before)"
    return f"{told}; calls: {generation.meter.calls:,}"
