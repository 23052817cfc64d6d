"""The rules and the templates that the rows of a folder were made by, in words, each under its digest.

A row names both by digest alone. A folder that explains itself years later, and files that quote the rules (`critic`),
need the words: those of each row's own rules, whatever rules came after.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from constitution.formats.files import write_text
from constitution.run import dump, read_runs
from constitution.templates import Templates, TemplateSet
from rules.schema import Constitution

RULES = "constitutions"
TEMPLATES = "templates"
OLD_RULES = "constitution.json"
"""Where the first wardlaw kept the one constitution of a folder."""


def keep(folder: Path, digest: str, constitution: Constitution, templates: TemplateSet) -> None:
    """Put the words of a run's rules and templates into `folder`; what lies there under other digests stays.

    Raises:
        FormatError: the folder cannot be written.
    """
    _move_old_rules(folder)
    keep_rules(folder, digest, constitution)
    said = {name: item.model_dump(mode="json") for name, item in sorted(templates.by_language.items())}
    _write(folder / TEMPLATES / f"{templates.digest}.json", dump(said))


def read_constitutions(folder: Path) -> dict[str, Constitution]:
    """Digest -> the rules that rows in `folder` were made by. What is damaged is left out, as if it were not there."""
    found = {}
    for path in sorted((folder / RULES).glob("*.json")):
        constitution = _constitution(path)
        if constitution is not None:
            found[path.stem] = constitution
    old = _old_rules(folder)
    return {old[0]: old[1], **found} if old else found


def read_templates(folder: Path) -> dict[str, TemplateSet]:
    """Digest -> the templates that rows in `folder` were made by. What is damaged is left out."""
    found = {}
    for path in sorted((folder / TEMPLATES).glob("*.json")):
        try:
            said = json.loads(path.read_bytes())
            found[path.stem] = TemplateSet({name: Templates.model_validate(item) for name, item in said.items()})
        except (ValueError, AttributeError):
            continue
    return found


def rule_titles(folder: Path, constitutions: Mapping[str, Constitution]) -> dict[str, str]:
    """Rule id -> its title; of a rule that changed, the title that the newest run gave it."""
    age = {run.constitution: at for at, run in enumerate(read_runs(folder))}
    ordered = sorted(constitutions.items(), key=lambda item: age.get(item[0], -1))
    return {rule.id: rule.title.say("en") for _, constitution in ordered for rule in constitution}


def keep_rules(folder: Path, digest: str, constitution: Constitution) -> None:
    """Put the words of rules into `folder`, under a digest.

    Raises:
        FormatError: the folder cannot be written.
    """
    _write(folder / RULES / f"{digest}.json", dump(constitution.model_dump(mode="json", exclude_defaults=True)))


def _write(path: Path, text: str) -> None:
    if not path.exists():
        write_text(path, text)


def _move_old_rules(folder: Path) -> None:
    old = _old_rules(folder)
    if old is not None:
        keep_rules(folder, *old)
        (folder / OLD_RULES).unlink(missing_ok=True)


def _old_rules(folder: Path) -> tuple[str, Constitution] | None:
    constitution = _constitution(folder / OLD_RULES)
    runs = read_runs(folder)
    # By the digest that its rows bear: another wardlaw may reckon another one from the same words.
    return (runs[0].constitution, constitution) if constitution is not None and runs else None


def _constitution(path: Path) -> Constitution | None:
    try:
        return Constitution.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
