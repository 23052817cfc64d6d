"""A guard from a constitution's files, by the server's settings. It takes a second or so and blocks: use a thread."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from guard.gate import Gate
from guard.guard import Guard
from rules.errors import RuleError, RuleErrors, WardlawError
from server.settings import GateSettings, ServerSettings

if TYPE_CHECKING:
    from guard.detectors.base import Detector
    from guard.models.base import ChatModel
    from rules.loaded import Loaded
    from rules.schema import Constitution


@dataclass(frozen=True, slots=True)
class Built:
    """A guard that is ready, and what it was made of."""

    guard: Guard
    gate: Gate
    constitution: Constitution
    files: tuple[Path, ...]
    """Those that were read, links followed."""
    seconds: float
    heads: str = ""
    """What tells its heads from others: see `heads_mark`."""

    @property
    def digest(self) -> str:
        """Of the constitution."""
        return self.gate.digest


def load_checked(sources: Sequence[str]) -> Loaded:
    """A constitution from its files, refused where a lint calls something an error.

    Raises:
        RuleErrors: with the place of each fault.
    """
    from rules.check import check
    from rules.load import load

    loaded = load(*sources)
    found = [issue for issue in check(loaded) if issue.severity == "error"]
    if found:
        raise RuleErrors([RuleError(issue.where, f"{issue.message} [{issue.code}]", issue.hint) for issue in found])
    return loaded


def build(loaded: Loaded, settings: ServerSettings, mender: ChatModel | None = None) -> Built:
    """A guard of a loaded constitution.

    Args:
        loaded: the constitution.
        settings: how it judges and acts.
        mender: the model that mends answers; it is not closed with the guard.

    Raises:
        WardlawError: patterns, encoder, heads or models cannot be used.
    """
    from guard.detectors.patterns import PatternError

    began = time.monotonic()
    constitution = loaded.constitution
    mark = heads_mark(settings.gate.heads)  # before they are read: heads that come meanwhile are seen by the next load
    try:
        gate = Gate.build(
            constitution,
            encoder=settings.gate.encoder if settings.gate.meaning else None,
            heads=_heads(settings.gate.heads),
            also=_asked(settings.gate, constitution),
        )
    except PatternError as error:
        raise _with_places(loaded) or error from None
    reviser = None
    if mender is not None:
        from constitution.reviser import LoopReviser

        reviser = LoopReviser(constitution, None, mender, mender)
    guard = Guard(gate, reviser=reviser, settings=settings.guard)
    return Built(guard, gate, constitution, loaded.files, time.monotonic() - began, mark)


def _with_places(loaded: Loaded) -> RuleErrors | None:
    """Every pattern that cannot be used, where it stands."""
    from guard.detectors.patterns import check_patterns

    faults = [
        RuleError(loaded.locate(rule, "detect", "patterns", index), f"rule `{rule}`: {message}", hint)
        for rule, index, message, hint in check_patterns(loaded.constitution)
    ]
    return RuleErrors(faults) if faults else None


def _heads(given: str) -> Path | Literal["shipped"] | None:
    if given == "shipped":
        return "shipped"
    if given == "none":
        return None
    if not Path(given).is_dir():
        hint = "give a folder that `wardlaw gate train` made, `shipped` or `none`"
        raise WardlawError(f"no folder of heads `{given}`", hint)
    # links followed once: `wardlaw cycle` turns the link to other heads, and their files must not be read half and half
    return Path(given).resolve()


def heads_mark(given: str) -> str:
    """What tells heads from others that the same name, or link, stood for before; their cards name all their files."""
    folder = Path(given)
    if given in ("shipped", "none") or not folder.is_dir():
        return given
    mark = hashlib.blake2b(digest_size=16)
    for card in sorted(folder.resolve().rglob("card.json")):
        mark.update(card.read_bytes())
    return mark.hexdigest()


def _asked(settings: GateSettings, constitution: Constitution) -> list[Detector]:
    """The detectors that ask a model elsewhere."""
    from guard.models import open_model

    detectors: list[Detector] = []
    if settings.guard_model:
        from guard.detectors.classifier import ClassifierDetector, ClassifierSettings

        asked = ClassifierSettings(deadline_s=settings.judge_s)
        detectors.append(ClassifierDetector(constitution, open_model(settings.guard_model), settings=asked))
    if settings.judge:
        from guard.detectors.judge import JudgeDetector
        from guard.judging.settings import JudgeSettings

        judged = JudgeSettings(mode=settings.judge_mode, deadline_s=settings.judge_s)
        detectors.append(JudgeDetector(constitution, open_model(settings.judge), judged))
    return detectors
