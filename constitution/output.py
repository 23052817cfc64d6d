"""What a person chose about the files of a folder (output.json): the next export goes by it where told nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from constitution.formats import Options
from constitution.formats.base import Choices
from constitution.formats.files import write_text
from constitution.run import RunError, dump

OUTPUT_FILE = "output.json"


class Output(Choices):
    """How the files look, and what the card says of them."""

    parquet: bool = False
    """Parquet files instead of JSON lines."""

    licence: str = "other"
    """Licence of the data, for its card."""

    @property
    def options(self) -> Options:
        """Those of the formats."""
        return Options(reasoning=self.reasoning, preference_reasoning=self.preference_reasoning, sft=self.sft)


def read_output(folder: Path, given: Mapping[str, object] | None = None) -> Output:
    """What was chosen for `folder` before, with what is `given` now in its stead.

    Raises:
        RunError: output.json is damaged, or what is given is no choice.
    """
    path = folder / OUTPUT_FILE
    try:
        before = Output.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        before = Output()
    except ValueError as error:
        raise RunError(f"`{path}` is damaged", "remove it and say the options of the files once more") from error
    try:
        return Output.model_validate({**before.model_dump(), **(given or {})})
    except ValidationError as error:
        first = error.errors()[0]
        raise RunError(f"`{'.'.join(map(str, first['loc']))}`: {first['msg']}", "give one of the choices") from error


def keep_output(folder: Path, output: Output) -> None:
    """Write down what was chosen.

    Raises:
        FormatError: the folder cannot be written.
    """
    write_text(folder / OUTPUT_FILE, dump(output.model_dump(mode="json")))
