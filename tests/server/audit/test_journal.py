from __future__ import annotations

from pathlib import Path

import pytest

from server.audit.journal import Journal, JournalFull, left_behind, segments
from server.audit.lines import read_lines


def test_lines_come_back_in_order_and_in_parts(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "w", 10**6)
    lines = [b"line %d" % n for n in range(10)]
    for line in lines:
        journal.append(line)
    segment = journal.next()
    assert segment
    first = read_lines(segment.path, 0, segment.size, 4)
    rest = read_lines(segment.path, first.upto, segment.size, 100)
    assert first.payloads + rest.payloads == lines
    assert rest.upto == segment.size
    assert len(read_lines(segment.path, 0, segment.size, 100, most_bytes=1).payloads) == 1
    journal.close()


def test_only_what_was_drained_makes_room(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "w", 100)
    journal.append(b"x" * 60)
    with pytest.raises(JournalFull):
        journal.append(b"x" * 60)
    segment = journal.next()
    assert segment
    journal.done(segment, segment.size)
    journal.append(b"x" * 60)
    journal.close()


def test_segments_are_deleted_once_they_are_closed_and_drained(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "w", 10**6, fsync=True)
    journal._segment_bytes = 100
    for _ in range(6):
        journal.append(b"x" * 60)
        journal.sync()
    assert len(segments(tmp_path, journal.name)) == 3
    while segment := journal.next():
        journal.done(segment, segment.size)
    assert len(segments(tmp_path, journal.name)) == 1
    journal.close()
    assert segments(tmp_path, journal.name) == []


def test_a_journal_that_is_not_drained_is_left_behind_for_others_when_its_owner_goes(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "odd name/..", 10**6)
    journal.append(b"x")
    with left_behind(tmp_path) as names:
        assert names == []
    journal.close()
    with left_behind(tmp_path) as names:
        assert names == [journal.name]
        with left_behind(tmp_path) as others:
            assert others == []  # who found it first holds it
    assert len(segments(tmp_path, journal.name)) == 1


def test_names_differ_though_workers_do_not(tmp_path: Path) -> None:
    journals = [Journal(tmp_path, "w", 10**6) for _ in range(3)]
    assert len({journal.name for journal in journals}) == 3
    for journal in journals:
        journal.close()


def test_a_folder_that_is_not_there_has_no_journals(tmp_path: Path) -> None:
    with left_behind(tmp_path / "none") as names:
        assert names == []
