"""Texts that models read, as YAML that a person edits: one file a language, checked when read, rendered with Jinja."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar

from pydantic import ValidationError, model_validator

from guard.templating import environment
from rules.errors import WardlawError
from rules.schema import Closed, NonEmpty

if TYPE_CHECKING:
    import jinja2


class TemplateError(WardlawError):
    """A template file is wrong."""


class Spoken(Closed):
    """Words of one language. Templates among them are compiled once, and at the latest when the file is read."""

    TEMPLATES: ClassVar[tuple[str, ...]] = ()
    """Fields that are Jinja templates; `write.ask` is the field `ask` of the field `write`."""
    TOLD_IN: ClassVar[str] = ""
    """The file whose head lists what can stand in a template."""

    language: NonEmpty

    @model_validator(mode="after")
    def _templates_read(self) -> Self:
        import jinja2

        for name in self.TEMPLATES:
            try:
                self._template(name)
            except jinja2.TemplateError as error:
                raise ValueError(f"the template `{name}` does not read: {error}") from error
        return self

    @cached_property
    def _compiled(self) -> dict[str, jinja2.Template]:
        return {}

    def _template(self, name: str) -> jinja2.Template:
        if name not in self._compiled:
            text: Any = self
            for part in name.split("."):
                text = getattr(text, part)
            self._compiled[name] = environment().from_string(text)
        return self._compiled[name]

    def _render(self, name: str, **values: Any) -> str:
        """The template with `values` filled in.

        Raises:
            TemplateError: it names something that is not there.
        """
        try:
            return self._template(name).render(**values).strip()
        except Exception as error:  # whatever an expression in a person's template can raise
            raise TemplateError(
                f"template `{name}` ({self.language}): {error}",
                f"the head of {self.TOLD_IN} lists what can stand in a template",
            ) from error


Words = TypeVar("Words", bound=Spoken)


class ByLanguage(Generic[Words]):
    """The words of every language in a folder."""

    KIND: ClassVar[type[Spoken]]
    """What a file is checked as."""
    OWN: ClassVar[Path]
    """The folder of those that ship."""

    def __init__(self, by_language: Mapping[str, Words]) -> None:
        if "en" not in by_language and len(by_language) != 1:
            raise TemplateError("the templates hold several languages and none is `en`", "add an en.yaml")
        self.by_language = dict(by_language)
        self.fallback = by_language.get("en") or next(iter(by_language.values()))
        text = json.dumps(dict(sorted(self._dumped().items())), ensure_ascii=False, sort_keys=True)
        self.digest = hashlib.blake2b(text.encode(), digest_size=12).hexdigest()
        """Changes with any text of any language, not with comments."""

    @classmethod
    def read(cls, folder: Path | None = None) -> Self:
        """Read every *.yaml of `folder`; those that ship where none is named.

        Raises:
            TemplateError: no such folder, no file in it, or a file that is wrong, with its path and key.
        """
        return cls(_read(cls.KIND, cls.OWN if folder is None else folder, cls.OWN))  # type: ignore[arg-type]  # KIND is Words

    def of(self, language: str) -> Words:
        """The words of `language`, or English where there are none."""
        return self.by_language.get(language) or self.fallback

    def _dumped(self) -> dict[str, Any]:
        return {name: words.model_dump(mode="json") for name, words in self.by_language.items()}

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        # Compiled templates do not travel between processes; their words do.
        return _again, (type(self), self._dumped())


def _again(kind: type[ByLanguage[Any]], by_language: Mapping[str, Mapping[str, object]]) -> ByLanguage[Any]:
    return kind({name: kind.KIND.model_validate(words) for name, words in by_language.items()})


def fenced(text: str, tag: str = "answer") -> str:
    """A text that cannot close the tag round it, and so cannot speak to its reader from outside."""
    return re.sub(rf"<(\s*/\s*{tag})", r"&lt;\1", text, flags=re.IGNORECASE)


def _read(kind: type[Words], folder: Path, own: Path) -> dict[str, Words]:
    """Every *.yaml of `folder`, by the language that it says it is in; `own` is to be copied and compared with."""
    import yaml

    called = own.relative_to(Path(__file__).parents[1]).as_posix()
    files = sorted(folder.glob("*.yaml"))
    if not files:
        raise TemplateError(f"no templates in `{folder}`", f"copy {called} there and edit the copy")
    by_language: dict[str, Words] = {}
    for path in files:
        try:
            words = kind.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise TemplateError(f"{path}: not YAML: {' '.join(str(error).split())}", "mend the file") from error
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"]) or "the file"
            raise TemplateError(
                f"{path}: `{place}`: {first['msg'].removeprefix('Value error, ')}", f"compare with {called}/en.yaml"
            ) from error
        by_language[words.language] = words
    return by_language
