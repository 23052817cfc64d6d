"""What is wrong with a file of compiled patterns never reaches the engine."""

from __future__ import annotations

import pytest

from guard.patterns import cache
from guard.patterns.base import Entry
from guard.patterns.search import Search
from rules.schema import Part, Pattern

pytest.importorskip("hyperscan")

PARTS = frozenset({Part.PROMPT})


@pytest.fixture
def find(tmp_path):
    """The hits of two patterns, compiled into or loaded from the folder."""

    def make(text, literal="bomb"):
        entries = [Entry.of("a", PARTS, Pattern(literal=literal)), Entry.of("b", PARTS, Pattern(regex=r"\d{3}"))]
        hits = Search(entries, engine="hyperscan", folder=tmp_path).find(Part.PROMPT, text)
        return [(hit.place, hit.start) for hit in hits]

    return make


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_compiled_patterns_are_kept_and_used_again(find, tmp_path, monkeypatch):
    assert find("a bomb 123") == [(0, 2), (1, 7)]
    before = contents(tmp_path)
    assert before
    monkeypatch.setattr("guard.patterns.hyperscan._compile", None)  # calling it would raise
    assert find("a bomb 123") == [(0, 2), (1, 7)]
    assert contents(tmp_path) == before


def test_other_patterns_have_other_files(find, tmp_path):
    find("x")
    before = set(contents(tmp_path))
    find("x", literal="mine")
    assert before < set(contents(tmp_path))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: b"",
        lambda content: content[: len(content) // 2],
        lambda content: content[:-1] + bytes([content[-1] ^ 1]),
        lambda content: b"another file altogether" * 100,
        lambda content: content + b"more",
    ],
    ids=["empty", "cut off", "one bit", "foreign", "longer"],
)
def test_a_spoilt_file_is_ignored_and_written_anew(find, tmp_path, spoil):
    find("x")
    before = contents(tmp_path)
    for path in tmp_path.iterdir():
        path.write_bytes(spoil(path.read_bytes()))
    assert find("a bomb 123") == [(0, 2), (1, 7)]
    assert {name: cache.load(tmp_path / name) is not None for name in before} == dict.fromkeys(before, True)
    assert set(contents(tmp_path)) == set(before)


def test_a_whole_file_that_the_engine_refuses_is_written_anew(find, tmp_path):
    find("x")
    for path in tmp_path.iterdir():
        cache.save(path, b"[0, 1]\nno database of this engine")
    assert find("a bomb 123") == [(0, 2), (1, 7)]


def test_a_folder_that_cannot_be_written_costs_nothing_but_time(tmp_path):
    (tmp_path / "file").write_text("in the way")
    entries = [Entry.of("a", PARTS, Pattern(literal="bomb"))]
    search = Search(entries, engine="hyperscan", folder=tmp_path / "file" / "below")
    assert len(search.find(Part.PROMPT, "bomb")) == 1


def test_the_name_of_a_database_tells_all_that_it_is_made_of():
    names = {cache.digest("one", [b"ab", b"c"]), cache.digest("one", [b"a", b"bc"]), cache.digest("two", [b"ab", b"c"])}
    assert len(names) == 3


def test_the_folder_is_the_users_own(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.folder() == tmp_path / "wardlaw" / "patterns"
