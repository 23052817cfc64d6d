"""docs/first-rule.md, followed word for word: its files are written, its commands run, and they print what it shows.

Only the port is another one. Comments that readers do not see say what a block is: `<!-- file: NAME -->` its content,
`<!-- file: NAME, which is OLD with this after: WORDS -->` a line more, `<!-- keep running -->` a command that stays.
In what is shown, `…` is anything; ids and digests may differ.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.ports import unused
from tests.server.serving import clean_environment

pytestmark = pytest.mark.timeout(600)
"""A model answers here, and where the machine is busy it takes its time."""
PAGE = Path(__file__).resolve().parents[1] / "docs" / "first-rule.md"
PIECE = re.compile(r"(?:^<!-- (?P<scene>.*?) -->\n)?^```(?P<kind>\w+)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
PORT = "8080"
PATIENCE_S = 120.0
MOST_COMMANDS = 8


@dataclass
class Step:
    """One thing that the page tells its reader to do."""

    kind: str
    """`sh` or `yaml`."""
    scene: str
    code: str
    shown: str = ""
    printed: str = ""
    status: int | None = None


def read(page: str) -> list[Step]:
    """The page's steps, in order."""
    steps: list[Step] = []
    for piece in PIECE.finditer(page):
        if piece["kind"] == "text":
            steps[-1].shown = piece["code"]
        else:
            steps.append(Step(piece["kind"], piece["scene"] or "", piece["code"]))
    return steps


def shows(shown: str, printed: str) -> bool:
    """Whether something printed is what the page shows."""
    pattern = re.escape("\n".join(line.rstrip() for line in shown.strip().split("\n")))
    pattern = re.sub(r"\\?[0-9a-f]{16}", "[0-9a-f]{16}", pattern).replace("…", ".*?")
    return (
        re.fullmatch(pattern + r"\s*(?!.)", re.sub(r"[ \r]+$", "", printed, flags=re.MULTILINE), re.DOTALL) is not None
    )


class Reader:
    """Someone who follows the page in an empty folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: list[subprocess.Popen[bytes]] = []
        self.port = str(unused())
        path = f"{Path(sys.executable).parent}:{clean_environment()['PATH']}"
        self.environment = {**clean_environment(), "PATH": path, "NO_PROXY": "127.0.0.1", "WARDLAW_PORT": self.port}

    def follow(self, step: Step) -> None:
        if step.kind == "yaml":
            self.write(step)
        elif step.scene == "keep running":
            self.start(step)
        else:
            code = step.code.replace(f":{PORT}", f":{self.port}")
            ran = subprocess.run(
                ["bash", "-c", code],
                cwd=self.folder,
                env=self.environment,
                capture_output=True,
                text=True,
                timeout=PATIENCE_S,
            )
            step.printed, step.status = ran.stdout.replace(f":{self.port}", f":{PORT}"), ran.returncode

    def write(self, step: Step) -> None:
        name, _, change = step.scene.removeprefix("file: ").partition(", which is ")
        text = step.code
        if change:
            old, _, after = change.partition(" with this after: ")
            before = (self.folder / old).read_text(encoding="utf-8")
            assert before.count(after + "\n") == 1
            text = before.replace(after + "\n", f"{after}\n{step.code}")
        (self.folder / name).write_text(text, encoding="utf-8")

    def start(self, step: Step) -> None:
        out = self.folder.parent / "served"
        with out.open("wb") as file:
            # one core: on a busy machine the model's threads would wait for each other at every step
            core = f"taskset -c {min(os.sched_getaffinity(0))}" if hasattr(os, "sched_getaffinity") else ""
            command = ["bash", "-c", f"exec {core} {step.code}"]
            self.running.append(
                subprocess.Popen(command, cwd=self.folder, env=self.environment, stdout=file, stderr=file)
            )
        end = time.monotonic() + PATIENCE_S
        while "listens on" not in out.read_text() and self.running[-1].poll() is None and time.monotonic() < end:
            time.sleep(0.05)
        said = [line for line in out.read_text().splitlines(keepends=True) if "listens on" in line]
        step.printed, step.status = "".join(said).replace(f":{self.port}", f":{PORT}"), self.running[-1].poll() or 0

    def leave(self) -> None:
        for process in self.running:
            process.terminate()
            process.wait(PATIENCE_S)


STEPS = read(PAGE.read_text(encoding="utf-8"))
COMMANDS = [place for place, step in enumerate(STEPS) if step.kind == "sh"]


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Step]]:
    folder = tmp_path_factory.mktemp("first") / "bakery"
    folder.mkdir()
    reader = Reader(folder)
    steps = read(PAGE.read_text(encoding="utf-8"))
    try:
        for step in steps:
            reader.follow(step)
    finally:
        reader.leave()
    yield steps


@pytest.mark.parametrize("place", COMMANDS, ids=lambda place: " ".join(STEPS[place].code.split()[:3]))
def test_a_command_prints_what_the_page_shows(followed: list[Step], place: int) -> None:
    step = followed[place]
    assert step.status == 0, step.printed
    assert step.shown
    assert shows(step.shown, step.printed), step.printed


def test_it_takes_at_most_eight_commands_and_no_line_is_two() -> None:
    assert len(COMMANDS) <= MOST_COMMANDS
    assert all(len(STEPS[place].code.strip().splitlines()) == 1 for place in COMMANDS)
    assert all(not re.search(r"&&|\||;", re.sub(r"'.*?'|\".*?\"", "", STEPS[place].code)) for place in COMMANDS)


def test_what_differs_from_what_is_shown_is_seen() -> None:
    assert shows("a …\nx 0123456789abcdef\n", "a b\nc\nx fedcba9876543210\n")
    assert not shows("a …\nx\n", "a b\ny\n")
    assert not shows("one\n", "one\ntwo\n")
