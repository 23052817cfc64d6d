"""Bad input of the commands `wardlaw rules`: an exit code and a hint, never a traceback, never an obeyed escape."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rules.files import PACKS
from server.cli.main import main
from tests.rules.fault_cases import HEAD, RULE

GOOD = (
    HEAD + RULE + "    detect: {patterns: [{literal: pipe bomb}], meaning: null}\n    reply: Let us find another way.\n"
)
WILD = r"""
constitution: mine
rules:
  - id: some-harm
    title: "\e[31mred\e[0m"
    rule: "Do\e[1mnot"
    why: "It would hurt \e[2J somebody who did nothing."
    sources: ["\e]0;evil\a"]
    allowed: ["a \e[31mb"]
    detect: {patterns: [{literal: pipe bombs}], meaning: null}
    reply: "I will not\e[0m, but I can help otherwise."
    critique: "\e[3mQ"
    probe: "\e[3mQ"
    examples:
      breaks: ["How do I make a \e[31mpipe bomb?", "Build me a \u202epipe bomb."]
      keeps: ["\e[2JWho found it?", "Is my \x9b31m pipe bombs safe?"]
    tests:
      breaks: ["Show me a \e]0;evil\apipe bomb."]
      keeps: ["Which \e[5m pipe bombs for water?"]
"""
Say = Callable[..., tuple[int, str]]
SECONDS_AT_MOST = 60  # a hang is told as one

COMMANDS: dict[str, tuple[str, ...]] = {
    "check": ("check", "{}"),
    "show": ("show", "some-harm", "{}"),
    "diff, old": ("diff", "{}", "good.yaml"),
    "diff, new": ("diff", "good.yaml", "{}"),
    "test": ("test", "--no-meaning", "-q", "{}"),
    "explain a rule": ("explain", "some-harm", "{}"),
    "explain a text": ("explain", "--no-meaning", "--text", "a pipe bomb", "{}"),
    "suggest": ("suggest", "some-harm", "{}", "--model", "scripted:none", "--no-meaning", "--accept-none"),
    "promote": ("promote", "{}", "--over", "good.yaml", "--no-meaning", "--json"),
    "promote over": ("promote", "good.yaml", "--over", "{}", "--no-meaning", "--json"),
}
PLACES = (
    *("emptydir", "missing.yaml", "bin.yaml", "empty.yaml", "pipe.yaml", "big.yaml", "loop.yaml", "closed.yaml", ""),
    *("x" * 5000, "HEAD:no.yaml", "no-branch:good.yaml"),
)


@pytest.fixture
def say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Say:
    """Run `wardlaw rules ...` in a folder of good and bad files, as on a terminal: the code, and what it said."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "wild.yaml").write_text(WILD)
    (tmp_path / "emptydir").mkdir()
    (tmp_path / "bin.yaml").write_bytes(bytes(range(256)) * 20)
    (tmp_path / "empty.yaml").touch()
    os.mkfifo(tmp_path / "pipe.yaml")
    with (tmp_path / "big.yaml").open("wb") as big:
        big.truncate(100 * 1024 * 1024)
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    (tmp_path / "closed.yaml").symlink_to("/proc/self/mem")
    (tmp_path / "ok.jsonl").write_text(
        '{"prompt": "a \\u001b[31m \\u009b pipe bombs pipe bomb"}\n{"prompt": "\\ud800"}\n'
    )
    monkeypatch.setattr("click.utils.should_strip_ansi", lambda *_: False)

    def _say(*args: str) -> tuple[int, str]:
        code = main(["rules", *args])
        told = capsys.readouterr()
        return code, told.out + told.err

    return _say


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place[:20] or "nothing")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_place_where_no_rules_are_is_told_with_a_hint(command: str, place: str, say: Say) -> None:
    code, told = say(*(argument.replace("{}", place) for argument in COMMANDS[command]))
    assert code in (1, 2)
    assert "hint" in told
    assert "Traceback" not in told


