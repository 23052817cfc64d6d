"""Content hashes of a rule and of a constitution: what a verdict, a row, a head or a card was made under.

A digest covers what can change a verdict or a row, and nothing else. A better title, one more source, a note, a test
or another order of keys leaves it as it is, so heads and rows stay valid.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from rules.schema import Constitution, Rule

_CHANGES_NOTHING: Any = {
    "title": True,
    "sources": True,
    "hazards": True,
    "tests": True,
    "contract": True,
    "probe": True,
    "choice": True,
    "examples": {"breaks": {"__all__": {"note"}}, "keeps": {"__all__": {"note"}}},
}
"""Fields of a rule that neither a detector nor the loop reads."""

UNCOUNTED = tuple(name for name, whole in _CHANGES_NOTHING.items() if whole is True)
"""Fields of a rule that may change without another digest."""

_USUALLY_WATCHED = frozenset(Rule.model_fields["watches"].default)


def rule_digest(rule: Rule) -> str:
    """The digest of a rule: 16 hex characters."""
    return _hash(_content(rule))


def constitution_digest(constitution: Constitution) -> str:
    """The digest of a constitution: 16 hex characters.

    The order of the rules counts: the loop takes them in turn, and the first of two equal findings is acted on.
    """
    return _hash([_content(rule) for rule in constitution.rules])


def _content(rule: Rule) -> dict[str, Any]:
    # defaults are left out, so that a new field of the schema does not make every digest anew
    content = rule.model_dump(mode="json", exclude=_CHANGES_NOTHING, exclude_defaults=True)
    if content.pop("watches", None) and set(rule.watches) != _USUALLY_WATCHED:
        content["watches"] = sorted(rule.watches)  # a set in all but name
    if content.get("detect", ...) is None:
        del content["detect"]  # the default, whether it was written or not
    return content


def _hash(content: Any) -> str:
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    # surrogates cannot come from a file, but from a rule made in Python
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
