"""Several experiments in one report: what other training rows, asked the same, came to.

    python benchmarks/training/beside.py small=OUT large=OUT --out DIR

Each OUT is a folder of run.py over the same questions, with the same base and judge. Arms are called by the name
before `=`, as `large sft`; `base` stands once. Beside the differences within an experiment, each arm is set against the
arm of the same recipe in the experiment before it.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

from options import ARMS
from report import PAIRS, report
from steps import digest, read_json_lines, write_json_lines

BASE = "base"


def main() -> None:
    """Read what stands on the command line, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiments", nargs="+", metavar="NAME=OUT")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    named = [each.partition("=") for each in given.experiments]
    put_together({name: Path(folder) for name, _, folder in named}, given.out)


def put_together(experiments: Mapping[str, Path], out: Path) -> None:
    """Write what all of them found into one folder, and its report.

    Raises:
        SystemExit: the experiments do not have the same base, asked the same.
    """
    models = [BASE]
    judged: dict[str, list[dict[str, object]]] = {"grades": [], "comparisons": []}
    bases = set()
    for name, folder in experiments.items():
        bases.add(digest({"answers": read_json_lines(folder / "answers" / f"{BASE}.jsonl")}))
        found = sorted((path.stem for path in (folder / "looked").glob("*.jsonl")), key=_place)
        called = {old: old if old == BASE else f"{name} {old}" for old in found}
        models += [new for new in called.values() if new != BASE]
        for kind in ("looked", "perplexity"):
            (out / kind).mkdir(parents=True, exist_ok=True)
            for old, new in called.items():
                if (folder / kind / f"{old}.jsonl").exists():
                    shutil.copyfile(folder / kind / f"{old}.jsonl", out / kind / f"{new}.jsonl")
        for kind, lines in judged.items():
            path = folder / "judge" / f"{kind}.jsonl"
            said = read_json_lines(path) if path.exists() else []
            lines += [{**line, "model": called[line["model"]]} for line in said if line["model"] in called]
    if len(bases) > 1:
        raise SystemExit("the answers of `base` differ between the experiments: run them with the same questions")
    first = next(iter(experiments.values()))
    for kind, lines in judged.items():
        write_json_lines(out / "judge" / f"{kind}.jsonl", lines)
    for kind in ("labels", "judge"):
        (out / kind).mkdir(exist_ok=True)
        for path in (first / kind).glob("*.jsonl"):
            if kind == "labels" or path.stem == "reliability":
                shutil.copyfile(path, out / kind / path.name)
    report(out, models, pairs=_pairs(list(experiments)))


def _place(model: str) -> tuple[int, str]:
    return ARMS.index(model.rpartition("-")[0] or model), model


def _pairs(names: list[str]) -> list[tuple[str, str]]:
    def called(name: str, arm: str) -> str:
        return arm if arm == BASE else f"{name} {arm}"

    within = [(called(name, one), called(name, other)) for name in names for one, other in PAIRS]
    between = [
        (f"{later} {arm}", f"{earlier} {arm}") for earlier, later in pairwise(names) for arm in ("sft", "sft+dpo")
    ]
    return within + between


if __name__ == "__main__":
    main()
