"""The main job: a rule file and prompts in, an output folder with rows and training files out."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass
from functools import partial

from constitution.calls import BudgetSpent, Caller, Meter
from constitution.claim import Claim, claim
from constitution.determining import determined, loop_settings
from constitution.duplicates import REASON, reject_duplicates
from constitution.export import Exported, export
from constitution.formats import open_format
from constitution.input import Input
from constitution.loading import on_thread
from constitution.loop import Loop
from constitution.output import keep_output, read_output
from constitution.pipeline import RowMachine, Tally
from constitution.prompt import Mixture, Prompt
from constitution.recorded import keep_settings
from constitution.row import ModelRole
from constitution.run import Determined, locked
from constitution.settings import Settings
from constitution.sources import Skipped
from constitution.store import RowStore
from constitution.templates import TemplateSet
from guard.gate import Gate
from guard.language import load_statistics
from guard.models import open_model
from guard.models.base import ChatModel
from guard.models.pool import PoolModel
from rules.schema import Constitution

_LOCAL_ROWS = 8
REMOTE_ROWS = 64
"""Rows at work at once where models are asked over a network."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to."""

    exported: Exported
    duplicates: int
    """Rows that stand rejected as near duplicates."""
    spent: BudgetSpent | None
    """Set where the run ended because the budget was spent."""


class Generation:
    """One run of the main job. `tally`, `meter`, `skipped` and `total` can be read while it goes on."""

    redoes = False
    """Whether rows take the place of those that have their ids."""

    def __init__(self, settings: Settings, constitution: Constitution) -> None:
        """Open and check the input; no model is loaded yet.

        Raises:
            PromptError: a file is not there, a line is bad, or there is no prompt at all.
            FormatError: an unknown format.
            TemplateError: the templates are wrong.
        """
        self.settings = settings
        self.constitution = constitution
        self.tally = Tally()
        self.meter = Meter(budget=settings.max_tokens_total)
        for name in settings.formats:
            open_format(name)
        self.templates = TemplateSet.read(settings.templates)
        self.input = self._open()
        self.total = self._count()
        """Prompts to come, None where that is not known."""
        self._models: tuple[ChatModel, ...] = ()

    @property
    def skipped(self) -> Skipped:
        """Bad lines that were passed over."""
        return self.input.skipped

    @property
    def mixture(self) -> Mixture:
        """How the mixing of harmless prompts went; filled while the run goes on."""
        return self.input.mixture

    @property
    def endpoints(self) -> tuple[int, int] | None:
        """Endpoints of pools that take calls, and all there are; None where no model is a pool that was looked at."""
        told = [each for model in self._models if isinstance(model, PoolModel) for each in model.endpoints()]
        if all(each.state == "new" for each in told):
            return None
        return sum(each.usable for each in told), len(told)

    async def run(self) -> Outcome:
        """Make the rows and write the files.

        Raises:
            RunError: the folder is in use, or holds rows that were made otherwise.
            WardlawError: see RowMachine.run. What is finished is kept; run again to go on.
        """
        settings = self.settings
        with locked(settings.out):
            async with AsyncExitStack() as stack:
                models, gate = await self._load(stack)
                run = determined(settings, self.constitution, self.templates, models, gate)
                store = stack.enter_context(closing(RowStore(settings.out)))
                claimed = self._claim(run, store)
                # Before the first row: a run that is killed has its choices kept for `wardlaw export`.
                keep_output(settings.out, read_output(settings.out, settings.output))
                before = store.counts()
                self.meter.before = before.tokens.prompt + before.tokens.completion
                caller = Caller(models, {role: settings.drawn(role) for role in models}, store, self.meter)
                loop = Loop(
                    self.constitution,
                    self.templates,
                    gate,
                    caller,
                    loop_settings(settings, run),
                    models=run.models,
                    sampling=run.sampling,
                )
                at_once = self._rows_at_once(models.values())
                machine = RowMachine(loop, store, self.tally, claimed, concurrency=at_once, redo=self.redoes)
                load_statistics()
                gc.freeze()  # what is loaded stays: collections that went through it held up all rows for 60 ms
                spent = None
                try:
                    await machine.run(self._prompts(store))
                except BudgetSpent as error:
                    spent = error
                return self._outcome(store, spent)

    def _claim(self, run: Determined, store: RowStore) -> Claim:
        """The right to add rows to the folder."""
        return self._claimed(run, store, mixed=self.settings.mixed)

    def _claimed(self, run: Determined, store: RowStore, *, mixed: bool) -> Claim:
        return claim(
            self.settings.out,
            run,
            self.constitution,
            self.templates,
            has_rows=store.has_rows(),
            mixed=mixed,
            also=partial(keep_settings, self.settings),
        )

    def _outcome(self, store: RowStore, spent: BudgetSpent | None = None) -> Outcome:
        return Outcome(self._export(store), store.reasons().get(REASON, 0), spent)

    def _export(self, store: RowStore) -> Exported:
        reject_duplicates(store)
        settings = self.settings
        return export(settings.out, store, names=settings.formats, given=settings.output)

    # -- input

    def _open(self) -> Input:
        return Input(self.settings)

    def _count(self) -> int | None:
        """How many prompts are to come, None where that is not known."""
        return self.input.count()

    def _prompts(self, _: RowStore) -> Iterator[Prompt]:
        """All prompts, from the beginning."""
        return self.input.prompts()

    # -- parts

    async def _load(self, stack: AsyncExitStack) -> tuple[dict[ModelRole, ChatModel], Gate]:
        """The models, one a name (roles that share a name share its connections or its weights), and the gate.

        They load on a thread: the event loop stays free to hear that the run is to stop.
        """
        settings = self.settings
        calls = (settings.concurrency or REMOTE_ROWS) * settings.samples
        opened: dict[str, ChatModel] = {}
        self.meter.loading = True
        try:
            for name in dict.fromkeys(settings.models.values()):
                async with on_thread(partial(open_model, name, concurrency=calls)) as model:
                    stack.push_async_callback(model.close)
                opened[name] = model
            self._models = tuple(opened.values())
            async with on_thread(
                partial(Gate.build, self.constitution, encoder=settings.encoder, thorough=True)
            ) as gate:
                stack.enter_context(gate)
        finally:
            self.meter.loading = False
        return {role: opened[name] for role, name in settings.models.items()}, gate

    def _rows_at_once(self, models: Iterable[ChatModel]) -> int:
        return self.settings.concurrency or (_LOCAL_ROWS if all(model.local for model in models) else REMOTE_ROWS)
