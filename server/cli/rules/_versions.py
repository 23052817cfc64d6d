"""One side of a comparison: rules from a file, a folder, a pack, or a git revision of one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rules.errors import Location, RuleError, RuleErrors
from rules.files import packs
from rules.load import load
from rules.loaded import Loaded
from rules.schema import Constitution
from server.cli.rules._revisions import ENDINGS, MissingPath, Revision, checked_out


@dataclass(frozen=True, slots=True)
class Version:
    """Rules as they are or were, with their places in the user's words."""

    name: str
    """As it was given."""
    loaded: Loaded | None
    """None where there are no rules yet."""
    constitution: Constitution
    _names: _Names | None = None

    def locate(self, rule_id: str, *keys: str | int) -> Location:
        """As `Loaded.locate`: at a revision, `HEAD~1:rules.yaml:3:5`."""
        if self.loaded is None:
            raise KeyError(rule_id)
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
        return _version(given, load(given))
    with checked_out(revision) as (root, path):
        names = _Names(root, revision.name)
        try:
            return _version(given, load(path), names)
        except RuleErrors as errors:
            raise RuleErrors([names.fault(error) for error in errors.errors]) from None


def read_earlier(given: str, now: Version) -> Version:
    """As `read_version`, where the rules may be new: with no path there, or a folder without a rule file, the
    version has no rules. A revision that git does not have is an error all the same.

    Args:
        given: the argument.
        now: what it is compared to, whose name and title stand for those that it has not.
    """
    revision = None if given in packs() else Revision.read(given)
    if revision is None:
        new = given not in packs() and _is_without_rules(Path(given))
    else:
        try:
            with checked_out(revision) as (_, path):
                new = _is_without_rules(path)
        except MissingPath:
            new = True
    if not new:
        return read_version(given)
    return Version(given, None, now.constitution.model_copy(update={"rules": ()}))


def _is_without_rules(path: Path) -> bool:
    return not path.exists() or (path.is_dir() and not any(each.suffix in ENDINGS for each in path.iterdir()))


def _version(given: str, loaded: Loaded, names: _Names | None = None) -> Version:
    return Version(given, loaded, loaded.constitution, names)


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
