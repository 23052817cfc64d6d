"""The rule that a person names by its id."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rules.errors import WardlawError
from rules.files import packs
from rules.words import did_you_mean, listed, quoted

if TYPE_CHECKING:
    from rules.loaded import Loaded
    from rules.schema import Rule


def named_rule(loaded: Loaded, rule_id: str, paths: Sequence[str]) -> Rule:
    """The rule.

    Raises:
        WardlawError: there is none of that id.
    """
    try:
        return loaded.constitution.rule(rule_id)
    except KeyError:
        ids = [rule.id for rule in loaded.constitution]
        refuse_pack(rule_id)
        hint = did_you_mean(rule_id, ids, f"`wardlaw rules list {' '.join(paths)}` lists its {len(ids)} rules")
        raise WardlawError(f"no rule {quoted(rule_id)} in {listed(paths)}", hint) from None


def refuse_pack(rule_id: str) -> None:
    """Say that a rule's id is meant.

    Raises:
        WardlawError: it is a pack's name.
    """
    if rule_id in packs():
        hint = f"`wardlaw rules list {rule_id}` lists its rules; then `ID {rule_id}` for one of them"
        raise WardlawError(f"{quoted(rule_id)} is a pack, and a rule's id comes before it", hint)
