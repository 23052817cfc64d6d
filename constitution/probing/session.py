"""What every run of probing opens: the folder's lock and store, the models, the gate, the encoder."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from constitution.calls import Meter
from constitution.formats.files import write_text
from constitution.probing.asking import Asker
from constitution.probing.probe import Kind, ProbeError
from constitution.probing.seeds import Seed, read_seeds
from constitution.probing.settings import Common
from constitution.probing.wording import Wording, Words
from constitution.run import dump, locked
from constitution.store import RowStore
from guard.gate import Gate
from guard.models import open_model
from rules.schema import Constitution

if TYPE_CHECKING:
    from guard.encoders.base import Encoder

RUN_FILE = "probing.json"
"""What determined what lies in a folder."""


@dataclass(frozen=True, slots=True)
class Session:
    """Everything that is open."""

    store: RowStore
    meter: Meter
    used: bool
    """Whether the folder held any call when it was opened."""
    askers: Mapping[str, Asker]
    """`model`, and `judge` and `target` where they were named."""
    gate: Gate
    encoder: Encoder | None
    latin: bool
    """Whether the encoder reads no script but the Latin one well."""
    wording: Wording
    words: Words
    seeds: tuple[tuple[str, Kind, Seed], ...]

    @property
    def judge(self) -> Asker | None:
        """The judge, where there is one."""
        return self.askers.get("judge")


@asynccontextmanager
async def opened(
    common: Common, constitution: Constitution, meter: Meter, *, target: str | None = None
) -> AsyncIterator[Session]:
    """Open all of it; closed in turn when the block ends.

    Args:
        common: what was asked for.
        constitution: the rules.
        meter: where calls are counted.
        target: the model that is tried.

    Raises:
        RunError: the folder is in use.
        WardlawError: a model, the encoder, the seeds or the templates cannot be used.
    """
    wording = Wording.read(common.prompts)
    seeds = tuple(read_seeds(common.seeds, constitution)) if common.seeds else ()
    async with AsyncExitStack() as stack:
        stack.enter_context(locked(common.out))
        store = stack.enter_context(closing(RowStore(common.out)))
        before = store.counts()
        meter.before = before.tokens.prompt + before.tokens.completion
        names = {"model": common.model, "judge": common.judge, "target": target}
        meter.loading = True
        askers: dict[str, Asker] = {}
        by_name: dict[str, Asker] = {}
        for role, name in names.items():
            if name is None:
                continue
            if name not in by_name:
                model = open_model(name, concurrency=common.concurrency)
                stack.push_async_callback(model.close)
                by_name[name] = Asker(model, store, meter, concurrency=common.concurrency)
            askers[role] = by_name[name]
        gate = stack.enter_context(Gate.build(constitution, encoder=common.encoder, thorough=True))
        encoder = None
        latin = True
        if common.encoder is not None:
            from guard.encoders import open_encoder
            from guard.encoders.source import is_default

            encoder = open_encoder(common.encoder)
            stack.callback(encoder.close)
            latin = is_default(common.encoder)
        meter.loading = False
        yield Session(
            store, meter, before.calls > 0, askers, gate, encoder, latin, wording, wording.of(common.language), seeds
        )


def hold(folder: Path, determined: Mapping[str, Any], *, used: bool, anew: bool) -> None:
    """Write down what determines a run, unless the folder holds what another one made.

    Args:
        folder: the output folder, locked.
        determined: what determines the run.
        used: whether any model has answered for the folder; a run that failed at its first call does not bind it.
        anew: go on whatever it holds.

    Raises:
        ProbeError: it does, and it was not said that it is to be made anew.
    """
    path = folder / RUN_FILE
    before = _read(path)
    changed = [
        f"    {key}: was `{_short(before.get(key))}`, is `{_short(determined.get(key))}`"
        for key in sorted({*before, *determined})
        if before and before.get(key) != determined.get(key)
    ]
    if changed and used and not anew:
        raise ProbeError(
            f"`{folder}` holds probes that were made otherwise:\n" + "\n".join(changed),
            "use another --out folder, or --anew to write its files anew; finished calls are kept either way",
        )
    if before != determined:
        write_text(path, dump(determined))


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ProbeError(f"`{path}` is damaged", "put it back from a copy, or use another --out folder") from error
    return found if isinstance(found, dict) else {}


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 100 else f"{text[:99]}…"
