"""What a folder's last run was told (settings.json), so that its rows can be made anew as they were made.

`run.json` says what determined the rows, by digests and identities; here stands by which names rules and models were
opened. Paths count from the folder, so that both can be moved together.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from constitution.choice import Choice
from constitution.formats.files import write_text
from constitution.run import Determined, RunError, dump
from constitution.settings import Settings
from rules.files import packs

SETTINGS_FILE = "settings.json"

_OF_THE_ROWS = set("prompts rules models rounds choice samples min_helpful seed encoder templates".split())
"""What is written down; how answers are drawn stands in run.json, in full."""
_IN_FILES = ("gguf", "scripted", "hf")
"""Schemes of models whose names may be paths."""


def keep_settings(settings: Settings) -> None:
    """Write down what a run was told, into its folder; whole or not at all.

    Raises:
        FormatError: the folder cannot be written.
    """
    told = settings.model_dump(mode="json", include=_OF_THE_ROWS, exclude_unset=True)
    told = _with_paths(told, lambda path: _from_folder(path, settings.out))
    write_text(settings.out / SETTINGS_FILE, dump(told))


def read_settings(folder: Path, run: Determined, given: Mapping[str, Any]) -> Settings:
    """The settings by which rows of a folder are made anew.

    Args:
        folder: the output folder.
        run: what determined its rows, the newest.
        given: what is told now in place of what was recorded; what is None is as it was.

    Raises:
        RunError: settings.json is damaged, or there is none and what is given does not do without.
    """
    path = folder / SETTINGS_FILE
    try:
        told = json.loads(path.read_bytes())
        if not isinstance(told, dict):
            raise ValueError("no object")
        told = _with_paths(told, lambda name: os.path.normpath(folder / name))
    except FileNotFoundError:
        told = _of_run(run)
    except (ValueError, TypeError, AttributeError) as error:
        raise RunError(f"`{path}` is damaged", "remove it, and name rules and models once more") from error
    models = {**told.get("models", {}), **given.get("models", {})}
    now = {name: value for name, value in given.items() if value is not None and name != "models"}
    whole = {"prompts": ("-",), **told, **now, "models": models, "out": folder, "sampling": run.sampling}
    if not whole.get("rules") or not models:
        what = "`--rules`" if models else "`--model`" if whole.get("rules") else "`--rules` and `--model`"
        raise RunError(f"`{folder}` does not say by which names its rules and models were opened", f"say {what} once")
    try:
        return Settings.model_validate(whole)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise RunError(f"`{path}`: {where or 'settings'}: {first['msg']}", "name rules and models once more") from error


def _of_run(run: Determined) -> dict[str, Any]:
    """What a folder says of itself that was made before settings were recorded."""
    told: dict[str, Any] = {"choice": run.choice, "samples": run.samples, "seed": run.seed}
    if run.choice != Choice.TURN.value:
        told["rounds"] = run.rounds
    if "meaning/" not in run.gate:
        told["encoder"] = None
    return told


def _with_paths(told: Mapping[str, Any], turn: Any) -> dict[str, Any]:
    """The settings with each value that is a path turned."""
    turned = dict(told)
    if "rules" in told:
        turned["rules"] = [rule if rule in packs() else turn(rule) for rule in told["rules"]]
    if told.get("templates") is not None:
        turned["templates"] = turn(told["templates"])
    if told.get("encoder") is not None:
        turned["encoder"] = _if_there(told["encoder"], turn)
    turned["prompts"] = [_if_there(name, turn) for name in told.get("prompts", ("-",))]
    turned["models"] = {role: _model(name, turn) for role, name in told.get("models", {}).items()}
    return turned


def _model(name: str, turn: Any) -> str:
    scheme, colon, rest = name.partition(":")
    if scheme not in _IN_FILES or not colon:
        return name
    path, mark, options = rest.partition("?")
    return f"{scheme}:{_if_there(path, turn)}{mark}{options}"


def _if_there(name: str, turn: Any) -> str:
    """A name that is a path where something lies there, before or after it is turned; else it names something else."""
    turned: str = turn(name)
    return turned if Path(name).exists() or Path(turned).exists() else name


def _from_folder(path: str, folder: Path) -> str:
    try:
        return os.path.relpath(path, folder)
    except ValueError:  # another drive
        return str(Path(path).resolve())
