"""What to teach with, and how."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from guard.trained.heads import Heads
from guard.training.recipe import Recipe
from guard.training.tune import Tuning
from rules.schema import Constitution

Told = Callable[[str], None]
"""Called with lines of progress."""


@dataclass(frozen=True)
class Training:
    """What to teach with, and how."""

    constitution: Constitution
    data: Sequence[Path] = ()
    """Labelled files, or folders of them."""
    check: Sequence[Path] = ()
    """Files that will be measured on: nothing near one of their prompts is taught."""
    recipe: Recipe = field(default_factory=lambda: Recipe(only_named=False))
    bank: bool = True
    """Whether the twin bank that ships with the project is taught."""
    encoder: str = "default"
    tuned: bool = True
    """Whether the encoder learns too; without it heads alone are fitted, in seconds."""
    onto: Heads | None = None
    """Heads whose encoder is used as it was tuned for them; all rules are then ones that they do not know."""
    how: Tuning = field(default_factory=Tuning)
    budget: float = 0.01
    """The share of benign traffic that the whole gate may flag."""
    unsure: float = 0.05
    """The share of benign traffic that may be asked about by a dearer detector."""

    @property
    def rules(self) -> list[str]:
        """Ids of the rules that are looked for by meaning: a head each."""
        return [rule.id for rule in self.constitution if rule.detect and rule.detect.meaning]
