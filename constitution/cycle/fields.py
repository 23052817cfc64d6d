"""Kinds of values in a cycle file: paths that count from its folder, models, shares."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo

from rules.base import NonEmpty, RuleId
from rules.files import packs

_IN_FILES = ("gguf", "scripted", "hf")
"""Schemes of models whose names may be paths."""


def _here(path: Path, info: ValidationInfo) -> Path:
    return Path((info.context or {}).get("folder", "")) / path


def _there(path: Path, info: ValidationInfo) -> Path:
    found = _here(path, info)
    if not found.exists():
        raise ValueError(f"should be there, and no file `{found}` is")
    return found


def _source(name: str, info: ValidationInfo) -> str:
    """A pack's name, or the path of a file or folder of rules."""
    return name if name in packs() else str(_here(Path(name), info))


def _prompts(name: str, info: ValidationInfo) -> str:
    return name if name.startswith("hf:") else str(_there(Path(name), info))


def _model(name: str, info: ValidationInfo) -> str:
    scheme, colon, rest = name.partition(":")
    path, mark, options = rest.partition("?")
    here = _here(Path(path), info)
    return f"{scheme}:{here}{mark}{options}" if colon and scheme in _IN_FILES and here.exists() else name


def _heads(name: str, info: ValidationInfo) -> str:
    return name if name in ("shipped", "none") else str(_there(Path(name), info))


def _encoder(name: str, info: ValidationInfo) -> str:
    here = _here(Path(name), info)
    return str(here) if here.is_dir() else name


def _share(value: Any) -> Any:
    """`20%`, or `0.2`."""
    text = str(value).strip()
    if not text.endswith("%"):
        return value
    try:
        return float(text[:-1]) / 100
    except ValueError:
        return value


def _several(value: Any) -> Any:
    """One name, or a list of them."""
    return [value] if isinstance(value, str) else value


HerePath = Annotated[Path, AfterValidator(_here)]
File = Annotated[Path, AfterValidator(_there)]
Model = Annotated[NonEmpty, AfterValidator(_model)]
Prompts = Annotated[NonEmpty, AfterValidator(_prompts)]
Share = Annotated[float, BeforeValidator(_share), Field(gt=0, lt=1)]
"""A share between 0 and 1, both left out."""
Part = Annotated[float, BeforeValidator(_share), Field(ge=0, lt=1)]
"""A share from 0, and below 1."""
Whole = Annotated[float, BeforeValidator(_share), Field(ge=0, le=1)]
"""A share from 0 to 1, both taken."""
AtLeastOne = Annotated[int, Field(ge=1)]
Rules = Annotated[NonEmpty, AfterValidator(_source)]
"""A pack, or a file or folder of rules."""
RuleIds = Annotated[tuple[RuleId, ...], BeforeValidator(_several)]
"""Ids of rules, or a single one."""
HeadsName = Annotated[NonEmpty, AfterValidator(_heads)]
"""`shipped`, `none`, or a folder."""
EncoderName = Annotated[NonEmpty, AfterValidator(_encoder)]
"""`default`, `none`, an id, or a folder."""
