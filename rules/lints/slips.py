"""Lints of texts that YAML reads otherwise than they were meant."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rules.lints import Found, lint
from rules.schema import Rule
from rules.words import quoted

if TYPE_CHECKING:
    from rules.check import Company


@lint("warning")
def cut_text(rule: Rule, company: Company) -> Iterator[Found]:
    """An unquoted text ends where YAML sees a comment that may belong to it, as in `order #1234`."""
    for keys, word in company.cuts[rule.id]:
        yield keys, f"has a text that ends before {quoted(word)}", "quote the line if the rest belongs to it"


@lint("warning")
def text_like_a_key(rule: Rule, company: Company) -> Iterator[Found]:
    """An unquoted text begins like a key or an item of a list, as `prompt:Hi` does: YAML takes it for text."""
    for keys, word in company.begins[rule.id]:
        if word == "0":
            yield keys, "has an example that is a number or a date", "write what was said; quote it if that is all"
        elif word == "-":
            hint = "put its `- ` under the one above; quote the whole text if it is one"
            yield keys, "has a text with a line that begins like an item of a list", hint
        else:
            hint = f"for a key write `{word}: `, a colon and a space, in line with the keys; else quote the whole text"
            yield keys, f"has a text with a line that begins like the key `{word}`", hint
