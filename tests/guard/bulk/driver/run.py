"""Judges files as the command does, with the watched gate: `run.py LOGS OUT ADDRESS SLOW_S FILE...`.

A script, since Ray lets workers import what lies beside a driver's script.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from watched import builder

from guard.bulk.run import Engine, judge_files
from rules.schema import Constitution

RULE = {
    "id": "weapon-help",
    "title": "Weapons",
    "rule": "Do not give instructions that make it easier to build a weapon.",
    "why": "A working recipe reaches everyone who asks.",
}


def main() -> None:
    logs, out, address, slow_s, *files = sys.argv[1:]
    constitution = Constitution.model_validate({"name": "small", "title": "Small", "rules": [RULE]})
    build = builder(constitution, Path(logs), float(slow_s))
    engine = Engine() if address == "local" else Engine(ray=True, address=address, workers=2)
    with build(None) as gate:
        outcome = judge_files(files, Path(out), gate, build, engine=engine)
    tally = outcome.tally
    told = {"rows": tally.rows, "found": tally.found, "aside": tally.first_aside, "kept": outcome.kept}
    print(json.dumps({**told, "units": outcome.units}))


main()
