"""`wardlaw init`: a starter constitution with comments that teach."""

from __future__ import annotations

from pathlib import Path

import click

from rules.errors import WardlawError
from rules.words import listed, quoted

_STARTER = Path(__file__).parent / "_starter"
_SCHEMA = "rule_file.schema.json"


@click.command("init", short_help="write a starter constitution")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
def command(folder: Path) -> None:
    """Write a starter constitution to DIR: rules.yaml, prompts.txt, and the schema for your editor.

    Nothing that is there is overwritten.
    """
    files = {path.name: path.read_text(encoding="utf-8") for path in sorted(_STARTER.iterdir()) if path.is_file()}
    files[_SCHEMA] = _schema()
    there = [str(folder / name) for name in files if (folder / name).exists()]
    if there:
        raise WardlawError(
            f"{listed(there)} {'exists' if len(there) == 1 else 'exist'} already",
            f"choose another folder, or move {'it' if len(there) == 1 else 'them'} away: nothing is written",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            # `x` refuses a file that came up in the meantime
            with (folder / name).open("x", encoding="utf-8", newline="\n") as file:
                file.write(text)
    except OSError as error:
        raise WardlawError(f"cannot write to {quoted(folder)}: {error.strerror}", "choose another folder") from error
    rules, prompts = folder / "rules.yaml", folder / "prompts.txt"
    click.echo(f"wrote {listed(str(folder / name) for name in files)}\n")
    click.echo("read rules.yaml (five minutes), then:")
    click.echo(f"  wardlaw rules check {rules}")
    click.echo(f"  wardlaw rules test --rule competitor-disparagement {rules}")
    click.echo(f"  wardlaw rules show competitor-disparagement {rules}")
    click.echo(f"  wardlaw generate {prompts} --rules {rules} --model embedded --out {folder / 'out'}")


def _schema() -> str:
    import json

    from rules.json_schema import rule_file_schema

    return json.dumps(rule_file_schema(), indent=2, ensure_ascii=False) + "\n"
