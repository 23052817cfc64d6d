"""The shipped heads of all packs but `base`, taught onto those of `base`: `python -m guard.training.packs --help`."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from guard.trained.heads import SHIPPED, Heads
from guard.training.onto import train_onto, unknown
from guard.training.recipe import RECIPES, Recipe
from guard.training.settings import Training
from rules.errors import WardlawError
from rules.files import packs
from rules.load import load
from rules.schema import Constitution

_FIRST = "base"


def teach_packs(
    data: Sequence[Path], check: Sequence[Path], heads: Heads, out: Path, told: Callable[[str], None]
) -> Heads:
    """Heads for the rules of every pack that has some of its own, each pack's beside those given.

    Args:
        data: folders with the recipe's harmless sources.
        check: what will be measured on: nothing near one of its prompts is taught.
        heads: of `base`; what stands beside them is made anew.
        out: folder; written when all packs are done.
        told: called with lines of progress.

    Raises:
        WardlawError: as `train_onto`.
    """
    recipe = Recipe.load(RECIPES / "packs.yaml")
    found = replace(heads, also=())
    with tempfile.TemporaryDirectory() as scratch:
        for pack in packs():
            constitution = _own(pack)
            if pack == _FIRST or not unknown(constitution, found):
                continue
            told(f"pack {pack}")
            found = train_onto(Training(constitution, data, check, recipe), found, Path(scratch) / pack, told)
        found.save(out)
    return Heads.load(out)


def _own(pack: str) -> Constitution:
    """The rules that a pack defines itself, so that each head lies with its own pack whichever others take the rule."""
    loaded = load(pack)
    own = tuple(rule for rule in loaded.constitution if Path(loaded.locate(rule.id).path).stem == pack)
    return Constitution(name=pack, title=loaded.constitution.title, rules=own)


def main() -> int:
    """Teach them from the command line; the heads of `base` are those that ship, unless others are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, action="append", required=True, help="folder with the harmless sources")
    parser.add_argument("--check", type=Path, action="append", default=[], help="what will be measured on")
    parser.add_argument("--heads", type=Path, default=SHIPPED / _FIRST, help="those of `base`")
    parser.add_argument("--out", type=Path, required=True, help="a folder that is not there yet")
    given = parser.parse_args()
    if given.out.exists():
        parser.error(f"`{given.out}` is there already")
    try:
        teach_packs(
            given.data,
            given.check,
            Heads.load(given.heads),
            given.out,
            lambda line: print(line, file=sys.stderr, flush=True),  # noqa: T201
        )
    except WardlawError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
