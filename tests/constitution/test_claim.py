"""Who may add rows to a folder, and when it is written down."""

from __future__ import annotations

import pytest

from constitution.archive import read_constitutions, read_templates
from constitution.claim import claim
from constitution.run import RunError, read_runs
from constitution.templates import TemplateSet


@pytest.fixture
def add(tmp_path, sample_constitution):
    """Claims the folder for a run, and adds a first row to it where `rows`."""

    def make(run, *, has_rows=True, mixed=False, rows=True):
        made = claim(tmp_path, run, sample_constitution, TemplateSet.read(), has_rows=has_rows, mixed=mixed)
        if rows:
            made.record()
        return made

    return make


def test_a_run_that_made_no_row_leaves_no_trace(add, determined, tmp_path):
    add(determined(), has_rows=False, rows=False)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_rows_takes_any_run_and_forgets_the_ones_that_failed(add, determined, tmp_path):
    add(determined(), has_rows=False)
    add(determined(seed=2), has_rows=False)
    assert read_runs(tmp_path) == (determined(seed=2),)


def test_a_folder_takes_the_very_same_run_again_and_lists_it_once(add, determined, tmp_path):
    add(determined(), has_rows=False).record()
    add(determined())
    assert read_runs(tmp_path) == (determined(),)


def test_another_run_is_refused_with_what_differs_and_changes_nothing(add, determined, tmp_path):
    add(determined(), has_rows=False)
    with pytest.raises(RunError, match=r"made otherwise:\n    seed: was `0`, is `9`") as caught:
        add(determined(seed=9))
    assert "--mixed" in caught.value.hint
    assert read_runs(tmp_path) == (determined(),)


def test_of_several_runs_the_likest_is_the_one_that_is_compared(add, determined):
    add(determined(), has_rows=False)
    add(determined(seed=9, rounds=5), mixed=True)
    with pytest.raises(RunError) as caught:
        add(determined(seed=1))
    assert "seed: was `0`, is `1`" in caught.value.what
    assert "rounds" not in caught.value.what


def test_every_setup_of_a_mixed_folder_goes_on_without_being_told_to_mix(add, determined, tmp_path):
    first, second = determined(), determined(constitution="1ater", seed=9)
    add(first, has_rows=False)
    add(second, mixed=True)
    add(first)
    add(second)
    assert read_runs(tmp_path) == (first, second)


def test_the_words_of_each_run_stay_under_their_digest(add, determined, tmp_path, sample_constitution):
    add(determined(), has_rows=False)
    add(determined(constitution="1ater"), mixed=True)
    assert set(read_constitutions(tmp_path)) == {"c0ffee", "1ater"}
    assert set(read_templates(tmp_path)) == {TemplateSet.read().digest}
