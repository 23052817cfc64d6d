"""One side of a comparison: rules from a file, a folder, a pack, or a git revision of one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rules.errors import Location, RuleError, RuleErrors
from rules.files import packs
from rules.load import Loaded, load
from rules.schema import Constitution
from server.cli.rules._revisions import Revision, checked_out


@dataclass(frozen=True, slots=True)
class Version:
    """Rules as they are or were, with their places in the user's words."""

    name: str
    """As it was given."""
    loaded: Loaded
    _names: _Names | None = None

    @property
    def constitution(self) -> Constitution:
        """The rules."""
        return self.loaded.constitution

    def locate(self, rule_id: str, *keys: str | int) -> Location:
        """As `Loaded.locate`: at a revision, `HEAD~1:rules.yaml:3:5`."""
        where = self.loaded.locate(rule_id, *keys)
        return where if self._names is None else self._names.place(where)


def read_version(given: str) -> Version:
    """The rules that an argument names.

    Raises:
        RuleErrors: they have faults; those of a revision name it before the path.
        RevisionError: git does not have it.
    """
    revision = None if given in packs() else Revision.read(given)
    if revision is None:
        return Version(given, load(given))
    with checked_out(revision) as (root, path):
        names = _Names(root, revision.name)
        try:
            return Version(given, load(path), names)
        except RuleErrors as errors:
            raise RuleErrors([names.fault(error) for error in errors.errors]) from None


@dataclass(frozen=True, slots=True)
class _Names:
    """What the paths of a temporary folder are called."""

    root: Path
    revision: str

    def place(self, where: Location) -> Location:
        return Location(self._say(where.path), where.line, where.column)

    def fault(self, error: RuleError) -> RuleError:
        where = None if error.where is None else self.place(error.where)
        return RuleError(where, self._say(error.fault), self._say(error.hint))

    def _say(self, text: str) -> str:
        return text.replace(f"{self.root}/", f"{self.revision}:").replace(str(self.root), f"{self.revision}:")
