"""Write the generated files anew, or check that they are current: `python -m server.generated --write | --check`."""

from __future__ import annotations

import importlib
import os
import pkgutil
import sys
from collections.abc import Iterator
from pathlib import Path

import click

import server.generators

ROOT = Path(__file__).resolve().parents[1]
MEND = "python -m server.generated --write"


def rendered(root: Path) -> Iterator[tuple[Path, str]]:
    """Each generated file with the text that it ought to have; generators are found by their folder."""
    for info in sorted(pkgutil.iter_modules(server.generators.__path__), key=lambda info: info.name):
        module = importlib.import_module(f"server.generators.{info.name}")
        text = module.render(root)
        if text is not None:
            yield root / module.TARGET, text


def stale(root: Path) -> list[Path]:
    """The generated files that are not as they ought to be."""
    return [path for path, text in rendered(root) if not path.is_file() or path.read_text(encoding="utf-8") != text]


def write(root: Path) -> list[Path]:
    """Write what is stale, whole or not at all, and say what was written."""
    written = []
    for path, text in rendered(root):
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.{os.getpid()}")
        part.write_text(text, encoding="utf-8", newline="\n")
        part.replace(path)
        written.append(path)
    return written


@click.command()
@click.option("--write", "writing", is_flag=True, help="Write the files anew.")
@click.option("--check", "checking", is_flag=True, help="Say which file is not current; exit code 1 if one is.")
def main(writing: bool, checking: bool) -> None:
    """Write the generated files of the repository anew, or check that they are current."""
    if writing == checking:
        raise click.UsageError("say --write or --check")
    if not (ROOT / "pyproject.toml").is_file():
        raise click.UsageError("this is no checkout of the repository: there is nothing to generate")
    found = write(ROOT) if writing else stale(ROOT)
    for path in found:
        click.echo(f"{'wrote' if writing else 'stale'} {path.relative_to(ROOT)}")
    if found and checking:
        click.echo(f"mend it with `{MEND}`", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
