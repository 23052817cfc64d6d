"""A text in one or more languages."""

from __future__ import annotations

import re
from typing import Annotated, Any, Self

from pydantic import AfterValidator, ConfigDict, RootModel, model_validator

from rules.base import NonEmpty, refusal
from rules.languages import LANGUAGES


def is_language(tag: str) -> bool:
    """Whether this is a language tag that a text may carry."""
    return _TAG.fullmatch(tag) is not None and tag.partition("-")[0] in LANGUAGES


def _known_language(tag: str) -> str:
    if not is_language(tag):
        raise refusal([((), f"unknown language tag `{tag}`", _tag_hint(tag))])
    return tag


_TAG = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_MEANT = {"cn": "`zh`", "chinese": "`zh`", "english": "`en`", "jp": "`ja`", "kr": "`ko`", "ua": "`uk`", "cz": "`cs`"}
"""Countries and names that people write for languages."""


def _tag_hint(tag: str) -> str:
    base, _, region = tag.replace("_", "-").partition("-")
    base, region = base.lower(), region.upper()
    if tag.casefold() in _MEANT:
        return f"write {_MEANT[tag.casefold()]}"
    if base not in LANGUAGES:
        return "write it as `en`, `zh` or `zh-TW`"
    return f"write `{base}`" + (
        f", or `{base}-{region}` for that region alone" if _TAG.fullmatch(f"{base}-{region}") else ""
    )


Language = Annotated[str, AfterValidator(_known_language)]


class Text(RootModel[dict[Language, NonEmpty]]):
    """A text in one or more languages. In YAML: one string, or a map from language tag to string.

    A plain string is kept under the tag `und` (any language).
    """

    model_config = ConfigDict(frozen=True, defer_build=True)

    @model_validator(mode="before")
    @classmethod
    def _from_string(cls, value: Any) -> Any:
        return {"und": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _some_language(self) -> Self:
        if not self.root:
            raise refusal([((), "a text needs at least one language", "write one string, or `{en: ..., zh: ...}`")])
        return self

    def say(self, language: str = "en") -> str:
        """The text in `language`, else in its base language, else in any language, English or what there is."""
        base = language.partition("-")[0]
        for tag in (language, base, "und", "en"):
            if tag in self.root:
                return self.root[tag]
        return self.root[min(self.root)]  # not the first one: the order of keys must change nothing

    def speaks(self, language: str) -> bool:
        """Whether the text was written in `language` itself, not fallen back to."""
        return language in self.root or language.partition("-")[0] in self.root

    def __str__(self) -> str:
        return self.say()
