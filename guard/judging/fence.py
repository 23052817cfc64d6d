"""Fences round the text that is judged, which nothing in it can open, close or imitate.

A judge reads its orders and the text it judges in one stream. So each text stands between two lines that carry a mark
drawn anew for every ask; what looks like a fence, or like the control tokens by which chat templates part one speaker
from the next, is made unlike it. Every change keeps the length, so that offsets in the changed text hold in the
original.
"""

from __future__ import annotations

import re
import secrets

_CONTROL = re.compile(
    r"<(?=[|｜])"  # <|im_end|>, <|eot_id|>, <|channel|> and their full-width kin
    r"|<(?=/?(?:start|end)_of_\w{1,20}>)"
    r"|<(?=/?(?:s|bos|eos|pad|unk|think|score|tool_call|tool_response|confidence|sys)>)"
    r"|<(?=<\s*/?SYS>>)"
    r"|<(?=(?:BEGIN|END) [A-Z ]{1,60}>)"  # the borders that the templates of guard models write themselves
    r"|\[(?=/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS)\])",
    re.IGNORECASE,
)
_FENCE = re.compile(r"=(?=={2,}\s*(?:begin|end)\b)", re.IGNORECASE)
_SURROGATE = re.compile("[\ud800-\udfff\x00]")
_UNLIKE = {"<": "‹", "[": "［", "=": "＝"}


def neutralise(text: str) -> str:
    """The text without control tokens and look-alikes of a fence; as long as it was, character for character."""
    text = _SURROGATE.sub("\ufffd", text)
    text = _CONTROL.sub(lambda found: _UNLIKE[found[0]], text)
    return _FENCE.sub(lambda found: _UNLIKE[found[0]], text)


def new_mark() -> str:
    """A mark that no text can know: 64 random bits."""
    return secrets.token_hex(8)


def fenced(text: str, mark: str, label: str) -> str:
    """The text between two lines that carry the mark.

    Args:
        text: what is judged, or stands before it.
        mark: of this ask.
        label: who speaks; must come from us.
    """
    return f"=== begin {mark} {label} ===\n{neutralise(text)}\n=== end {mark} ==="


def find_quote(quote: str, text: str) -> tuple[int, int] | None:
    """Where `text` says what `quote` quotes, or None. Letter case, white space, and quotation marks or an ellipsis at
    either end are forgiven: judges change them without meaning to.

    Returns:
        character offsets in `text`, half open.
    """
    text = neutralise(text)
    bare = quote.strip().strip("\"'“”‘’「」『』").removeprefix("...").removeprefix("…")
    bare = bare.removesuffix("...").removesuffix("…").strip()
    if len(bare) < min(3, len(text.strip())) or not bare:
        return None  # a letter or two occur in every text
    at = text.find(bare)
    if at >= 0:
        return at, at + len(bare)
    loose = re.compile(r"\s+".join(re.escape(word) for word in neutralise(bare).split()), re.IGNORECASE)
    found = loose.search(text)
    return found.span() if found else None
