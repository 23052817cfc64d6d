"""What may be set about a guard."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from guard.window.settings import WindowSettings
from rules.base import Closed


class GuardSettings(Closed):
    """How the guard acts."""

    mode: Literal["enforce", "shadow"] = "enforce"
    """`shadow`: record what would be done, and do nothing."""

    unscannable: Literal["block", "flag", "allow"] = "block"
    """What becomes of what no detector can read: images, sounds, files, events of unknown kind."""

    rounds: Annotated[int, Field(ge=0, le=8)] = 2
    """Rounds of critique and revision at most; 0: the reply stands for every revision."""

    amend_tokens: Annotated[int, Field(ge=1)] = 16_384
    """Tokens, read and written, that revising one answer may cost. A round with the templates that ship reads about
    2,500, and the answer four times."""

    amend_s: Annotated[float, Field(gt=0)] = 20.0
    """Seconds that revising one answer, or drawing others, may take; then the reply stands."""

    draws: Annotated[int, Field(ge=1, le=16)] = 3
    """Further answers drawn by `resample`."""

    mask: Annotated[str, Field(max_length=100, pattern=r'^[^"\\\x00-\x1f]*$')] = "[redacted]"
    """What stands for redacted text. It may hold no quotation mark, backslash or line end, since it is put into JSON as
    well."""

    window: WindowSettings = WindowSettings()
    """The release window of streams."""
