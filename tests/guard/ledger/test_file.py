"""The file of a ledger: what is written is there, and what was done to it by others is told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from guard.ledger.entering import enter
from guard.ledger.errors import LedgerError, LedgerFaults
from guard.ledger.events import Amended, Entered, now
from guard.ledger.file import append, content_of, mend, read_ledger
from guard.ledger.lines import line_of, read_line
from guard.ledger.state import fold

ROOT = Path(__file__).parents[3]


def ids(ledger: Path) -> list[str]:
    return list(fold(read_ledger(ledger).events))


def test_what_was_entered_is_read_again(ledger, made):
    finds = [made(), made("a kind word", "it is mandarin", model="m"), made("a tangerine", kind="false-alarm")]
    outcome = enter(ledger, finds)
    assert outcome.entered == finds
    assert [event.find for event in read_ledger(ledger).events] == finds


def test_hidden_characters_are_seen_in_a_diff_and_come_back(ledger, made):
    text = "he\u200bre \u202eis\U000e0041 橘子\x1b[31m\u2028"
    enter(ledger, [made(text)])
    data = ledger.read_bytes()
    assert b"\\u200b" in data
    assert b"\\u202e" in data
    assert "橘子".encode() in data
    assert len(data.decode().splitlines()) == 1
    assert read_ledger(ledger).events[0].find.text == text


def test_half_a_character_does_not_stop_the_entry(ledger, made):
    enter(ledger, [made("half \ud83d of one")])
    assert read_ledger(ledger).events[0].find.text == "half \ufffd of one"


def test_a_known_find_is_told_and_nothing_is_written(ledger, made):
    enter(ledger, [made()])
    before = ledger.read_bytes()
    outcome = enter(ledger, [made(by="bob"), made(by="carl")])
    assert not outcome.entered
    assert [entry.find.by for _, entry in outcome.known] == ["ann"]
    assert outcome.twice == 1
    assert ledger.read_bytes() == before


@pytest.mark.parametrize(("old", "new"), [("mandarin", "clementine"), ('"ann"', '"eve"'), ('"v": 1', '"v":  1')])
def test_a_line_edited_by_hand_is_named(ledger, made, old, new):
    enter(ledger, [made("first"), made(), made("third")])
    ledger.write_text(ledger.read_text().replace(old, new, 1 if old == "mandarin" else 2))
    with pytest.raises(LedgerFaults) as caught:
        _ = read_ledger(ledger).events
    lines = [fault.line for fault in caught.value.faults]
    assert lines == ([2] if old == "mandarin" else [1, 2])
    assert {fault.kind for fault in caught.value.faults} == {"edited"}
    assert "is not as it was written" in str(caught.value)
    assert "rt_" in caught.value.faults[0].what


def test_nothing_is_appended_to_an_edited_ledger(ledger, made):
    enter(ledger, [made()])
    ledger.write_text(ledger.read_text().replace("mandarin", "clementine"))
    before = ledger.read_bytes()
    with pytest.raises(LedgerFaults):
        enter(ledger, [made("another")])
    assert ledger.read_bytes() == before


def test_a_line_end_of_windows_changes_nothing(ledger, made):
    enter(ledger, [made(), made("other")])
    ledger.write_bytes(ledger.read_bytes().replace(b"\n", b"\r\n"))
    assert len(read_ledger(ledger).events) == 2


def test_an_unknown_format_says_to_update(ledger, made):
    whole = line_of(Entered(at=now(), find=made()))
    import hashlib

    rest = whole[whole.index(b", ") + 2 : -1].replace(b'"v": 1', b'"v": 7')
    ledger.write_bytes(b'{"sum": "%s", %s\n' % (hashlib.blake2b(rest, digest_size=8).hexdigest().encode(), rest))
    with pytest.raises(LedgerFaults, match=r"redteam.jsonl:1: format `7`, and this wardlaw reads 1") as caught:
        _ = read_ledger(ledger).events
    assert "update wardlaw" in caught.value.hint


def test_what_is_no_line_of_a_ledger_is_named(ledger, made):
    enter(ledger, [made()])
    ledger.write_text(ledger.read_text() + '{"prompt": "by hand"}\n')
    with pytest.raises(LedgerFaults, match=r":2: no line of a ledger"):
        _ = read_ledger(ledger).events


def test_an_event_about_a_find_that_was_taken_out_is_named(ledger, made):
    one = made()
    enter(ledger, [one])
    append(ledger, [Amended(at=now(), by="ann", id=one.id, status="accepted")])
    ledger.write_bytes(ledger.read_bytes().split(b"\n", 1)[1])
    with pytest.raises(LedgerFaults, match=f"speaks of `{one.id}`"):
        _ = read_ledger(ledger).events


def test_a_ledger_torn_at_any_byte_loses_only_the_last_line(ledger, made):
    enter(ledger, [made("first"), made("second")])
    whole = ledger.read_bytes()
    begin = whole.index(b"\n") + 1
    for end in range(begin + 1, len(whole)):
        content = content_of(ledger, whole[:end])
        assert not content.faults
        assert len(content.events) == (2 if end == len(whole) - 1 else 1)
        assert content.torn == (b"" if end == len(whole) - 1 else whole[begin:end])


def test_a_half_line_is_put_aside_by_the_next_entry(ledger, made):
    enter(ledger, [made("first"), made("second")])
    whole = ledger.read_bytes()
    ledger.write_bytes(whole[:-40])
    outcome = enter(ledger, [made("third")])
    assert "put aside" in outcome.note
    assert [event.find.text for event in read_ledger(ledger).events] == ["first", "third"]
    aside = ledger.with_name("redteam.jsonl.torn").read_bytes()
    assert aside == whole[whole.index(b"\n") + 1 : -40] + b"\n"


def test_a_lost_line_end_is_put_back(ledger, made):
    enter(ledger, [made("first")])
    ledger.write_bytes(ledger.read_bytes().rstrip(b"\n"))
    enter(ledger, [made("second")])
    assert [event.find.text for event in read_ledger(ledger).events] == ["first", "second"]


def test_conflict_markers_are_named_and_mending_keeps_both_sides(ledger, made):
    lines = [line_of(Entered(at=now(), find=made(text))) for text in ("base", "ours", "theirs")]
    ledger.write_bytes(
        lines[0] + b"<<<<<<< HEAD\n" + lines[1] + b"||||||| 0a1b2c3\n=======\n" + lines[2] + b">>>>>>> topic\n"
    )
    with pytest.raises(LedgerFaults, match=r":2: a conflict of git was left here") as caught:
        _ = read_ledger(ledger).events
    assert "--mend" in caught.value.hint
    assert mend(ledger) == ["4 conflict markers taken out, both sides kept"]
    assert [event.find.text for event in read_ledger(ledger).events] == ["base", "ours", "theirs"]
    assert mend(ledger) == []


def test_mending_leaves_an_edited_line_as_it_is(ledger, made):
    enter(ledger, [made()])
    ledger.write_text("<<<<<<< HEAD\n" + ledger.read_text().replace("mandarin", "clementine"))
    mend(ledger)
    with pytest.raises(LedgerFaults, match=r":1: the line of `rt_.*` is not as it was written"):
        _ = read_ledger(ledger).events
    assert "clementine" in ledger.read_text()


def test_many_at_once_lose_nothing(ledger, made):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: enter(ledger, [made(f"text {number}")]), range(40)))
    assert len(ids(ledger)) == 40


def test_a_ledger_that_cannot_be_written_says_so(tmp_path, made):
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match="cannot be written"):
        enter(tmp_path / "file" / "redteam.jsonl", [made()])


APPENDING = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from guard.exchange import Message
from guard.ledger.entering import enter
from guard.ledger.find import make_find
for number in range(10_000):
    text = f"{sys.argv[2]} {number} " + "a long text " * 60_000
    found = make_find("break", [Message("user", text)], None, found=datetime.now(UTC), by="x", source="other")
    enter(Path(sys.argv[1]), [found])
    print(found.id, flush=True)
"""