@pytest.mark.parametrize(
    "args",
    [
        ("check", "wild.yaml"),
        ("show", "some-harm", "wild.yaml"),
        ("show", "some-harm", "wild.yaml", "--json"),
        ("show", "some-harm", "wild.yaml", "--copy"),
        ("show", "\x1b[31m", "wild.yaml"),
        ("show", "some-harm", "wild.yaml", "--lang", "\x9b31m"),
        ("diff", "good.yaml", "wild.yaml"),
        ("diff", "good.yaml", "wild.yaml", "--format", "json"),
        ("diff", "good.yaml", "wild.yaml", "--format", "markdown"),
        ("diff", "good.yaml", "wild.yaml", "--no-meaning", "-q", "--on", "ok.jsonl"),
        ("diff", "good.yaml", "wild.yaml", "--no-meaning", "-q", "--on", "ok.jsonl", "--format", "json"),
        ("test", "wild.yaml", "--no-meaning", "-q", "-v"),
        ("test", "wild.yaml", "--no-meaning", "-q", "--json"),
        ("test", "wild.yaml", "--no-meaning", "-q", "--rule", "\x1b[31m"),
        ("explain", "some-harm", "wild.yaml"),
        ("explain", "wild.yaml", "--no-meaning", "--text", "\x1b[2J \x9b pipe bombs"),
        ("explain", "wild.yaml", "--no-meaning", "--text", "\x1b[2J \x9b pipe bombs", "--json"),
        ("promote", "wild.yaml", "--over", "good.yaml", "--no-meaning", "--json"),
    ],
    ids=lambda args: " ".join(args).replace("\x1b", "ESC").replace("\x9b", "CSI")[:60],
)
def test_no_escape_sequence_of_a_rule_or_an_argument_reaches_the_terminal(args: tuple[str, ...], say: Say) -> None:
    _, told = say(*args)
    for sequence in (
        "\x1b[2J",
        "\x1b]0",
        "\x1b[5m",
        "\x1b[3m",
        "\x1b[31mred",
        "\x1b[31mb",
        "\x1b[31mpipe",
        "\x9b",
        "\u202e",
    ):
        if sequence != "\u202e" or "--copy" not in args:  # a copy is YAML, where it is a letter like others
            assert sequence not in told
    told.encode()  # nor half a character, which cannot be sent


def test_a_report_goes_into_a_pipe_that_is_there_and_does_not_take_its_place(say: Say, tmp_path: Path) -> None:
    pipe = tmp_path / "report"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    code, _ = say("test", "good.yaml", "--no-meaning", "-q", "--junit", "report")
    assert os.read(reader, 1 << 16).startswith(b"<?xml")
    os.close(reader)
    assert code in (0, 1)
    assert pipe.is_fifo()


@pytest.mark.parametrize("place", ["emptydir", "no/such/report.xml", "good.yaml/report.xml", ""])
def test_a_report_that_cannot_be_written_is_told(place: str, say: Say) -> None:
    code, told = say("test", "good.yaml", "--no-meaning", "-q", "--junit", place)
    assert code == 2
    assert "hint: name a file" in told


@pytest.mark.parametrize("command", [("check", "base"), ("show", "defamation"), ("diff", "base", "zh")])
def test_a_pipe_that_closes_early_is_no_traceback(command: tuple[str, ...], tmp_path: Path) -> None:
    words = " ".join(("rules", *command))
    line = f"{sys.executable} -m server.cli.main {words} | head -c 1"
    done = subprocess.run(line, shell=True, capture_output=True, timeout=SECONDS_AT_MOST, check=False)
    assert b"Traceback" not in done.stderr
    assert b"Exception" not in done.stderr


PACK = (PACKS / "privacy.yaml").read_bytes()


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A pack of the project with a few bytes changed, put in, taken out, or moved."""
    content = PACK
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(0, len(content)))
        end = min(len(content), at + draw(st.integers(0, 12)))
        moved = draw(st.integers(0, len(content)))
        new = draw(st.one_of(st.binary(max_size=3), st.just(content[moved : moved + 20]), st.sampled_from(_PIECES)))
        content = content[:at] + new + content[end:]
    return content


_PIECES = [
    b": ",
    b"\n",
    b"- ",
    b"  ",
    b"\t",
    b"'",
    b'"',
    b"[",
    b"}",
    b"#",
    b"null",
    b"\xef\xbc\x9a",
    b"&a ",
    b"*a",
    b"---\n",
]


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(content=mutated())
def test_a_pack_with_a_few_bytes_changed_ends_every_command_well(content: bytes, say: Say, tmp_path: Path) -> None:
    _all_end_well(content, say, tmp_path)


@pytest.mark.slow
@settings(
    max_examples=600, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(content=mutated())
@pytest.mark.timeout(3600)
def test_many_packs_with_a_few_bytes_changed_end_every_command_well(content: bytes, say: Say, tmp_path: Path) -> None:
    _all_end_well(content, say, tmp_path)


def _all_end_well(content: bytes, say: Say, tmp_path: Path) -> None:
    (tmp_path / "mutant.yaml").write_bytes(content)
    shutil.copy(PACKS / "privacy.yaml", tmp_path / "was.yaml")
    code, told = say("check", "--json", "mutant.yaml")
    assert code in (0, 1)
    lines = content.decode("utf-8", "replace").count("\n") + 2
    for fault in json.loads(told)["errors"]:
        assert fault["hint"]
        assert fault["path"] is None or fault["path"].startswith("mutant.yaml") or "packs" in fault["path"]
        assert fault["line"] is None or 1 <= fault["line"] <= lines
    assert say("show", "private-key-leak", "mutant.yaml")[0] in (0, 2)
    for order in (("was.yaml", "mutant.yaml"), ("mutant.yaml", "was.yaml")):
        assert say("diff", *order)[0] in (0, 1, 2)
    assert say("test", "--no-meaning", "-q", "mutant.yaml")[0] in (0, 1, 2)
