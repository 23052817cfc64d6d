"""The options that making probes and trying a model share, and how either is run."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from server.cli import _model_options, _running

if TYPE_CHECKING:
    from constitution.calls import Meter
    from constitution.probing.settings import Common
    from rules.schema import Constitution

Came = TypeVar("Came")

COMMON = ("model", "judge", "only", "seeds", "encoder", "language", "concurrency", "max_tokens_total", "out")
"""The parameters that `common_of` takes out."""

RUN = ("out", "anew", "max_tokens_total", "concurrency", "as_json", "quiet")
"""The parameters under the heading `Run`."""


def common_options(command: Callable[..., Any]) -> Any:
    """Give a command the options of both."""
    options = (
        _model_options.rules_option(),
        click.option("--rule", "only", multiple=True, metavar="ID", help="Only this rule; may be given several times."),
        click.option(
            "--seeds",
            type=click.Path(path_type=Path, dir_okay=False),
            metavar="FILE",
            help="More human-written prompts: JSONL of `rule`, `kind` (break or keep) and `prompt`.",
        ),
        click.option("--judge", metavar="MODEL", help="A model that says what is a break; best not the one it judges."),
        _model_options.encoder_option("Of the gate, and for nearness"),
        click.option(
            "--words",
            "language",
            type=click.Choice(["en", "zh"]),
            default="en",
            show_default=True,
            help="Language in which the models are asked.",
        ),
        _model_options.seed_option(),
        click.option("--anew", is_flag=True, help="Write the files of a folder anew that were made otherwise."),
        _model_options.budget_option(),
        _model_options.concurrency_option("Calls to a model at once.", most=1024, default=8),
        _model_options.json_option(),
        _model_options.quiet_option(),
    )
    return _model_options.applied(command, options)


def common_of(given: dict[str, Any]) -> Common:
    """Take what both share out of a command's parameters."""
    from constitution.probing.settings import Common

    taken = {name: given.pop(name) for name in COMMON}
    budget = taken.pop("max_tokens_total")
    return Common(**{**taken, "encoder": _model_options.encoder_of(taken["encoder"]), "budget": budget})


def constitution_of(rules: tuple[str, ...]) -> Constitution:
    """The rules that were named."""
    from rules.load import load

    return load(*rules).constitution


def run(work: Coroutine[Any, Any, Came], meter: Meter, progress: Callable[[], str], out: Path, *, quiet: bool) -> Came:
    """Do the work with a line of progress now and then; see `_running.run`."""
    from server.cli._progress import told

    return _running.run(
        work,
        told(progress, quiet=quiet),
        out,
        kept=lambda: f"{meter.calls + meter.reused:,} calls are kept",
        worth=lambda: meter.calls or meter.reused,
    )


def into_ledger(folder: Path, rules: Sequence[str]) -> str:
    """The command that enters what a run found into the red-team ledger."""
    named = [part for each in rules for part in ("-r", each)]
    return shlex.join(["wardlaw", "redteam", "import", str(folder), *named])
