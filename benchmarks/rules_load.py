"""How long many rule files take to load, and how much memory: `benchmarks/rules_load.py [--files 200] [--rules 50]`.

Every size is a process of its own, after one that loads the pack `base` alone; what takes the time is told apart.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import subprocess
import sys
import tempfile
from pathlib import Path

WORDS = "a household question about lamps ladders ovens and small children who sleep nearby when nobody looks".split()
CHILD = """
import json, resource, sys, time
started = time.perf_counter()
from rules.load import load
imported = time.perf_counter()
loaded = load(*sys.argv[1:])
read = time.perf_counter()
from rules.check import check
issues = check(loaded)
checked = time.perf_counter()
try:  # what getrusage tells begins with the size of the process that began this one
    status = open("/proc/self/status").read()
    peak = int(status.partition("VmHWM:")[2].split()[0])
except OSError:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"rules": len(loaded.constitution), "load": read - imported, "check": checked - read, "peak": peak}))
"""


def write(folder: Path, files: int, rules: int) -> int:
    """Rule files that look like people's, with three examples a side and a test; returns their bytes."""
    rng = random.Random(7)

    def said(words: int) -> str:
        return " ".join(rng.choice(WORDS) for _ in range(words))

    size = 0
    for file in range(files):
        text = [f"constitution: part-{file:03d}\nrules:\n"]
        for number in range(rules):
            name = f"{file} {number}"
            text.append(f"""  - id: harm-{file:03d}-{number:03d}
    title: {{en: {said(4)}, zh: 危害 {name}}}
    rule: >-
      Do not {said(18)}.
    why: It hurts {said(8)}.
    severity: high
    allowed: [{said(9)}, {said(9)}]
    detect:
      patterns: [{{literal: {said(2)} {name}}}]
      meaning: {{threshold: auto}}
    on: {{prompt: revise, response: block}}
    critique: {said(15)}
    revision: {said(15)}
    reply: {said(12)}
    examples:
      breaks: [{", ".join(f"{said(10)} {name} {letter}" for letter in "abc")}]
      keeps: [{", ".join(f"{said(10)} {name} {letter}" for letter in "def")}]
    tests: {{breaks: [{said(8)} {name} g], keeps: [{said(8)} {name} h]}}
""")
        path = folder / f"part-{file:03d}.yaml"
        path.write_text("".join(text), encoding="utf-8")
        size += path.stat().st_size
    return size


def measured(source: str) -> dict[str, float]:
    """One load in a process of its own."""
    done = subprocess.run([sys.executable, "-c", CHILD, source], capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--rules", type=int, default=50, help="a file")
    parser.add_argument("--rounds", type=int, default=3, help="the best of so many is shown")
    given = parser.parse_args()
    print(f"Python {platform.python_version()}, {platform.machine()}; best of {given.rounds} rounds each")
    print(f"{'':24}{'rules':>8}{'MiB of YAML':>13}{'load s':>9}{'check s':>9}{'peak MiB':>10}{'us a rule':>11}")
    with tempfile.TemporaryDirectory() as scratch:
        size = write(Path(scratch), given.files, given.rules)
        base = (Path(__file__).parents[1] / "rules" / "packs" / "base.yaml").stat().st_size
        for name, source, many in (("pack base", "base", base), (f"{given.files} files", scratch, size)):
            rounds = [measured(source) for _ in range(given.rounds)]
            load, check = (min(each[part] for each in rounds) for part in ("load", "check"))
            rules, peak = rounds[0]["rules"], max(each["peak"] for each in rounds) / 1024
            row = f"{name:24}{rules:8,.0f}{many / 2**20:13.1f}{load:9.2f}{check:9.2f}{peak:10.0f}"
            print(f"{row}{1e6 * load / rules:11.0f}")


if __name__ == "__main__":
    main()
