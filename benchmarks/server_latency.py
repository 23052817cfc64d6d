"""What the server adds to a call: latency, throughput, streams, memory and start, beside its peers in one run.

    python benchmarks/server_latency.py [--floor PYTHON] [--litellm PYTHON] [--nemo PYTHON] [--quick]

All servers stand in front of the same mock endpoint, are held to one core, and stand still (SIGSTOP) while another one
is measured; client and mock share the other core. A round measures every server once in every way, one after the other;
figures are medians over rounds, and ratios are taken within a round. A peer is named by the Python of its environment:

    python -m venv FLOOR   && FLOOR/bin/pip install 'uvicorn[standard]' fastapi aiohttp orjson
    python -m venv LITELLM && LITELLM/bin/pip install 'litellm[proxy]==1.106.2'
    python -m venv NEMO    && NEMO/bin/pip install 'nemoguardrails[server]==0.24.1'

Without `--floor` this environment's own FastAPI and aiohttp are the floor. No two prompts or replies are alike. Before
it is measured, each server is asked something that breaks a rule, and the first table says what came through.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks._bench import machine
from benchmarks._server_cells import CELLS, Cell, Taken, let_through, take
from benchmarks._server_pages import claims, pages
from benchmarks._server_process import Server, upstream
from benchmarks._server_setups import Setup, floor, litellm, nemo, ours, started


def setups(asked: argparse.Namespace) -> list[Setup]:
    """Who is measured, in the order of the tables."""
    found = [
        ours("ten patterns", "ten", "the ten patterns, both ways", gate__meaning="false"),
        ours("ten patterns, quiet", "ten", "no log line a decision", gate__meaning="false", log__decisions="false"),
        ours("ten patterns, database", "ten", "answers wait for it", gate__meaning="false", audit__write="database"),
        ours("base, patterns", "base", "all patterns of the pack `base`", gate__meaning="false"),
        ours("base, meaning", "base", "the pack `base`, all stages"),
        floor(asked.floor, patterns=False),
        floor(asked.floor, patterns=True),
    ]
    if asked.litellm:
        found += [litellm(asked.litellm, guard) for guard in ("no guard", "content filter", "own guard")]
    if asked.nemo:
        found.append(nemo(asked.nemo))
    return [setup for setup in found if not asked.only or setup.name in asked.only]


def measure(servers: Sequence[Server], mock: Server, cells: Sequence[Cell], rounds: int, seconds: float) -> Taken:
    """All rounds."""
    taken: Taken = {}
    for number in range(rounds):
        for cell in cells:
            for server in (mock, *servers):
                if server is not mock:
                    server.go_on()
                row = take(server, mock, cell, seconds, number)
                if server is not mock:
                    server.pause()
                taken.setdefault((server.name, cell.name), []).append(row)
                said = f"round {number + 1} of {rounds}, {cell.name}, {server.name}: {row['rate']:.0f}/s"
                print(said, file=sys.stderr, flush=True)
    return taken


def main() -> None:
    reader = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reader.add_argument("--floor", default=sys.executable, metavar="PYTHON", help="of FastAPI and aiohttp")
    reader.add_argument("--litellm", metavar="PYTHON")
    reader.add_argument("--nemo", metavar="PYTHON")
    reader.add_argument("--rounds", type=int, default=5)
    reader.add_argument("--seconds", type=float, default=3.0, help="each server is measured each way in a round")
    reader.add_argument("--only", nargs="*", metavar="NAME", help="of the servers, as in the tables")
    reader.add_argument("--cells", nargs="*", choices=[cell.name for cell in CELLS], metavar="CELL", help="%(choices)s")
    reader.add_argument("--server-core", type=int, default=1)
    reader.add_argument("--client-core", type=int, default=0)
    reader.add_argument("--quick", action="store_true", help="see that everything runs; the figures mean nothing")
    asked = reader.parse_args()
    if asked.quick:
        asked.rounds, asked.seconds = 1, 0.3
    free = os.cpu_count() or 1
    pinned = free > 1 and shutil.which("taskset") is not None
    if pinned:
        os.sched_setaffinity(0, {asked.client_core})
    cells = [cell for cell in CELLS if not asked.cells or cell.name in asked.cells]
    chosen = setups(asked)
    began = machine()
    with tempfile.TemporaryDirectory(prefix="wardlaw-bench-") as name:
        folder = Path(name)
        with upstream(folder, asked.client_core if pinned else None) as mock:
            core = asked.server_core if pinned else None
            with started(chosen, folder, f"http://127.0.0.1:{mock.port}/v1", core) as servers:
                through = {server.name: let_through(server, mock) for server in servers}
                taken = measure(servers, mock, cells, asked.rounds, asked.seconds)
    print(f"{began}; at the end {machine().partition('load ')[2]}")
    if not pinned:
        print("\nNot held to cores: there is one core, or no `taskset`.")
    print(f"\n{asked.rounds} rounds, {asked.seconds} s each.\n")
    print(pages(chosen, servers, through, taken, cells))
    print(claims(taken))


if __name__ == "__main__":
    main()
