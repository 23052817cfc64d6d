"""The options that every command shares which asks models: rules, folder, models, sampling, budget, and pace.

How such a command is run and ended stands in `_running.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from pydantic import ValidationError

    from server.cli._progress import Prices

Option = Callable[[Any], Any]
"""What `click.option` gives: a decorator of a command."""

SAMPLING = ("temperature", "top_p", "max_tokens")
"""The parameters that `sampling_options` adds."""

_RANGES: dict[str, click.FloatRange | click.IntRange] = {
    "temperature": click.FloatRange(0, 5),
    "top_p": click.FloatRange(0, 1, min_open=True),
    "max_tokens": click.IntRange(1, 1_000_000),
}


def applied(command: Any, options: Sequence[Option]) -> Any:
    """A command with these options, the first shown first."""
    for option in reversed(options):  # decorators stack: the last one applied is shown first
        command = option(command)
    return command


def rules_option(default: str = "base", text: str = "The rules: a pack's name or a YAML file") -> Option:
    """`--rules`; `text` is what they are, without the closing words."""
    return click.option(
        "-r",
        "--rules",
        "rules",
        multiple=True,
        default=(default,),
        show_default=True,
        metavar="PACK|FILE",
        help=f"{text}; may be given several times.",
    )


def out_option(default: str, more: str = "") -> Option:
    """`--out`, the folder in which a run goes on; `more` is what else to say of that."""
    return click.option(
        "-o",
        "--out",
        type=click.Path(path_type=Path, file_okay=False),
        default=Path(default),
        show_default=True,
        help=f"Output folder. A run that was stopped goes on where it was{more}.",
    )


def templates_option(text: str) -> Option:
    """`--templates`, a folder that is there."""
    return click.option("--templates", type=click.Path(path_type=Path, exists=True, file_okay=False), help=text)


def encoder_option(text: str, *, none: str = "") -> Option:
    """`--encoder`; `text` is what it is of, `none` what leaving it out means. `encoder_of` reads it."""
    known = "`default` (all-MiniLM-L6-v2), a sentence-transformers id or path, or `none`"
    return click.option("--encoder", default="default", show_default=True, help=f"{text}: {known}{none}.")


def encoder_of(given: str) -> str | None:
    """The encoder that was named, None for `none`."""
    return None if given == "none" else given


def sampling_options(roles: Sequence[str], defaults: Mapping[str, str]) -> Callable[[Any], Any]:
    """`--temperature`, `--top-p` and `--max-tokens`, each as a number for all roles, or `ROLE=NUMBER` for one.

    Args:
        roles: their names.
        defaults: of each of `SAMPLING`, as the help shows them.
    """

    def read(context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> dict[str, float]:
        return _of_roles(context, option, values, roles)

    def each(name: str, text: str) -> Option:
        told = f"{text}  [default: {defaults[name[2:].replace('-', '_')]}]"
        return click.option(name, multiple=True, callback=read, metavar="[ROLE=]N", help=told)

    options = (
        each("--temperature", "Sampling temperature, from 0 to 5."),
        each("--top-p", "Nucleus sampling, above 0 and to 1."),
        each("--max-tokens", "Most tokens of an answer."),
    )
    return lambda command: applied(command, options)


def sampling_of(given: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Take what `sampling_options` read out of a command's parameters: role -> name -> number."""
    found: dict[str, dict[str, float]] = {}
    for what in SAMPLING:
        for role, number in given.pop(what).items():
            found.setdefault(role, {})[what] = number
    return found


def _of_roles(
    context: click.Context, option: click.Parameter, values: tuple[str, ...], roles: Sequence[str]
) -> dict[str, float]:
    """`ROLE=NUMBER` pairs; a bare number counts for every role."""
    found: dict[str, float] = {}
    for value in values:
        role, equals, number = value.rpartition("=")
        if equals and role not in roles:
            raise click.BadParameter(f"`{role}` is no role; the roles are {', '.join(roles)}", param=option)
        try:
            finite = math.isfinite(float(number))
        except ValueError:
            finite = False
        if not finite:
            what = f"`{value}` is neither a number nor ROLE=NUMBER, as `0.5` or `critic=0.5`"
            if option.name == "max_tokens":
                what = f"`{value}` is neither a whole number nor ROLE=NUMBER, as `400` or `critic=400`"
            raise click.BadParameter(what, param=option)
        checked = _RANGES[option.name or ""](number, option, context)
        found.update(dict.fromkeys((role,) if equals else roles, checked))
    return found


def check_models(models: Mapping[Any, str | None], needed: Sequence[str]) -> None:
    """Stop where a role that is needed has no model.

    Raises:
        UsageError: it says which.
    """
    if missing := [role for role in needed if not models[role]]:
        raise click.UsageError(
            f"no model for {', '.join(missing)}: name one with --model, as `--model embedded` for a first look"
        )


def seed_option() -> Option:
    """`--seed`."""
    return click.option("--seed", type=int, default=0, show_default=True, help="All randomness comes from it.")


def budget_option(text: str = "Most tokens, in and out, that the folder may ever cost.") -> Option:
    """`--max-tokens-total`."""
    return click.option("--max-tokens-total", type=click.IntRange(1), help=text)


def price_options(command: Any) -> Any:
    """`--price-in` and `--price-out`; `prices_of` reads them."""
    return applied(
        command,
        (
            click.option(
                "--price-in", type=click.FloatRange(0), default=0.0, help="Price of a million tokens in, any currency."
            ),
            click.option(
                "--price-out", type=click.FloatRange(0), default=0.0, help="Price of a million tokens out, in the same."
            ),
        ),
    )


def prices_of(given: dict[str, Any]) -> Prices:
    """Take what `price_options` read out of a command's parameters."""
    from server.cli._progress import Prices

    return Prices(given.pop("price_in"), given.pop("price_out"))


def concurrency_option(text: str, *, most: int = 4096, default: int | None = None) -> Option:
    """`--concurrency`; where the default depends on the models, `text` says so and `default` is None."""
    return click.option(
        "--concurrency", type=click.IntRange(1, most), default=default, show_default=default is not None, help=text
    )


def json_option(text: str = "Print one JSON object.") -> Option:
    """`--json`."""
    return click.option("--json", "as_json", is_flag=True, help=text)


def quiet_option() -> Option:
    """`--quiet`."""
    return click.option("-q", "--quiet", is_flag=True, help="Show no progress.")


def usage_error(error: ValidationError, unnamed: str = "") -> click.UsageError:
    """What a settings model refused, as wrong usage of the command.

    Args:
        error: of the model.
        unnamed: the option at fault where the model as a whole refused.
    """
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"])) or unnamed
    return click.UsageError(f"{place}: {first['msg'].removeprefix('Value error, ')}")
