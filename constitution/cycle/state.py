"""What a folder of cycles knows of itself (cycle.json): which steps were done, from which inputs, with what outcome.

Written whole or not at all after every step, so that a killed cycle goes on with the step that it was at.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from constitution.formats.files import write_text
from constitution.row import Record
from constitution.run import dump
from rules.errors import WardlawError

STATE_FILE = "cycle.json"


class CycleError(WardlawError):
    """The cycle cannot go on."""


class Former(Record):
    """The heads that were in force when a cycle began."""

    heads: str
    """`shipped`, `none`, or their folder, from the cycle's."""
    identity: str
    """Digest of the heads; empty for none."""


class Done(Record):
    """A step that was done."""

    inputs: Mapping[str, str]
    """What it went by -> digest."""
    outputs: Mapping[str, str] = {}
    """File or folder, from the cycle's -> digest."""
    figures: Mapping[str, Any] = {}
    calls: int = 0
    """Model calls that were made."""
    reused: int = 0
    """Those taken from before."""
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    cycle: int = 1
    """The cycle in which it was done."""
    unfinished: str = ""
    """What is left to do, though later steps may go on: the next run takes it up."""
    refused: tuple[str, ...] = ()
    """What speaks against what it was to do."""

    @property
    def outcome(self) -> str:
        """Digest of what came of it."""
        from constitution.cycle.digests import of_data

        return of_data([dict(self.outputs), list(self.refused)])


class State(Record):
    """All of it."""

    format: int = 1
    number: int = 0
    """Of the cycle that is at work, or was finished last; 0 before the first."""
    finished: bool = True
    """Whether all its steps are done."""
    rules_digest: str = ""
    """Of all the rules that it read; their words lie under it in `constitutions/`."""
    rules: Mapping[str, str] = {}
    """Rule -> digest."""
    before: Former = Former(heads="none", identity="")
    begun: Mapping[str, Mapping[str, str]] = {}
    """Step -> inputs by which it was last begun, whether it ended or not."""
    done: Mapping[str, Done] = {}
    """Step -> what came of it last."""


def read_state(folder: Path) -> State:
    """The state of a folder; an empty one where nothing was made there yet.

    Raises:
        CycleError: cycle.json is damaged.
    """
    path = folder / STATE_FILE
    try:
        return State.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return State()
    except (OSError, ValidationError) as error:
        hint = (
            "put it back from a copy; or remove it: then all steps are done again, and no finished call is asked again"
        )
        raise CycleError(f"`{path}` is damaged", hint) from error


def write_state(folder: Path, state: State) -> None:
    """Keep a state.

    Raises:
        FormatError: the folder cannot be written.
    """
    write_text(folder / STATE_FILE, dump(state.model_dump(mode="json")))
