"""One evaluation: models, gate and store opened, every criterion measured in turn, the files written."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from constitution.calls import BudgetSpent, Caller, Meter
from constitution.evaluating.answers import Withholding
from constitution.evaluating.bench import Bench, Progress
from constitution.evaluating.compare import Items, compare
from constitution.evaluating.criterion import CannotRun, Criterion, EvaluationError, Item, Result, chosen, counted
from constitution.evaluating.folder import CallStore, hold, read_items, read_report, write_items, write_report
from constitution.evaluating.pages import write_pages
from constitution.evaluating.prompts import Prompt, read_prompts
from constitution.evaluating.report import Comparison, Made, Outcome, Report, Spent
from constitution.evaluating.settings import Settings
from constitution.evaluating.wording import QUESTIONS, WordSet
from constitution.loading import on_thread
from constitution.row import ModelRole
from constitution.run import locked
from constitution.templates import TemplateSet
from guard.gate import Gate
from guard.language import load_statistics
from guard.models import open_model
from guard.models.base import ChatModel, Sampling
from rules.digest import constitution_digest
from rules.schema import Constitution

_LOCAL, _REMOTE = 4, 16
"""Items at work at once."""


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What came of a run."""

    report: Report
    items: Mapping[str, tuple[Item, ...]]
    files: tuple[Path, ...]
    spent: BudgetSpent | None = None
    """The budget ran out; criteria that were not finished are told as not run."""


