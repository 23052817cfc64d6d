"""The options that say how the files of a run look: the same for `generate` and `export`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

CHOICES = ("parquet", "reasoning", "preference_reasoning", "sft", "licence")
"""The parameters that `chosen` picks; what is not given is as it was chosen for the folder before."""

FORMATS = ("alpaca", "axolotl", "critic", "gate", "kto", "preference", "sft", "sharegpt", "sharegpt_preference")
"""The files of constitution/formats, which `--help` should not wait for; a test holds the two together."""

_KEPT = "if the folder has no other"


def output_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of the files."""
    options = (
        click.option(
            "-f",
            "--format",
            "formats",
            multiple=True,
            help=f"What to write: {', '.join(FORMATS)}; may be given several times.  [default: everything]",
        ),
        click.option(
            "--parquet/--jsonl", default=None, help=f"Parquet files or JSON lines.  [default: jsonl, {_KEPT}]"
        ),
        click.option(
            "--reasoning",
            type=click.Choice(["reasoning_content", "thinking", "think", "none"]),
            help=f"Where the rationale stands in the files.  [default: reasoning_content, {_KEPT}]",
        ),
        click.option(
            "--preference-reasoning/--no-preference-reasoning",
            default=None,
            help=f"Carry the rationale in `preference` and `kto` too.  [default: no, {_KEPT}]",
        ),
        click.option(
            "--sft",
            type=click.Choice(["completion", "messages"]),
            help=f"`prompt` and `completion`, or one list of messages.  [default: completion, {_KEPT}]",
        ),
        click.option("--licence", help=f"Licence of the data, for its card.  [default: other, {_KEPT}]"),
    )
    for option in reversed(options):  # decorators stack: the last one applied is shown first
        command = option(command)
    return command


def chosen(given: dict[str, Any]) -> dict[str, Any]:
    """Take the choices out of a command's parameters: those that were given."""
    return {name: value for name in CHOICES if (value := given.pop(name)) is not None}
