"""The options that say which gate is meant: the same for every command of the folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import click

from rules.errors import WardlawError

if TYPE_CHECKING:
    from guard.detectors.base import Detector
    from guard.gate import Gate
    from rules.schema import Constitution

SECTION = ("rules", "encoder", "heads", "no_meaning", "judge", "judge_mode", "guard_model")
"""The parameters that `gate_options` adds; the command gets them as one `chosen`."""


@dataclass(frozen=True)
class Chosen:
    """Which gate is meant."""

    rules: tuple[str, ...] = ("base",)
    encoder: str = "default"
    heads: str = "shipped"
    no_meaning: bool = False
    judge: str | None = None
    judge_mode: Literal["quote", "logprobs"] = "quote"
    guard_model: str | None = None


def rules_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the option that names the rules."""
    return click.option(
        "-r",
        "--rules",
        multiple=True,
        default=("base",),
        show_default=True,
        metavar="PACK|FILE",
        help="The rules: a pack's name or a YAML file; may be given several times.",
    )(command)


def budget_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the option for what the gate may flag."""
    return click.option(
        "--budget",
        callback=percentage,
        default="1%",
        show_default=True,
        metavar="PERCENT",
        help="The largest share of harmless texts that the whole gate may flag.",
    )(command)


def unsure_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the option for what may be asked about."""
    return click.option(
        "--unsure",
        callback=percentage,
        default="5%",
        show_default=True,
        metavar="PERCENT",
        help="Share of harmless texts that a judge may be asked about: the band below the threshold.",
    )(command)


def gate_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of the gate."""
    return rules_option(_chosen(command, SECTION, _MODELS))


def model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of the gate but the rules, which it is told in another way."""
    return _chosen(command, SECTION[1:], _MODELS)


def _chosen(
    command: Callable[..., Any], names: tuple[str, ...], options: tuple[Callable[..., Any], ...]
) -> Callable[..., Any]:
    @wraps(command)
    def wrapped(**given: Any) -> Any:
        return command(chosen=Chosen(**{name: given.pop(name) for name in names}), **given)

    made = cast("Callable[..., Any]", wrapped)
    for option in reversed(options):  # decorators stack: the last one applied is shown first
        made = option(made)
    return made


_MODELS = (
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
    click.option(
        "--judge",
        metavar="MODEL",
        help="A chat model, as in `wardlaw generate`, that is asked about the rules left unsure.",
    ),
    click.option(
        "--judge-mode",
        type=click.Choice(["quote", "logprobs"]),
        default="quote",
        show_default=True,
        help="`quote`: it quotes what breaks the rule and says why; `logprobs`: one word, and how likely it is.",
    ),
    click.option(
        "--guard-model",
        metavar="MODEL",
        help="A guard model (Llama Guard, ShieldGemma, Qwen3Guard, ...) that is asked about the rules left unsure.",
    ),
)


def open_gate(chosen: Chosen, *, thorough: bool = False) -> Gate:
    """The gate that the options name, loaded and ready.

    Raises:
        WardlawError: rules, encoder, heads or models cannot be used.
    """
    from rules.load import load

    return build_gate(chosen, load(*chosen.rules).constitution, thorough=thorough)


def build_gate(
    chosen: Chosen, constitution: Constitution, *, thorough: bool = False, threads: int | None = None
) -> Gate:
    """The gate of these rules, with the detectors that the options name.

    Args:
        chosen: the options.
        constitution: the rules.
        thorough: see `Gate`.
        threads: cores the encoder may use; all that this process may where left out.

    Raises:
        WardlawError: encoder, heads or models cannot be used.
    """
    from guard.gate import Gate

    return Gate.build(
        constitution,
        encoder=None if chosen.no_meaning or chosen.encoder == "none" else chosen.encoder,
        heads=heads_of(chosen.heads),
        also=asked(chosen, constitution),
        thorough=thorough,
        threads=threads,
    )


def asked(chosen: Chosen, constitution: Constitution) -> list[Detector]:
    """The detectors that ask a model elsewhere.

    Raises:
        WardlawError: a model's name cannot be used.
    """
    from guard.models import open_model

    detectors: list[Detector] = []
    if chosen.guard_model is not None:
        from guard.detectors.classifier import ClassifierDetector

        detectors.append(ClassifierDetector(constitution, open_model(chosen.guard_model)))
    if chosen.judge is not None:
        from guard.detectors.judge import JudgeDetector
        from guard.judging.settings import JudgeSettings

        settings = JudgeSettings(mode=chosen.judge_mode)
        detectors.append(JudgeDetector(constitution, open_model(chosen.judge), settings))
    return detectors


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
    return folder.resolve()  # the link of `wardlaw cycle` may be turned to other heads while they are read


def percentage(context: click.Context, option: click.Parameter, text: str) -> float:
    """`1%`, or `0.01`: a share between 0 and 1, both left out."""
    forms = "as `1%`, `0.1%` or `0.001`"
    try:
        share = float(text.strip().removesuffix("%")) / (100 if text.strip().endswith("%") else 1)
    except ValueError:
        raise click.BadParameter(f"`{text}` is no percentage\n  hint: {forms}", context, option) from None
    if not 0 < share < 1:  # also where it is `nan`
        # A bare 1 would be all of the traffic, and is meant as 1%.
        hint = f"did you mean `{text}%`?" if 1 <= share < 100 and "%" not in text else forms
        raise click.BadParameter(f"`{text}` is no share between 0% and 100%\n  hint: {hint}", context, option)
    return share
