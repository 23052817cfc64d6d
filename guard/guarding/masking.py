"""Redacted text: spans replaced by a mask, in plain text and in JSON that has to stay JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence

from guard.window.outcomes import Channel

Span = tuple[int, int]

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|true|false|null', re.DOTALL)
_UNIT = re.compile(r"\\u[dD][89abAB][0-9A-Fa-f]{2}\\u[dD][c-fC-F][0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4}|\\.", re.DOTALL)


def mask_spans(text: str, spans: Iterable[Span], mask: str, channel: Channel) -> str | None:
    """A text with spans replaced.

    Args:
        text: as it is.
        spans: half-open character offsets; may overlap.
        mask: what stands for each.
        channel: what the text is; a tool's arguments that are JSON stay JSON.

    Returns:
        None where the spans hold nothing that a mask can stand for, as the brackets of JSON.
    """
    merged = merge_spans(spans)
    if channel.kind == "tool" and _is_json(text):
        merged, masks = _fit(text, merged, mask)
        return _replace(text, merged, masks) if merged else None
    return _replace(text, merged, [mask] * len(merged)) if merged else None


def merge_spans(spans: Iterable[Span]) -> list[Span]:
    """The spans in order, those that overlap or touch as one, empty ones left out."""
    merged: list[Span] = []
    for start, end in sorted(spans):
        if start >= end:
            continue
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], end)
        else:
            merged.append((start, end))
    return merged


def _replace(text: str, spans: Sequence[Span], masks: Sequence[str]) -> str:
    said, at = [], 0
    for (start, end), mask in zip(spans, masks, strict=True):
        said += [text[at:start], mask]
        at = end
    said.append(text[at:])
    return "".join(said)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _fit(text: str, spans: Sequence[Span], mask: str) -> tuple[list[Span], list[str]]:
    """What of the spans lies within strings, numbers and words of the JSON, and the mask for each piece."""
    inner = json.dumps(mask)[1:-1]
    fitted: list[Span] = []
    masks: list[str] = []
    place = 0
    for token in _TOKEN.finditer(text):
        first, last = token.span()
        while place < len(spans) and spans[place][1] <= first:
            place += 1
        if place == len(spans):
            break
        if spans[place][0] >= last:
            continue
        if text[first] != '"':
            fitted.append((first, last))
            masks.append(f'"{inner}"')
            continue
        within = place
        while within < len(spans) and spans[within][0] < last:
            start, end = max(spans[within][0], first + 1), min(spans[within][1], last - 1)
            if start < end:
                start, end = _whole_escapes(text, first + 1, last - 1, start, end)
                if fitted and start < fitted[-1][1]:
                    fitted[-1] = fitted[-1][0], max(end, fitted[-1][1])
                else:
                    fitted.append((start, end))
                    masks.append(inner)
            within += 1
    return fitted, masks


def _whole_escapes(text: str, first: int, last: int, start: int, end: int) -> Span:
    """A span within a string, grown to whole escapes: half of one would swallow what follows it."""
    for unit in _UNIT.finditer(text, first, last):
        low, high = unit.span()
        if low >= end:
            break
        if low < start < high:
            start = low
        if low < end < high:
            end = high
    return start, end
