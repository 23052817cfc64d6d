"""The options that say which gate is meant: the same for every command of the folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from rules.errors import WardlawError

if TYPE_CHECKING:
    from guard.gate import Gate

SECTION = ("rules", "encoder", "heads", "no_meaning")
"""The parameters that `gate_options` adds."""


def gate_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of the gate."""
    options = (
        click.option(
            "-r",
            "--rules",
            multiple=True,
            default=("base",),
            show_default=True,
            metavar="PACK|FILE",
            help="The rules: a pack's name or a YAML file; may be given several times.",
        ),
        click.option(
            "--encoder",
            default="default",
            show_default=True,
            metavar="ID|PATH",
            help="A sentence-transformers model for the meaning stage; `default` is all-MiniLM-L6-v2.",
        ),
        click.option(
            "--heads",
            default="shipped",
            show_default=True,
            metavar="FOLDER",
            help="Folder of trained heads; `shipped` are the project's own, `none` judges by examples alone.",
        ),
        click.option("--no-meaning", is_flag=True, help="Look for patterns alone; loads no model."),
    )
    for option in reversed(options):  # decorators stack: the last one applied is shown first
        command = option(command)
    return command


def open_gate(rules: tuple[str, ...], encoder: str, heads: str, no_meaning: bool, *, thorough: bool = False) -> Gate:
    """The gate that the options name, loaded and ready.

    Raises:
        WardlawError: rules, encoder or heads cannot be used.
    """
    from guard.gate import Gate
    from rules.load import load

    constitution = load(*rules).constitution
    return Gate.build(
        constitution,
        encoder=None if no_meaning or encoder == "none" else encoder,
        heads=heads_of(heads),
        thorough=thorough,
    )


def heads_of(given: str) -> Path | Literal["shipped"] | None:
    """What `--heads` names.

    Raises:
        WardlawError: it is no folder.
    """
    if given == "shipped":
        return "shipped"
    if given == "none":
        return None
    folder = Path(given)
    if not folder.is_dir():
        raise WardlawError(
            f"no folder of heads `{given}`", "give a folder that `wardlaw gate train` made, or `shipped`"
        )
    return folder
