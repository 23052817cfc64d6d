"""Log-probabilities repeat a text by its tokens, and may leave with it as long as they do no more than that."""

from __future__ import annotations


def told_beside(tokens: object, text: str) -> str | None:
    """What a list of tokens says where that is not what the text says.

    Args:
        tokens: each with `token` and, perhaps, `bytes`.
        text: the text that they stand by.

    Returns:
        the other text; empty where they repeat the text, None where they are no list of tokens.
    """
    if tokens is None or tokens == []:
        return ""
    try:
        spelled = "".join([token["token"] for token in tokens])  # type: ignore[attr-defined]
        numbers = [number for token in tokens for number in token.get("bytes") or ()]  # type: ignore[attr-defined]
        raw = bytes(numbers).decode(errors="replace")
    except (TypeError, KeyError, AttributeError, ValueError):
        return None
    return "\n".join(dict.fromkeys(each for each in (spelled, raw) if each and each != text))
