"""Write the generated files anew, or check that they are current: `python -m server.generated --write | --check`."""

from __future__ import annotations

import importlib
import os
import pkgutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

import server.generators

ROOT = Path(__file__).resolve().parents[1]
MEND = "python -m server.generated --write"


def rendered(root: Path) -> Iterator[tuple[Path, str]]:
    """Each generated file with the text that it ought to have; generators are found by their folder."""
    for info in sorted(pkgutil.iter_modules(server.generators.__path__), key=lambda info: info.name):
        module = importlib.import_module(f"server.generators.{info.name}")
        if hasattr(module, "FOLDER"):
            for name, text in module.pages(root).items():
                yield root / module.FOLDER / name, text
        elif (text := module.render(root)) is not None:
            yield root / module.TARGET, text


def left_over(root: Path, ours: Iterable[Path]) -> list[Path]:
    """Pages in folders that hold nothing but generated ones, and that nothing generates any more."""
    names = [f"server.generators.{info.name}" for info in pkgutil.iter_modules(server.generators.__path__)]
    folders = [getattr(importlib.import_module(name), "FOLDER", None) for name in names]
    there = {path for folder in folders if folder for path in (root / folder).rglob("*.md")}
    return sorted(there - set(ours))


def stale(root: Path) -> list[Path]:
    """The generated files that are not as they ought to be, and those that ought not to be."""
    ought = dict(rendered(root))
    differ = [path for path, text in ought.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
    return differ + left_over(root, ought)


def write(root: Path) -> list[Path]:
    """Write what is stale, whole or not at all, take away what is left over, and say what was touched."""
    written = []
    ought = dict(rendered(root))
    for path, text in ought.items():
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.{os.getpid()}")
        part.write_text(text, encoding="utf-8", newline="\n")
        part.replace(path)
        written.append(path)
    for path in left_over(root, ought):
        path.unlink()
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
