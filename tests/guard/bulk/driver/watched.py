"""A gate that writes down what it judges, is slow, and dies at some texts: made in the processes that a test begins."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from guard.detectors.base import Cover, Scan
from guard.exchange import Exchange
from guard.gate import Gate
from guard.verdict import Finding
from rules.schema import Constitution, Part, Rule


class Watched:
    """Finds `bad`, raises nothing, dies at `deadly`, and leaves a line a text it has begun."""

    name = "patterns"
    instant = True
    skips_clear = False

    def __init__(self, folder: Path, slow_s: float) -> None:
        self._folder = folder
        self._slow_s = slow_s
        self.identity = os.environ.get("WATCHED_IDENTITY", "watched/1")

    def covers(self, rule: Rule, part: Part) -> Cover:
        return Cover(by=self.name)

    def scan(self, exchanges: Sequence[Exchange]) -> list[Scan]:
        scans = []
        for exchange in exchanges:
            text = str(exchange.messages[-1].content)
            with (self._folder / f"{os.getpid()}.log").open("a") as log:
                log.write(text + "\n")
            time.sleep(self._slow_s)
            if "deadly" in text:
                os.kill(os.getpid(), signal.SIGKILL)
            found = [Finding("weapon-help", Part.PROMPT, (0, 3), self.name, 1.0, 0.5)] if "bad" in text else []
            scans.append(Scan(findings=tuple(found)))
        return scans

    def close(self) -> None:
        """Nothing to let go of."""


def build(constitution: Constitution, folder: Path, slow_s: float, threads: int | None) -> Gate:
    """The gate. It remembers nothing, so that its log has every text it is asked about."""
    return Gate(constitution, [Watched(folder, slow_s)], remember=0)


def builder(constitution: Constitution, folder: Path, slow_s: float) -> partial[Gate]:
    """What makes the gate in another process."""
    return partial(build, constitution, folder, slow_s)
