"""Texts that a candidate judges otherwise: shown where they were kept, and told how to keep them where not."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from guard.exchange import Message
from guard.flips import Outcome
from guard.guarding.incoming import Incoming
from rules.digest import constitution_digest
from rules.load import load
from rules.schema import Action
from server.audit.database import Database, database_url
from server.audit.shadow import Compared, Place, encode
from server.audit.writer import Writer
from server.cli.main import main
from tests.server.cli.audit.conftest import Kept
from tests.server.serving import RULES
from tests.server.shadow.conftest import CANDIDATE

TEXT = "where does the\n\x1b[31mgold lie?" + " tell me" * 40
SHOWN = "where does the \\x1b[31mgold lie? tell me"
HINT = "to keep texts from now on, set `audit: {content: full}`"


def flip(kept: Kept, content: Any, **given: Any) -> str:
    """Keep a decision whose prompt and answer a candidate judges otherwise; its id."""
    Path("rules.yaml").write_text(RULES)
    Path("candidate.yaml").write_text(CANDIDATE)
    base, candidate = (constitution_digest(load(name).constitution) for name in ("rules.yaml", "candidate.yaml"))
    decision = kept.add(content=content, prompt=Incoming((Message("user", TEXT),)), **given)
    quiet, blocked = Outcome(Action.ALLOW), Outcome(Action.BLOCK, {"gold-digging": 1.0})
    places = (
        Place("messages[0]", "prompt", quiet, blocked),
        Place("choices[0].text", "response", quiet, blocked),
    )
    compared = Compared(
        decision, time.time(), "default", base, candidate, "base", old=quiet, new=blocked, places=places
    )
    database = Database(database_url("", kept.folder))
    Writer(database, kept.folder).write([encode(compared)], [], "w")
    database.close()
    return decision


def told(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[str, str]:
    assert main([*args, "--folder", "wardlaw-data"]) == 0
    captured = capsys.readouterr()
    return captured.out, captured.err


PROMOTE = ("rules", "promote", "candidate.yaml", "--over", "rules.yaml", "--no-meaning", "--tests", "off", "--yes")


def test_kept_texts_are_shown_shortened_and_printable(kept: Kept, capsys: pytest.CaptureFixture[str]) -> None:
    decision = flip(kept, "full")
    out, err = told(capsys, "audit", "list", "--flips")
    assert f"{decision}  messages[0]: {SHOWN}" in out
    assert f"{decision}  choices[0].text: thank you" in out
    assert HINT not in err
    out, _ = told(capsys, *PROMOTE)
    assert f"    messages[0]: {SHOWN}" in out
    assert "    choices[0].text: thank you" in out
    assert HINT not in out
    assert max(map(len, out.splitlines())) < 200


def test_json_has_the_kept_texts_whole(kept: Kept, capsys: pytest.CaptureFixture[str]) -> None:
    flip(kept, "full")
    out, _ = told(capsys, *PROMOTE, "--json")
    assert json.loads(out)["traffic"]["worst"][0]["texts"] == {"messages[0]": TEXT, "choices[0].text": "thank you"}


def test_words_that_the_guard_put_in_place_of_an_answer_are_not_shown_as_judged(
    kept: Kept, capsys: pytest.CaptureFixture[str]
) -> None:
    flip(kept, "full", action=Action.BLOCK, would=Action.BLOCK)
    out, _ = told(capsys, "audit", "list", "--flips")
    assert "messages[0]: " in out
    assert "thank you" not in out


@pytest.mark.parametrize("content", ["none", "hash"])
def test_where_no_text_was_kept_it_is_said_once_how_to_keep_them(
    kept: Kept, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    flip(kept, content)
    flip(kept, content)
    out, err = told(capsys, "audit", "list", "--flips")
    assert "judged otherwise" not in out
    assert err.count(HINT) == 1
    out, err = told(capsys, "audit", "list")
    assert HINT not in err
    out, _ = told(capsys, *PROMOTE)
    assert out.count(f"of 2 no text was kept; {HINT}") == 1
