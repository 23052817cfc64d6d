"""What is kept of a decision's texts, as the setting says."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from guard.detectors.base import excerpt
from guard.guarding.decision import Placed
from guard.guarding.tally import name_of
from guard.verdict import Finding
from guard.window.outcomes import Channel
from rules.schema import Part
from server.record import Record

Keeping = Literal["none", "hash", "redacted", "full"]

MASK = "[redacted]"
WITHHELD = "[withheld: what was found in it cannot be masked for certain]"

_PROBE = 12
"""Characters of a finding's beginning that tell whether a text still holds it."""


def content(record: Record, keep: Keeping, key: bytes = b"") -> dict[str, Any] | None:
    """The texts of a decision, in the form that is kept; None where nothing is.

    Args:
        record: with the prompt and the answers, as far as they are known.
        keep: the setting.
        key: of the hashes.

    Returns:
        `prompt` and `answers`, a list of texts each with its place; `masked` counts what was masked or withheld.
    """
    if keep == "none":
        return None
    masks = _Masks(record.decision.findings) if keep == "redacted" else None

    def kept(where: str, part: Part, text: str) -> dict[str, Any]:
        if keep == "hash":
            return {"hash": hashed(text, key), "characters": len(text)}
        return {"text": text if masks is None else masks.masked(where, part, text)}

    prompt = [
        {"where": where, "role": role, **kept(where, part, text)} for where, role, part, text in _prompt_texts(record)
    ]
    answers = [
        {"where": where, **kept(where, channel.part, text)}
        for choice, texts in enumerate(record.answers)
        for where, channel, text in _answer_texts(choice, texts.items())
    ]
    found: dict[str, Any] = {"prompt": prompt, "answers": answers}
    if masks is not None:
        found["masked"] = masks.count
    return found


def hashed(text: str, key: bytes = b"") -> str:
    """A text's hash: 32 hex characters of BLAKE2b, keyed where there is a key."""
    key = key if len(key) <= hashlib.blake2b.MAX_KEY_SIZE else hashlib.sha256(key).digest()
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), key=key, digest_size=16).hexdigest()


def _prompt_texts(record: Record) -> Iterator[tuple[str, str, Part, str]]:
    if record.prompt is None:
        return
    parts = {"system": Part.SYSTEM, "user": Part.PROMPT, "assistant": Part.RESPONSE, "tool": Part.TOOL_RESULT}
    for index, message in enumerate(record.prompt.messages):
        where = f"messages[{index}]"
        yield where, message.role, parts[message.role], message.content
        if message.reasoning:
            yield f"{where}.reasoning", message.role, Part.REASONING, message.reasoning
        for call, arguments in enumerate(message.tool_calls):
            yield f"{where}.tool[{call}]", message.role, Part.TOOL_CALL, arguments


def _answer_texts(choice: int, texts: Any) -> Iterator[tuple[str, Channel, str]]:
    for channel, text in texts:
        yield f"choices[{choice}].{name_of(channel)}", channel, text


class _Masks:
    """Masks what was found; counts what it masked."""

    def __init__(self, findings: Sequence[Placed]) -> None:
        self._findings = findings
        self.count = 0

    def masked(self, where: str, part: Part, text: str) -> str:
        """The text with the spans of its findings masked, and each thing that was found elsewhere masked too.

        A finding's span counts in the text as it was judged. What was sent may differ from that: a reply or a
        revision stands in its place. So a span is masked only where it still covers the finding's own words; where
        it does not, and the words' beginning is there all the same, nothing of the text is kept.
        """
        spans: list[tuple[int, int]] = []
        for placed in self._findings:
            finding, here = placed.finding, _is_of(placed, where, part)
            fits = here and finding.span[1] <= len(text) and excerpt(text, finding.span) == finding.excerpt
            if fits:
                spans.append(finding.span)
            spans.extend(_occurrences(text, finding))
            head = finding.excerpt[:_PROBE].strip("…")
            if here and not fits and (not head or _outside(text, head, spans)):
                self.count += 1
                return WITHHELD
        masked, count = _covered(text, spans)
        self.count += count
        return masked


def _is_of(placed: Placed, where: str, part: Part) -> bool:
    """Whether a finding was made in this text; a finding that names only the message is of its part there."""
    if placed.where == where:
        return True
    message, _, rest = where.partition(".")
    return bool(rest) and placed.where == message and placed.finding.part is part


def _occurrences(text: str, finding: Finding) -> Iterator[tuple[int, int]]:
    """Where the words that were found stand once more: an answer that repeats a secret of the prompt."""
    words = finding.excerpt
    if len(words) < 4 or words.endswith("…"):
        return
    at = text.find(words)
    while at >= 0:
        yield at, at + len(words)
        at = text.find(words, at + len(words))


def _outside(text: str, head: str, spans: Sequence[tuple[int, int]]) -> bool:
    """Whether `head` stands in the text where no span covers it."""
    at = text.find(head)
    while at >= 0:
        if not any(start <= at < end for start, end in spans):
            return True
        at = text.find(head, at + 1)
    return False


def _covered(text: str, spans: Sequence[tuple[int, int]]) -> tuple[str, int]:
    """The text with one mask for each stretch of spans that touch, and how many these are."""
    stretches: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if stretches and start <= stretches[-1][1]:
            stretches[-1] = (stretches[-1][0], max(stretches[-1][1], end))
        else:
            stretches.append((start, end))
    pieces, upto = [], 0
    for start, end in stretches:
        pieces += [text[upto:start], MASK]
        upto = end
    return "".join([*pieces, text[upto:]]), len(stretches)
