"""Finding and reading rule files: by path, by folder, by the name of a pack, and what a file extends."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rules.errors import Location, RuleError
from rules.words import did_you_mean, nearest, quoted

MAX_BYTES = 1024 * 1024
PACKS = Path(__file__).parent / "packs"
_SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Source:
    """A rule file that is to be read."""

    real: Path
    """Absolute, links followed: a file is read once, whatever it is called."""
    shown: str
    """What errors call it: as the user wrote it, or from the current folder."""
    folder: Path
    """The folder that what it extends has to stay in."""


def packs() -> list[str]:
    """Names of the packs that ship with the project: the files of its folder."""
    return sorted(path.stem for path in PACKS.glob("*.yaml"))


def pack_of(path: str) -> str | None:
    """Name of the pack that a rule file is, by the path that a `Location` has; None for anything else."""
    real = Path(path).resolve()
    return real.stem if real.parent == PACKS.resolve() and real.stem in packs() else None


def find(sources: Sequence[str | os.PathLike[str]], faults: list[RuleError]) -> list[Source]:
    """The files that the arguments of `load` stand for; what stands for nothing goes to `faults`."""
    found: list[Source] = []
    if not sources:
        faults.append(RuleError(None, "no rule file is named", "name a file, a folder or a pack, as `base`"))
    for given in sources:
        name = os.fspath(given)
        if isinstance(given, str) and name in packs():
            found.append(_pack(name))
        elif "\0" not in name and os.path.isdir(name):  # noqa: PTH112  # Path would raise on a name that is too long
            folder = Path(name)
            files = sorted(path for path in folder.iterdir() if path.suffix in _SUFFIXES and path.is_file())
            if not files:
                faults.append(RuleError(None, f"the folder {quoted(name)} holds no *.yaml file", "name a rule file"))
            found += [Source(path.resolve(), str(path), folder.resolve()) for path in files]
        elif "\0" not in name and os.path.exists(name):  # noqa: PTH110
            path = Path(name)
            found.append(Source(path.resolve(), name, path.resolve().parent))
        else:
            faults.append(RuleError(None, f"no rule file or pack {quoted(name)}", _hint_for_missing(name)))
    return found


def _hint_for_missing(name: str) -> str:
    near = nearest(name, packs())
    if near:
        return f"did you mean the pack `{near}`?"
    return f"see that the path is right; the packs are {', '.join(packs()) or 'none'}"


def _pack(name: str) -> Source:
    real = (PACKS / f"{name}.yaml").resolve()
    here = Path.cwd()
    shown = str(real.relative_to(here)) if real.is_relative_to(here) else str(real)
    return Source(real, shown, PACKS.resolve())


def find_extended(
    name: str, where: Location, by: Source, chain: Iterable[Source], faults: list[RuleError]
) -> Source | None:
    """The file that an item of `extends` stands for; None, and a fault at `where`, if it may not be read.

    Args:
        name: the item.
        where: its place.
        by: the file that it stands in.
        chain: the files that lead there, the outermost first.
        faults: what is wrong is put here.
    """
    is_path = "/" in name or "\\" in name or name.endswith(_SUFFIXES)
    if not is_path and name not in packs():
        beside = [f"./{name}{suffix}" for suffix in _SUFFIXES if (by.real.parent / f"{name}{suffix}").is_file()]
        if re.search("[,，、;]", name):
            hint = "put several into brackets, as `[base, ./company.yaml]`"
            faults.append(RuleError(where, f"no pack {quoted(name)}", hint))
            return None
        hint = f"for the file beside this one write `{beside[0]}`" if beside and re.fullmatch(r"[\w.-]+", name) else ""
        faults.append(RuleError(where, f"no pack {quoted(name)}", hint or did_you_mean(name, packs())))
        return None
    if not is_path:
        found = _pack(name)
    else:
        try:
            real = (by.real.parent / name).resolve()
        except (OSError, ValueError, RuntimeError):  # too long, a NUL, links in a circle
            faults.append(RuleError(where, f"no file {quoted(name)}", "write a path from the folder of this file"))
            return None
        # links are followed first: one that leads out of the folder is as far out as `..`
        if not real.is_relative_to(by.folder):
            hint = "a rule file reads only what lies in the folder of the first one: move the file there"
            faults.append(RuleError(where, f"{quoted(name)} lies outside the rule folder", hint))
            return None
        if not real.is_file():
            faults.append(RuleError(where, f"no file {quoted(name)}", "write a path from the folder of this file"))
            return None
        found = Source(real, os.path.normpath(Path(by.shown).parent / name), by.folder)
    circle = [source for source in chain if source.real == found.real]
    if circle:
        names = [source.real.name for source in chain]
        way = " -> ".join([*names[names.index(found.real.name) :], found.real.name])
        faults.append(RuleError(where, f"`extends` goes in a circle: {way}", "delete one of these `extends`"))
        return None
    return found


def read(source: Source, faults: list[RuleError]) -> str | None:
    """The text of a file; None, and a fault, if it has none that can be used."""
    top = Location(source.shown)
    try:
        if not source.real.is_file():  # a pipe would never end
            faults.append(RuleError(top, "not a regular file", "name a rule file"))
            return None
        with source.real.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        faults.append(RuleError(top, f"cannot be read: {error.strerror or error}", "see who may read it"))
        return None
    if len(content) > MAX_BYTES:
        faults.append(RuleError(top, "larger than 1 MiB", "split it, and join the parts with `extends`"))
        return None
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line = before.count(b"\n") + 1
        column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
        kind = "it is UTF-16: " if content[:2] in (b"\xff\xfe", b"\xfe\xff") else ""
        what = f"not UTF-8: the byte 0x{content[error.start]:02X} begins no character"
        faults.append(RuleError(Location(source.shown, line, column), what, f"{kind}save the file as UTF-8"))
        return None
