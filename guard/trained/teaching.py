"""What a head was taught by: how a rule is known again, and known to have changed."""

from __future__ import annotations

import hashlib
import json

from rules.schema import Rule

_SAME = 0.5
"""Share of words in their order that two versions of a rule have in common."""


def words_of(rule: Rule) -> str:
    """What the card says of a rule, to know it again when it has been changed."""
    return " ".join(said for _, said in sorted(rule.rule.root.items()))


def teaching_digest(rule: Rule) -> str:
    """Digest of what a head is taught by: the rule's words, its allowed neighbours and its examples.

    An action, a threshold, a reply or an example's note may change without making the head stale.
    """
    taught = rule.model_dump(mode="json", include={"rule", "allowed", "examples"})
    for example in (*taught["examples"]["breaks"], *taught["examples"]["keeps"]):
        example["note"] = None  # as where there is none: heads that were taught before notes counted keep their digests
    return hashlib.blake2b(json.dumps(taught, sort_keys=True, ensure_ascii=False).encode(), digest_size=8).hexdigest()


def alike(rule: Rule, taught: object) -> bool:
    """Whether a rule is a version of the one that was taught; cards of an earlier make do not say."""
    if not isinstance(taught, str):
        return True
    from difflib import SequenceMatcher

    now, then = (text.split() if " " in text.strip() else list(text) for text in (words_of(rule), taught))
    return SequenceMatcher(None, now, then, autojunk=False).ratio() >= _SAME