def test_a_process_killed_while_it_appends_loses_nothing_that_it_promised(ledger, made):
    promised: list[str] = []
    for run in range(3):
        command = [sys.executable, "-c", APPENDING, str(ledger), str(run)]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as process:
            assert process.stdout is not None
            promised += [process.stdout.readline().strip() for _ in range(2 + run)]
            process.send_signal(signal.SIGKILL)
            promised += process.stdout.read().split()
    assert all(name.startswith("rt_") for name in promised)
    content = read_ledger(ledger)
    assert not content.faults
    last = made("after all that")
    enter(ledger, [last])
    after = ids(ledger)
    assert set(promised) <= set(after)
    assert last.id in after
    assert read_ledger(ledger).torn == b""


def git(folder: Path, *arguments: str) -> Any:
    who = ["-c", "user.name=t", "-c", "user.email=t@localhost"]
    return subprocess.run(["git", *who, *arguments], cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("union", [True, False])
def test_two_branches_that_both_appended_are_merged(ledger, made, union):
    folder = ledger.parent
    shared = made("known to both", found=now() - timedelta(days=9))
    git(folder, "init", "-q", "-b", "main")
    if union:
        (folder / ".gitattributes").write_text("redteam.jsonl merge=union\n")
    enter(ledger, [shared])
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "base")
    git(folder, "checkout", "-qb", "topic")
    append(ledger, [Amended(at=now(), by="bob", id=shared.id, status="fixed")])
    enter(ledger, [made("on topic"), made("on both")])
    git(folder, "commit", "-qam", "topic")
    git(folder, "checkout", "-q", "main")
    enter(ledger, [made("on main"), made("on both", by="carl")])
    git(folder, "commit", "-qam", "main")
    merged = git(folder, "merge", "-q", "topic", "-m", "both")
    assert (merged.returncode == 0) is union
    if not union:
        mend(ledger)
    entries = fold(read_ledger(ledger).events)
    assert sorted(entry.find.text for entry in entries.values()) == ["known to both", "on both", "on main", "on topic"]
    assert entries[shared.id].status == "fixed"
    both = entries[made("on both").id]
    assert (both.find.by, [find.by for find in both.again]) == ("ann", ["carl"])


def test_every_single_byte_that_changes_is_noticed(made):
    line = line_of(Entered(at=now(), find=made()))[:-1]
    for place in range(len(line)):
        other = line[:place] + bytes([line[place] ^ 1]) + line[place + 1 :]
        assert not hasattr(read_line(1, other), "event")
