"""One run of `wardlaw prefer`: contests in, an output folder with outcomes, training files and a card out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path

from constitution.calls import BudgetSpent, Caller, Meter
from constitution.formats.base import Written
from constitution.formats.files import write_text
from constitution.loading import on_thread
from constitution.pipeline import Tally
from constitution.preference.card import write_card
from constitution.preference.contest import Contest
from constitution.preference.figures import Figures, gather
from constitution.preference.formats import write_formats
from constitution.preference.machine import Machine
from constitution.preference.match import Matches
from constitution.preference.settings import Settings
from constitution.preference.sources import ContestFile, RowFolder, is_row_folder
from constitution.preference.store import OutcomeStore
from constitution.preference.templates import WordingSet
from constitution.prompt import PromptError
from constitution.row import ModelRole
from constitution.run import dump, locked
from constitution.sources import Skipped
from guard.language import load_statistics
from guard.models import open_model
from guard.models.base import ChatModel, Sampling
from rules.digest import constitution_digest
from rules.schema import Constitution

_LOCAL = 4
_REMOTE = 32
_SETTING = (
    "samples", "temperature", "top_p", "max_tokens", "form", "principles", "cot", "cot_tokens", "votes", "join", "scale"
)  # fmt: skip

RUN_FILE = "prefer.json"
"""What determined the files that lie in the folder."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a run came to."""

    figures: Figures
    files: tuple[Written, ...]
    made: str
    spent: BudgetSpent | None
    """Set where the run ended because the budget was spent."""


class Preference:
    """One run. `tally`, `meter`, `skipped` and `total` can be read while it goes on."""

    def __init__(self, settings: Settings, constitution: Constitution) -> None:
        """Open and check the input; no model is loaded yet.

        Raises:
            PromptError: a source is not there, a line is bad, or there is nothing to compare.
            TemplateError: the templates are wrong.
        """
        self.settings = settings
        self.constitution = constitution
        self.tally = Tally()
        self.meter = Meter(budget=settings.max_tokens_total)
        self.skipped = Skipped()
        self.wordings = WordingSet.read(settings.templates)
        self._sources = [self._source(name) for name in settings.sources]
        self.total = self._count()
        """Contests to come, None where that is not known."""

    async def run(self) -> Comparison:
        """Compare, and write the files.

        Raises:
            RunError: the folder is in use.
            WardlawError: see Machine.run. What is finished is kept; run again to go on.
        """
        settings = self.settings
        with locked(settings.out):
            async with AsyncExitStack() as stack:
                models = await self._load(stack)
                identities = {role: model.identity for role, model in models.items()}
                determined = self._determined(identities)
                made = hashlib.blake2b(json.dumps(determined, sort_keys=True).encode(), digest_size=8).hexdigest()
                store = stack.enter_context(closing(OutcomeStore(settings.out)))
                before = store.counts()
                self.meter.before = before.tokens.prompt + before.tokens.completion
                sampling = {role: settings.drawn if role == "answerer" else Sampling(0.0) for role in models}
                caller = Caller(models, sampling, store, self.meter)
                matches = Matches(self.constitution, self.wordings, caller, settings, made=made, models=identities)
                local = all(model.local for model in models.values())
                at_once = settings.concurrency or (_LOCAL if local else _REMOTE)
                machine = Machine(matches, store, self.tally, made=made, concurrency=at_once)
                load_statistics()
                spent = None
                try:
                    await machine.run(self._contests())
                except BudgetSpent as error:
                    spent = error
                return self._written(store, made, determined, spent)

    def _written(
        self, store: OutcomeStore, made: str, determined: Mapping[str, object], spent: BudgetSpent | None
    ) -> Comparison:
        settings = self.settings
        files = write_formats(partial(store.outcomes, made), settings.out, parquet=settings.parquet)
        figures = gather(store.outcomes(made))
        write_card(settings.out, figures, files, determined, licence=settings.licence)
        write_text(settings.out / RUN_FILE, dump({"made": made, **determined}))
        return Comparison(figures, files, made, spent)

    def _source(self, name: str) -> ContestFile | RowFolder:
        settings = self.settings
        if is_row_folder(name):
            if settings.samples is not None:
                raise PromptError(
                    f"`{name}` is a folder of rows, which have their answers",
                    "leave --samples away, or name the prompt files that it was made from",
                )
            return RowFolder(Path(name), settings.of)
        return ContestFile(
            name,
            column=settings.column,
            sampled=settings.samples is not None,
            skipped=self.skipped if settings.skip_bad else None,
        )

    def _count(self) -> int | None:
        """Contests to come; reading them through finds a bad line before any model is asked."""
        counts = [source.count() for source in self._sources]
        if None in counts:
            return self.settings.limit
        found = sum(count or 0 for count in counts)
        if not found:
            names = ", ".join(f"`{name}`" for name in self.settings.sources)
            raise PromptError(f"nothing to compare in {names}", "give JSONL with `prompt` and `answers` in each line")
        return min(found, self.settings.limit or found)

    def _contests(self) -> Iterator[Contest]:
        self.skipped.clear()
        return islice(chain.from_iterable(source.contests() for source in self._sources), self.settings.limit)

    async def _load(self, stack: AsyncExitStack) -> dict[ModelRole, ChatModel]:
        """The models, one a name."""
        settings = self.settings
        calls = (settings.concurrency or _REMOTE) * 2 * settings.principles
        opened: dict[str, ChatModel] = {}
        self.meter.loading = True
        try:
            for name in dict.fromkeys(settings.models.values()):
                async with on_thread(partial(open_model, name, concurrency=calls)) as model:
                    stack.push_async_callback(model.close)
                opened[name] = model
        finally:
            self.meter.loading = False
        return {role: opened[name] for role, name in settings.models.items()}

    def _determined(self, identities: Mapping[ModelRole, str]) -> dict[str, object]:
        """All that determines labels, beside the contests."""
        settings = self.settings.model_dump(mode="json")
        return {
            "constitution": constitution_digest(self.constitution),
            "constitution_name": self.constitution.name,
            "templates": self.wordings.digest,
            "models": dict(identities),
            **{name: settings[name] for name in _SETTING},
            "bounds": list(self.settings.bounds),
            "min_margin": self.settings.min_margin,
            "seed": self.settings.seed,
        }
