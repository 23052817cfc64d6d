"""The page: one file that loads nothing, runs nothing, and lets no word of a row become markup."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from constitution.report import write_report
from constitution.report.samples import LONGEST
from constitution.row import Rejection, Said
from constitution.statistics import gather

VOID = {"meta", "br", "img", "link", "input", "hr", "source", "col"}


class Page(HTMLParser):
    """Elements, attributes and text of a page; fails on tags that do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.marked: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if "style" not in self._open:
            self.text += data
        if "mark" in self._open:
            self.marked.append(data)


@pytest.fixture
def page_of(tmp_path):
    """Writes the report of some rows and gives its text."""

    def write(rows, **more):
        return write_report(tmp_path / "run", lambda: iter(rows), gather(rows), **more).read_text(encoding="utf-8")

    return write


def test_nothing_of_a_row_becomes_markup(page_of, sample_rows):
    page = Page(page_of(sample_rows))
    assert {"script", "img", "iframe", "object", "link", "form"}.isdisjoint(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert "<script>alert('x')</script>" in page.text


HOSTILE = "\"></div></details></svg><script>x</script><a href='javascript:x' onclick=x>{{ 7*7 }}{% raw %}"


def test_hostile_text_stays_text_in_every_field(page_of, row_with, round_with):
    hostile = row_with(
        id=HOSTILE,
        prompt=(Said(role="user", content=HOSTILE),),
        answer=HOSTILE,
        final=HOSTILE + "!",
        rationale=HOSTILE,
        language=HOSTILE,
        models={HOSTILE: HOSTILE},
        constitution=HOSTILE,
        templates=HOSTILE,
        rounds=(round_with(HOSTILE, "breaks", HOSTILE, revision=HOSTILE + "!"),),
    )
    rejected = row_with(
        id="rejected",
        answer=HOSTILE,
        status="rejected",
        rejection=Rejection(stage="checks", reason=HOSTILE, detail=HOSTILE),
        rounds=(round_with("insults", "breaks", HOSTILE * 2, revision=HOSTILE),),
    )
    page = Page(page_of([hostile, rejected], title=HOSTILE))
    assert {"script", "a"}.isdisjoint(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on") or name == "href"]
    assert "{{ 7*7 }}" in page.text


def test_the_page_loads_nothing(page_of, sample_rows):
    text = page_of(sample_rows)
    page = Page(text)
    assert not [value for name, value in page.attributes if name in ("src", "srcset", "action", "data")]
    assert not [value for name, value in page.attributes if name == "xlink:href" and not value.startswith("#")]
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in page.attributes


def test_the_words_that_a_critique_quotes_are_marked(page_of, sample_rows):
    marked = Page(page_of(sample_rows)).marked
    assert {"try the back window", "he is a fool", "废物", "Take his keys", "fool"} <= set(marked)
    assert "words that nobody said" not in marked


def test_a_quote_that_is_not_there_is_said_to_be_missing(page_of, sample_rows):
    assert "Quoted, but not in the answer: “words that nobody said”" in Page(page_of(sample_rows)).text


def test_both_answers_stand_side_by_side_with_the_reasoning(page_of, sample_rows):
    text = Page(page_of(sample_rows)).text
    for row in sample_rows[:2]:
        assert row.final in text
        assert row.rationale in text


def test_a_rejected_row_says_where_and_why(page_of, sample_rows):
    text = " ".join(Page(page_of(sample_rows)).text.split())
    assert "Rejected at checks: still_broken. The gate still finds insults." in text
    assert "Rejected at answer: context_too_long." in text
    assert "There was none." in text


def test_only_the_reasoning_of_an_accepted_row_is_said_to_be_taught(page_of, row_with):
    bad = {"status": "rejected", "rejection": Rejection(stage="rationale", reason="rationale_short")}
    assert "Reasoning it is taught with" in Page(page_of([row_with()])).text
    rejected = Page(page_of([row_with(**bad)])).text
    assert row_with().rationale in rejected
    assert "Reasoning, not taught" in rejected
    assert "taught with" not in rejected


def test_the_headline_holds_the_figures(page_of, sample_rows):
    text = " ".join(Page(page_of(sample_rows)).text.split())
    figures = gather(sample_rows)
    assert "From 6 prompts came 4 training rows, 3 of them rewritten under a rule." in text
    assert f"The first revision took away {100 * figures.gone_in_round[0]:.1f}%" in text


def test_titles_of_the_rules_stand_beside_their_ids(page_of, sample_rows):
    assert "Breaking into homes" in page_of(sample_rows, titles={"breaking-into-homes": "Breaking into homes"})


def test_a_run_without_rows_has_a_page(page_of):
    assert "No row was made yet." in Page(page_of([])).text


def test_a_run_that_accepted_nothing_has_a_page(page_of, sample_rows):
    page = Page(page_of([row for row in sample_rows if row.status == "rejected"]))
    assert "came 0 training rows" in " ".join(page.text.split())
    assert "Revised by a rule" not in page.text


def test_a_run_that_rejected_nothing_has_a_page(page_of, row_with):
    assert "Why rows were rejected" not in Page(page_of([row_with()])).text


def test_very_long_texts_are_cut_and_say_by_how_much(page_of, row_with):
    text = Page(page_of([row_with(id="x" * 500, answer="y" * (LONGEST + 1234), final="y" * (LONGEST + 1234))])).text
    assert "1,234 more characters" in text
    assert "y" * LONGEST in text
    assert "y" * (LONGEST + 1) not in text


def test_the_same_run_gives_the_same_page(page_of, sample_rows):
    assert page_of(sample_rows) == page_of(sample_rows)
