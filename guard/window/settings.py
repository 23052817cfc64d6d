"""How much a window holds back, and how often it scans."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from rules.base import Closed, refusal


class WindowSettings(Closed):
    """The sizes of a release window.

    Sizes in bytes are those of the text in UTF-8, which in any script is near four times its tokens.
    """

    first: Annotated[int, Field(ge=1)] = 80
    """Bytes after which the first scan for meaning is due; a sentence that ends sooner is scanned at once. Each scan
    after it may take twice as many, up to `stride`, so that a reader sees the first words soon."""

    stride: Annotated[int, Field(ge=64)] = 400
    """Bytes after which a scan for meaning is due at the latest; from half of it on, the end of a sentence will do."""

    overlap: Annotated[int, Field(ge=0)] = 200
    """Bytes before the new text that are scanned with it once more, so that nothing hides at the border."""

    hold: Annotated[int, Field(ge=0, le=4096)] = 128
    """Characters at the end that are held at most while they look like the beginning of a disguise: spaced letters,
    digits among letters, a code. Plain words are not held by this."""

    patience: Annotated[float, Field(gt=0)] = 1.0
    """Seconds after which held text is scanned for meaning whatever its length, as when a model stops to think."""

    mask: str = "[redacted]"
    """What stands for redacted text."""

    patterns_only: bool = False
    """Release what the patterns have passed, and never look for meaning, even though the gate could. A gate that has no
    detector but patterns does so anyway."""

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        if self.first > self.stride:
            raise refusal([(("first",), f"`first` is {self.first}, more than `stride`", "make it smaller")])
        if self.overlap > 4 * self.stride:
            what = f"`overlap` is {self.overlap}, more than four times `stride`: each character would be scanned often"
            raise refusal([(("overlap",), what, "make `stride` larger, or this smaller")])
        return self