class Evaluation:
    """One run. `meter` and `progress` can be read while it goes on."""

    def __init__(self, settings: Settings, constitution: Constitution) -> None:
        """Check what can be checked before a model is loaded.

        Raises:
            EvaluationError: an unknown criterion, folders or files that are not there or damaged.
            TemplateError: so are the judge's questions.
        """
        self.settings = settings
        self.constitution = constitution
        self.criteria = chosen(settings.criteria)
        self.templates = TemplateSet.read()
        self.questions = WordSet.read(settings.questions or QUESTIONS)
        self.meter = Meter(budget=settings.max_tokens_total)
        self.progress = Progress(criteria=len(self.criteria))
        if settings.data is not None and not settings.data.is_dir():
            raise EvaluationError(f"no folder `{settings.data}`", "name the folder with the labelled sets under --data")
        self._prompts: tuple[Prompt, ...] = read_prompts(settings.prompts, constitution) if settings.prompts else ()
        self._earlier: tuple[Report, Items] | None = None
        if settings.compare is not None:
            self._earlier = read_report(settings.compare), read_items(settings.compare)

    async def run(self) -> Evaluated:
        """Measure, and write the files.

        Raises:
            RunError: the folder is in use.
            EvaluationError: it holds an evaluation that was made otherwise.
            ModelError: a model cannot answer. What was answered is kept; run again to go on.
        """
        settings = self.settings
        with locked(settings.out):
            async with AsyncExitStack() as stack:
                store = stack.enter_context(closing(CallStore(settings.out)))
                before = store.counts()
                self.meter.before = before.tokens.prompt + before.tokens.completion
                models, gate = await self._load(stack)
                made = self._made(models, gate)
                hold(settings.out, made, used=before.calls > 0, anew=settings.anew)
                load_statistics()
                bench = self._bench(Caller(models, self._sampling(models), store, self.meter), gate, models)
                results, whys, spent = await self._measure(bench)
        return self._written(made, results, whys, spent)

    async def _measure(self, bench: Bench) -> tuple[dict[str, Result], dict[str, str], BudgetSpent | None]:
        results: dict[str, Result] = {}
        whys: dict[str, str] = {}
        spent: BudgetSpent | None = None
        for number, criterion in enumerate(self.criteria, 1):
            name = criterion.NAME
            self.progress.criterion, self.progress.number = name, number
            self.progress.done = self.progress.total = 0
            bench.left_out.clear()
            why = "the token budget was spent before it" if spent else self._why_not(criterion)
            if not why:
                try:
                    result = await criterion.measure(bench)
                    left_out = {**bench.left_out, **result.left_out}
                    results[name] = result.model_copy(update={"left_out": left_out})
                except CannotRun as error:
                    why = f"{error}{counted(bench.left_out)}"
                except BudgetSpent as error:
                    spent, why = error, "the token budget was spent while it was measured"
            if why:
                whys[name] = why
        return results, whys, spent

    def _why_not(self, criterion: Criterion) -> str:
        if "judge" in criterion.NEEDS and self.settings.judge is None:
            return "it needs a judge: give --judge"
        if "data" in criterion.NEEDS and self.settings.data is None:
            return "it needs labelled sets: give --data"
        return ""

    def _written(
        self, made: Made, results: Mapping[str, Result], whys: Mapping[str, str], spent: BudgetSpent | None
    ) -> Evaluated:
        settings, meter = self.settings, self.meter
        outcomes = tuple(
            _outcome(criterion, results.get(criterion.NAME), whys.get(criterion.NAME, ""))
            for criterion in self.criteria
        )
        items = {name: result.items for name, result in results.items()}
        report = Report(
            made=made,
            limit=settings.limit,
            data=settings.data.name if settings.data else None,
            outcomes=outcomes,
            comparison=self._compared(made, items, outcomes),
            spent=Spent(
                calls=meter.calls,
                reused=meter.reused,
                prompt=meter.usage.prompt,
                completion=meter.usage.completion,
                seconds=round(meter.seconds, 1),
            ),
            finished=time.time(),
        )
        files = (
            write_report(settings.out, report),
            write_items(settings.out, items, parquet=settings.parquet),
            *write_pages(settings.out, report, items),
        )
        return Evaluated(report, items, files, spent)

    def _compared(
        self, made: Made, items: Mapping[str, tuple[Item, ...]], outcomes: tuple[Outcome, ...]
    ) -> Comparison | None:
        if self._earlier is None or self.settings.compare is None:
            return None
        report, before = self._earlier
        after = {name: {item.id: item for item in every} for name, every in items.items()}
        return compare(self.settings.compare, report, before, made, after, outcomes)

    # -- parts

    def _bench(self, caller: Caller, gate: Gate, models: Mapping[ModelRole, ChatModel]) -> Bench:
        settings = self.settings
        local = all(model.local for model in models.values())
        return Bench(
            caller=caller,
            gate=gate,
            constitution=self.constitution,
            templates=self.templates,
            questions=self.questions,
            sampling=settings.drawn,
            seed=settings.seed,
            limit=settings.limit,
            data=settings.data,
            prompts=self._prompts,
            samples=settings.samples,
            system=settings.system,
            concurrency=settings.concurrency or (_LOCAL if local else _REMOTE),
            progress=self.progress,
        )

    def _sampling(self, models: Mapping[ModelRole, ChatModel]) -> dict[ModelRole, Sampling]:
        return {role: self.settings.drawn if role == "answerer" else Sampling(0.0) for role in models}

    async def _load(self, stack: AsyncExitStack) -> tuple[dict[ModelRole, ChatModel], Gate]:
        """The models, one a name, and the gate; on a thread, so that the event loop hears that the run is to stop."""
        settings = self.settings
        names: dict[ModelRole, str] = {"answerer": settings.target}
        if settings.judge is not None:
            names["judge"] = settings.judge
        opened: dict[str, ChatModel] = {}
        self.meter.loading = True
        try:
            for name in dict.fromkeys(names.values()):
                load = partial(open_model, name, concurrency=settings.concurrency or _REMOTE)
                async with on_thread(load) as model:
                    stack.push_async_callback(model.close)
                opened[name] = model
            build = partial(Gate.build, self.constitution, encoder=settings.encoder, thorough=True)
            async with on_thread(build) as gate:
                stack.enter_context(gate)
        finally:
            self.meter.loading = False
        models = {role: opened[name] for role, name in names.items()}
        return {**models, "answerer": Withholding(models["answerer"])}, gate

    def _made(self, models: Mapping[ModelRole, ChatModel], gate: Gate) -> Made:
        settings = self.settings
        drawn = dataclasses.asdict(settings.drawn)
        return Made(
            model=models["answerer"].identity,
            judge=models["judge"].identity if "judge" in models else None,
            gate=gate.identity,
            constitution=constitution_digest(self.constitution),
            constitution_name=self.constitution.name,
            templates=self.templates.digest,
            questions=self.questions.digest,
            sampling={name: drawn[name] for name in ("temperature", "top_p", "max_tokens")},
            samples=settings.samples,
            system=settings.system,
            seed=settings.seed,
        )


def _outcome(criterion: Criterion, result: Result | None, why: str) -> Outcome:
    said = {
        "criterion": criterion.NAME,
        "title": criterion.TITLE,
        "definition": criterion.DEFINITION.strip(),
        "source": criterion.SOURCE.strip(),
    }
    if result is None:
        return Outcome(**said, why_not=why)
    return Outcome(
        **said,
        measures=result.measures,
        reliability=result.reliability,
        notes=result.notes,
        left_out=dict(result.left_out),
        items=len(result.items),
    )
