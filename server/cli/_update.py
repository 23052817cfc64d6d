"""`wardlaw generate --update`: rows made anew after rules were changed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from rules.errors import WardlawError
from server.cli._outputs import chosen

if TYPE_CHECKING:
    from constitution.dependents import Dependence
    from constitution.update import Update

_OWN = ("rules", "templates", "encoder")
"""Parameters that take the place of what the folder's run was told, where they are given."""
_ALSO = ("concurrency", "max_tokens_total", "mixed", "formats")
"""Those that say nothing of how rows are made."""
_SHOWN = 8


def open_update(folder: Path, given: dict[str, Any]) -> Update:
    """The run that makes rows of a folder anew.

    Args:
        folder: what a run wrote.
        given: the command's parameters.

    Raises:
        UsageError: an option that only goes with prompts.
        WardlawError: the folder's settings or its rules cannot be read.
    """
    from constitution.recorded import read_settings
    from constitution.row import ROLES
    from constitution.sharded.shards import is_sharded
    from constitution.update import Update, newest
    from rules import load

    context = click.get_current_context()
    told = {name for name in given if context.get_parameter_source(name) is ParameterSource.COMMANDLINE}
    outputs = chosen(dict(given))
    fits = {*_OWN, *_ALSO, *outputs, *ROLES, "model", "update", "quiet", "price_in", "price_out"}
    if stray := sorted(told - fits):
        name = "PROMPTS" if "prompts" in stray else _option(context, stray[0])
        hint = "--update goes by what the folder's own run was told"
        raise click.UsageError(f"`{name}` does not go with --update\n  hint: {hint}")
    if is_sharded(folder):
        raise WardlawError(
            f"the rows of `{folder}` lie in shards of `--engine ray`, which are never changed",
            "make rows by the new rules in a folder of their own: `wardlaw generate PROMPTS --engine ray --out DIR`",
        )
    run = newest(folder)
    names = {role: given[role] or given["model"] for role in ROLES}
    # The judge is a choice of its own, here as in any run.
    models = {role: name for role, name in names.items() if name and (role != "judge" or given["judge"])}
    own: dict[str, Any] = {name: given[name] for name in (*_OWN, *_ALSO) if name in told}
    if own.get("encoder") == "none":
        del own["encoder"]
    settings = read_settings(folder, run, {**own, **outputs, "models": models})
    return Update(settings, load(*settings.rules).constitution)


def forecast(folder: Path, found: Dependence) -> str:
    """What is about to be done, in a line."""
    from server.cli._summary import counted

    rows = counted(found.rows, "row")
    if not found.stale:
        return f"none of {rows} in {folder} depends on a changed rule"
    ranked = found.rules.most_common()
    named = ", ".join(f"{rule} {count:,}" for rule, count in ranked[:_SHOWN])
    more = f" and {len(ranked) - _SHOWN} more" if len(ranked) > _SHOWN else ""
    calls = counted(found.calls, "model call")
    return f"{found.stale:,} of {rows} in {folder} depend on changed rules ({named}{more}): about {calls}"


def _option(context: click.Context, name: str) -> str:
    for parameter in context.command.params:
        if parameter.name == name:
            return parameter.opts[0]
    return name
