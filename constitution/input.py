"""The prompts of a run: all its files in their order, harmless ones mixed in, up to a limit."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

from constitution.prompt import Mixture, Prompt, PromptError, mixed
from constitution.settings import Settings
from constitution.sources import LARGE, PromptFile, Skipped
from guard.globbing import files_like, is_pattern


class Input:
    """What `settings` name as input. It can be gone through several times."""

    def __init__(self, settings: Settings) -> None:
        """Open it; nothing is read yet.

        Raises:
            PromptError: a file is not there, or of a kind that is not read.
        """
        self._settings = settings
        self.skipped = Skipped()
        """Bad lines that were passed over."""
        self.mixture = Mixture()
        """How the mixing went; filled while `prompts` is gone through."""
        self._files = [self._file(name) for name in expanded(settings.prompts)]
        self._benign = [self._file(name, benign=True) for name in expanded(settings.benign)]

    def prompts(self) -> Iterator[Prompt]:
        """All prompts, from the beginning; what is counted of them begins anew too."""
        settings = self._settings
        self.skipped.clear()
        self.mixture = Mixture()
        prompts: Iterator[Prompt] = chain.from_iterable(self._files)
        if self._benign:
            harmless = chain.from_iterable(self._benign)
            prompts = mixed(prompts, harmless, settings.benign_share, self.mixture)
        return islice(prompts, settings.limit)

    def count(self) -> int | None:
        """Prompts to come; reading them through finds a bad line before any model is asked.

        Returns:
            None where that would take long, or where they can be read once only.

        Raises:
            PromptError: a line is bad, or there is no prompt at all.
        """
        settings = self._settings
        if sum(file.size for file in (*self._files, *self._benign)) > LARGE:
            return settings.limit
        counts = [file.count() for file in self._files]
        harmless = [file.count() for file in self._benign]
        if None in counts or None in harmless:
            return settings.limit
        prompts, spare = sum(c or 0 for c in counts), sum(c or 0 for c in harmless)
        if not prompts:
            names = ", ".join(f"`{name}`" for name in settings.prompts)
            passed_over = sum(file.bad.count for file in self._files)
            bad = f"; {passed_over} bad lines were passed over" if passed_over else ""
            raise PromptError(f"no prompts in {names}{bad}", "give a prompt a line, or JSONL with a `prompt` in each")
        if spare:
            share = settings.benign_share
            prompts += min(spare, int(prompts * share / (1 - share) + 1e-9))
        return min(prompts, settings.limit or prompts)

    def _file(self, name: str, *, benign: bool = False) -> PromptFile:
        settings = self._settings
        return PromptFile(
            name,
            column=None if benign else settings.column,
            template=None if benign else settings.template,
            benign=benign,
            skipped=self.skipped if settings.skip_bad else None,
        )


def expanded(names: tuple[str, ...]) -> list[str]:
    """The names, those with `*`, `?` or `[` in place of the files they stand for, which come by name.

    Raises:
        PromptError: a pattern stands for no file.
    """
    found: list[str] = []
    for name in names:
        if name.startswith("hf:") or Path(name).exists() or not is_pattern(name):
            found.append(name)
            continue
        files = files_like(name)
        if not files:
            raise PromptError(f"no prompt file is called like `{name}`", "look at the folder and the ending")
        found += files
    return found
