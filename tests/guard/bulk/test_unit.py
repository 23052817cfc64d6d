"""Where files are cut."""

from __future__ import annotations

from guard.bulk.files import Raw
from guard.bulk.unit import cut, size_for


def _lines(count: int, first: int = 1) -> list[Raw]:
    return [Raw(first + place, b"line %d" % place, 10) for place in range(count)]


def test_every_line_is_in_one_unit_in_its_order():
    lines = _lines(5000)
    units = list(cut("a.jsonl", lines, 64))
    assert [raw for unit in units for raw in unit.lines] == lines
    assert all(16 <= len(unit.lines) <= 128 for unit in units[:-1])
    assert 5000 / 80 < len(units) < 5000 / 48


def test_a_line_put_in_at_the_head_changes_few_units():
    before = {unit.content for unit in cut("a.jsonl", _lines(5000), 64)}
    after = {unit.content for unit in cut("a.jsonl", [Raw(1, b"new", 3), *_lines(5000, 2)], 64)}
    assert len(after - before) <= 3


def test_lines_that_stand_elsewhere_are_the_same_content_under_another_name():
    (here,) = cut("a.jsonl", _lines(10), 64)
    (there,) = cut("b.jsonl", _lines(10), 64)
    (later,) = cut("a.jsonl", _lines(10, 5), 64)
    assert here.content == there.content == later.content
    assert len({here.name, there.name, later.name}) == 3


def test_a_unit_ends_where_it_grows_heavy():
    lines = [Raw(number, bytes(3 * 2**20), 3 * 2**20) for number in range(1, 10)]
    assert [len(unit.lines) for unit in cut("a.jsonl", lines, 1024)] == [3, 3, 3]


def test_units_of_a_small_input_are_small_so_that_workers_share_it():
    assert size_for(10_000) == 16
    assert 200 < size_for(10_000_000) < 400
    assert size_for(10**11) == 1024
