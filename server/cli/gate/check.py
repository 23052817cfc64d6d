"""`wardlaw gate check`: judge a text, an answer, a conversation, or a file of them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rules.errors import WardlawError
from server.cli._engine import SECTION, engine_options, gpus_option
from server.cli._sections import Sectioned
from server.cli.gate import _options

if TYPE_CHECKING:
    from guard.exchange import Exchange
    from guard.gate import Gate

_SECTIONS = {
    "What to judge": ("file", "response", "messages", "jsonl"),
    "Gate": (*_options.SECTION, "thorough"),
    "Where": (*SECTION, "gpus"),
    "Output": ("hazards", "as_json", "out", "also_jsonl", "skip_bad", "lang", "quiet"),
}


@click.command("check", cls=Sectioned, sections=_SECTIONS, short_help="judge a text, a conversation, or a file of them")
@click.argument("given_texts", metavar="[TEXT]", nargs=-1)
@click.option("--file", type=click.Path(path_type=Path), help="Judge the text of this file.")
@click.option("--response", help="Judge this answer, with TEXT as its prompt.")
@click.option(
    "--messages", type=click.Path(path_type=Path), help="Judge the last message of a conversation: a JSON list of them."
)
@click.option(
    "--jsonl",
    metavar="FILE|GLOB|FOLDER",
    multiple=True,
    help="Judge every line: `prompt` and perhaps `response`; also .gz and .parquet, `-` is stdin. More may follow it.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Where --jsonl writes its verdicts: a file, or for many files a folder of shards.  [default: stdout]",
)
@click.option("--also-jsonl", is_flag=True, help="Write each shard as .jsonl.gz beside the Parquet.")
@click.option("--skip-bad", is_flag=True, help="With --jsonl, pass over bad lines and count them.")
@engine_options
@gpus_option
@_options.gate_options
@click.option("--thorough", is_flag=True, help="Let every stage look, also where an earlier one has settled the text.")
@click.option(
    "--hazards", metavar="SYSTEM", help="Say what is found in the codes of a hazard system, as `llama-guard-3`."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--lang", default="en", show_default=True, help="Language of the rules' titles.")
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
def command(
    given_texts: tuple[str, ...],
    file: Path | None,
    response: str | None,
    messages: Path | None,
    jsonl: tuple[str, ...],
    out: Path | None,
    also_jsonl: bool,
    skip_bad: bool,
    engine: str,
    address: str | None,
    workers: int | None,
    gpus: float | None,
    chosen: _options.Chosen,
    thorough: bool,
    hazards: str | None,
    as_json: bool,
    lang: str,
    quiet: bool,
) -> int:
    """Judge TEXT, or standard input where it is `-`, by the rules.

    Shows what would be done, the rules found broken with their scores and spans, what came near, each stage's time, and
    what was looked for.

    With --jsonl, many files are judged into a folder of shards; run again, it does what is not done yet.

    Exit codes: 0 nothing found; 1 a rule is found broken, or the gate acts because a detector failed; 2 an error.
    """
    if jsonl:  # a pattern that the shell has spelled out: all but the first file come as texts
        jsonl, given_texts = (*jsonl, *given_texts), ()
    if len(given_texts) > 1:
        raise click.UsageError(f"there are {len(given_texts)} texts\n  hint: put quotes round the text")
    text = given_texts[0] if given_texts else None
    sources: dict[str, Any] = {"TEXT": text, "--file": file, "--messages": messages, "--jsonl": jsonl or None}
    given = [name for name, value in sources.items() if value is not None]
    if not given and not sys.stdin.isatty():
        text = "-"
    elif len(given) != 1:
        what = f"{' and '.join(f'`{name}`' for name in given)} were given" if given else "there is nothing to judge"
        raise click.UsageError(f"{what}\n  hint: give one of TEXT (`-` is stdin), --file, --messages, --jsonl")
    if jsonl:
        if response is not None:
            raise click.UsageError("--response goes with one prompt; in --jsonl a line has its own `response`")
        from server.cli.gate import _shards

        if not _shards.wanted(jsonl, out, engine):
            return _bulk(jsonl[0], out, skip_bad, (chosen, thorough, hazards), as_json, quiet)
        from guard.bulk.run import Engine

        return _shards.judge_many(
            jsonl,
            out or Path(),
            chosen,
            engine=Engine(engine == "ray", address, workers, gpus or 0.0),
            thorough=thorough,
            hazards=hazards,
            lines=also_jsonl,
            skip_bad=skip_bad,
            json=as_json,
            quiet=quiet,
        )
    if out is not None or skip_bad or also_jsonl or engine != "local":
        raise click.UsageError("--out, --also-jsonl, --skip-bad and --engine go with --jsonl")
    exchange = _exchange(text, file, response, messages)
    with _options.open_gate(chosen, thorough=thorough) as gate:
        _known(hazards, gate)
        verdict = gate.judge(exchange)
        if as_json:
            from server.cli.gate._projection import as_dict, dump, in_system

            told = as_dict(verdict)
            if hazards is not None:
                told["hazards"] = in_system(verdict, gate.constitution, hazards)
            click.echo(dump(told, indent=2))
        else:
            from server.cli.gate._page import show

            show(gate, exchange, verdict, language=lang, hazards=hazards)
    return int(bool(verdict.findings) or verdict.action != "allow")


def _bulk(name: str, out: Path | None, skip_bad: bool, options: Any, as_json: bool, quiet: bool) -> int:
    from server.cli.gate._bulk import Exchanges, judge_file, summary
    from server.cli.gate._bulk import as_json as summed
    from server.cli.gate._projection import dump

    lines = Exchanges(name, skip_bad=skip_bad)
    chosen, thorough, hazards = options
    with _options.open_gate(chosen, thorough=thorough) as gate:
        _known(hazards, gate)
        bulk = judge_file(gate, lines, out, hazards=hazards, quiet=quiet)
    # Where the verdicts go to standard output, the summary must not stand among them.
    click.echo(dump(summed(bulk)) if as_json else "\n".join(summary(bulk)), err=out is None)
    return int(bulk.actions.total() > bulk.actions["allow"] or bulk.found > 0)


def _known(hazards: str | None, gate: Gate) -> None:
    from rules.hazards import known_system

    if hazards is not None:
        known_system(hazards, gate.constitution)


def _exchange(text: str | None, file: Path | None, response: str | None, messages: Path | None) -> Exchange:
    """What the options name.

    Raises:
        WardlawError: a file cannot be read as text, or holds no conversation.
    """
    from guard.exchange import Exchange

    if messages is not None:
        return Exchange.of(conversation(messages), response)
    if file is not None:
        text = _decoded(_read(file), str(file))
    elif text == "-":
        text = _decoded(sys.stdin.buffer.read(), "standard input")
    return Exchange.of(text or "", response)


def conversation(path: Path) -> Any:
    """The messages of a JSON file: a list, or an object with one under `messages`."""
    import json

    from guard.training.sets import as_messages

    try:
        found = json.loads(_decoded(_read(path), str(path)))
    except (json.JSONDecodeError, RecursionError) as error:
        raise WardlawError(f"`{path}` is not JSON: {error}", 'write [{"role": "user", "content": "..."}]') from error
    return as_messages(found.get("messages") if isinstance(found, dict) else found, str(path))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise WardlawError(f"`{path}` cannot be read: {error.strerror or error}", "name a text file") from error


def _decoded(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        what = f"`{name}` is not UTF-8 text (byte {data[error.start]:#04x} at offset {error.start:,})"
        raise WardlawError(
            what, "the gate judges text: convert the file with iconv, or take the text out of it"
        ) from error
