"""`wardlaw rules suggest`: examples that a model drafts, for a person to accept one by one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from rules.errors import WardlawError
from server.cli._sections import Sectioned
from server.cli.gate import _options

if TYPE_CHECKING:
    from guard.gate import Gate
    from guard.trials.cases import Kind
    from guard.trials.drafts import Drafted, Wanted
    from guard.trials.look import Seen
    from rules.loaded import Loaded
    from rules.schema import Example, Rule

_GATE_SAYS = {
    ("breaks", False): "the gate misses it",
    ("breaks", True): "the gate finds it",
    ("keeps", False): "the gate lets it pass",
    ("keeps", True): "the gate flags it",
}

_SECTIONS = {
    "What to draft": ("model", "count", "side", "part", "language", "temperature", "seed"),
    "Gate": _options.SECTION[1:],
    "Output": ("accept_none", "as_json"),
}


@click.command("suggest", cls=Sectioned, sections=_SECTIONS, short_help="let a model draft examples of a rule")
@click.argument("rule_id", metavar="ID")
@click.argument("paths", metavar="[PATH]...", nargs=-1)
@click.option("--model", required=True, metavar="MODEL", help="The chat model that drafts, as in `wardlaw generate`.")
@click.option("-n", "--count", type=click.IntRange(1, 20), default=5, show_default=True, help="Drafts of each side.")
@click.option(
    "--side",
    type=click.Choice(["breaks", "keeps"]),
    help="Only texts that break the rule, or only near misses.  [default: both]",
)
@click.option(
    "--part",
    type=click.Choice(["prompt", "response"]),
    help="Requests, or answers with their requests.  [default: what the rule watches and has fewest of]",
)
@click.option(
    "--lang", "language", metavar="TAG", help="Language to write in.  [default: one that has no example, or en]"
)
@click.option("--temperature", type=click.FloatRange(0, 2), default=0.7, show_default=True, help="Of the model.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the model; another one gives other drafts.")
@_options.model_options
@click.option("--accept-none", is_flag=True, help="Show the drafts, ask nothing and write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object; asks and writes nothing.")
def command(
    rule_id: str,
    paths: tuple[str, ...],
    model: str,
    count: int,
    side: Kind | None,
    part: str | None,
    language: str | None,
    temperature: float,
    seed: int,
    chosen: _options.Chosen,
    accept_none: bool,
    as_json: bool,
) -> int:
    """Let a model draft examples of the rule ID of PATH, or of the pack `base`: texts that break it, and near misses.

    Beside each stands what the gate makes of it now; those that it misses or flags teach most, and come first. One
    by one you accept (a), reject (r) or edit (e) them, or quit (q). What you accept is written under `examples` of the
    rule, and nothing else in the file is touched. Drafts that are nearly copies of an example or a test are dropped.

    The `embedded` model is not fit for this: it is there to try other commands out. Name a larger one.

    Exit codes: 0 done; 1 the model wrote nothing of use; 2 wrong input.
    """
    from guard.trials.drafts import tried
    from rules.insertion import home_of
    from rules.load import load
    from server.cli.rules._ids import named_rule

    paths = paths or ("base",)
    loaded = load(*paths)
    rule = named_rule(loaded, rule_id, paths)
    writes = not (accept_none or as_json)
    if writes:
        home_of(loaded, rule_id)  # before minutes of drafting, not after
    wanted = [_wanted(rule, kind, count, part, language) for kind in _sides(side)]
    drafted = asyncio.run(_draft(model, loaded, rule, wanted, temperature, seed))
    with _options.build_gate(chosen, loaded.constitution) as gate:
        seen = tried(gate, [case for each in drafted for case in each.drafts])
        if as_json:
            from server.cli._json import as_text

            click.echo(as_text(_as_dict(rule, model, seen, drafted)))
        else:
            accepted = _go_through(gate, seen, asks=writes)
            _tell_dropped(drafted)
            if writes:
                _write(paths, rule_id, accepted)
    return int(not seen)


def _sides(side: Kind | None) -> tuple[Kind, ...]:
    return ("breaks", "keeps") if side is None else (side,)


def _wanted(rule: Rule, kind: Kind, count: int, part: str | None, language: str | None) -> Wanted:
    """What is to be drafted on a side; what is not said is what the rule has least of.

    Raises:
        WardlawError: the rule does not watch the part, or the tag is none.
    """
    from guard.trials.advice import missing_languages, texts_of
    from guard.trials.drafts import Wanted
    from rules.schema import Part
    from rules.text import is_language
    from rules.words import listed, quoted

    able = [each for each in (Part.PROMPT, Part.RESPONSE) if each in rule.watches]
    if not able or (part is not None and part not in able):
        what = f"the rule `{rule.id}` does not watch {'a prompt or a response' if part is None else f'the {part}'}"
        raise WardlawError(what, f"it watches {listed(rule.watches)}; only prompts and responses are drafted")
    if language is not None and not is_language(language):
        raise WardlawError(f"unknown language tag {quoted(language)}", "as `en`, `zh`")
    has = [example.part for example in texts_of(rule, kind, ("examples",))]
    fewest = min(able, key=lambda each: has.count(each))
    tongue = language or next(iter(missing_languages(rule, kind)), None) or ("en" if rule.rule.speaks("en") else None)
    spoken = sorted(set(rule.rule.root) - {"und"})
    return Wanted(
        kind,
        count,
        "response" if (part or fewest) == "response" else "prompt",
        tongue or (spoken[0] if spoken else "en"),
    )


async def _draft(
    name: str, loaded: Loaded, rule: Rule, wanted: list[Wanted], temperature: float, seed: int
) -> list[Drafted]:
    from guard.models import open_model
    from guard.trials.drafts import draft

    model = open_model(name, concurrency=1)
    drafted = []
    try:
        for each in wanted:
            _tell_asked(name, each)  # a slow model takes minutes: it must not look as if it hung
            drafted.append(await draft(model, loaded.constitution, rule, each, temperature=temperature, seed=seed))
        return drafted
    finally:
        await model.close()


def _tell_asked(model: str, wanted: Wanted) -> None:
    from server.cli._printable import printable
    from server.cli._summary import counted

    side = "break" if wanted.kind == "breaks" else "keep"
    texts = counted(wanted.count, wanted.part)
    click.echo(f"asking {printable(model)} for {texts} that {side} the rule, in {wanted.language} ...", err=True)


def _go_through(gate: Gate, seen: list[Seen], *, asks: bool) -> dict[Kind, list[Example]]:
    """Show each draft; those that are accepted, by side."""
    accepted: dict[Kind, list[Example]] = {"breaks": [], "keeps": []}
    for place, each in enumerate(seen, 1):
        click.echo(f"\n{click.style(f'{place} of {len(seen)}', dim=True)}  {_told(each)}")
        if not asks:
            continue
        answer, each = _asked(gate, each)
        if answer == "q":
            break
        if answer == "a":
            accepted[each.case.kind].append(each.case.example)
    return accepted


def _asked(gate: Gate, seen: Seen) -> tuple[str, Seen]:
    """What a person decides of a draft; an edited one is shown and asked about again."""
    from guard.trials.drafts import tried

    while True:
        choices = click.Choice(["a", "r", "e", "q"])
        answer = click.prompt("  accept, reject, edit, quit", type=choices, show_choices=True, default="r")
        if answer != "e":
            return answer, seen
        edited = _edited(seen)
        if edited is not None:
            (seen,) = tried(gate, [edited])
            click.echo(f"  {_told(seen)}")


def _edited(seen: Seen) -> Any:
    """The case with the text that a person writes in its place; None where it cannot be an example."""
    from dataclasses import replace

    from rules.schema import Example

    turns = [turn.model_dump() for turn in seen.case.example.messages]
    turns[-1]["content"] = click.prompt("  text", default=seen.case.example.text, show_default=False).strip()
    if not turns[-1]["content"]:
        return None
    return replace(seen.case, example=Example.model_validate({"messages": turns}))


def _told(seen: Seen) -> str:
    """A draft, and what the gate makes of it."""
    from server.cli._printable import printable
    from server.cli.rules._trial_page import said_of

    head = click.style(f"{seen.case.kind}", fg="red" if seen.case.kind == "breaks" else "green", bold=True)
    turns = seen.case.example.messages
    said = [turns[0].content] if len(turns) == 1 else [f"{turn.role}: {turn.content}" for turn in turns]
    return "\n".join(
        [
            f"{head}  {_GATE_SAYS[seen.case.kind, seen.found]}",
            *(f"  {printable(text)}" for text in said),
            f"  {printable(said_of(seen))}",
        ]
    )


def _tell_dropped(drafted: list[Drafted]) -> None:
    from collections import Counter

    from server.cli._summary import counted

    reasons = Counter(why for each in drafted for _, why in each.dropped)
    for why, number in reasons.most_common():
        click.echo(f"\n{counted(number, 'draft')} dropped: {why}", err=True)
    if not any(each.drafts for each in drafted):
        click.echo("the model wrote nothing of use: try another --seed, or a larger model", err=True)


def _write(paths: tuple[str, ...], rule_id: str, accepted: dict[Kind, list[Example]]) -> None:
    from rules.insertion import insert
    from server.cli._summary import counted

    number = sum(len(examples) for examples in accepted.values())
    if not number:
        click.echo("\nnothing accepted, nothing written")
        return
    path, _ = insert(paths, rule_id, accepted)
    sides = " and ".join(f"{len(examples)} under `{kind}`" for kind, examples in accepted.items() if examples)
    click.echo(f"\n{counted(number, 'example')} written to {path}: {sides}")
    click.echo(f"now: wardlaw rules test {' '.join(paths)} --rule {rule_id}")


def _as_dict(rule: Rule, model: str, seen: list[Seen], drafted: list[Drafted]) -> dict[str, Any]:
    return {
        "rule": rule.id,
        "model": model,
        "drafts": [
            {
                "kind": each.case.kind,
                "part": str(each.case.part),
                "messages": [turn.model_dump() for turn in each.case.example.messages],
                "gate": {
                    "passed": each.passed,
                    "found": each.found,
                    "stage": each.stage or None,
                    "score": each.score,
                    "threshold": each.threshold,
                    "why": each.why or None,
                    "others": list(each.others),
                },
            }
            for each in seen
        ],
        "dropped": [{"text": text, "why": why} for each in drafted for text, why in each.dropped],
    }
