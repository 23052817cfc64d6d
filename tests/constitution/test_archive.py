"""The words that rows name by digest come back as they were, also from the folders of the first wardlaw."""

from __future__ import annotations

from constitution import archive
from constitution.run import RUN_FILE, write_runs
from constitution.templates import TemplateSet
from rules.schema import Constitution


def test_rules_and_templates_come_back_as_they_went_in(tmp_path, sample_constitution):
    templates = TemplateSet.read()
    archive.keep(tmp_path, "c0ffee", sample_constitution, templates)
    assert archive.read_constitutions(tmp_path) == {"c0ffee": sample_constitution}
    (back,) = archive.read_templates(tmp_path).values()
    assert back.digest == templates.digest
    assert back.by_language == templates.by_language


def test_what_is_gone_or_damaged_is_left_out(tmp_path, sample_constitution):
    assert archive.read_constitutions(tmp_path) == {}
    assert archive.read_templates(tmp_path) == {}
    archive.keep(tmp_path, "c0ffee", sample_constitution, TemplateSet.read())
    for folder in (archive.RULES, archive.TEMPLATES):
        for number, text in enumerate(("{", "[]", '{"en": 3}', "")):
            (tmp_path / folder / f"bad{number}.json").write_text(text)
    assert set(archive.read_constitutions(tmp_path)) == {"c0ffee"}
    assert len(archive.read_templates(tmp_path)) == 1


def test_the_rules_of_the_first_wardlaw_are_read_and_move_when_others_come(tmp_path, sample_constitution, determined):
    (tmp_path / RUN_FILE).write_text(determined().model_dump_json())
    old = tmp_path / archive.OLD_RULES
    old.write_text(sample_constitution.model_dump_json(exclude_defaults=True))
    assert archive.read_constitutions(tmp_path) == {"c0ffee": sample_constitution}
    assert old.exists(), "reading changes nothing"
    later = sample_constitution.model_copy(update={"name": "later"})
    archive.keep(tmp_path, "1ater", later, TemplateSet.read())
    assert archive.read_constitutions(tmp_path) == {"c0ffee": sample_constitution, "1ater": later}
    assert not old.exists()


def test_a_title_is_the_one_that_the_newest_run_gave(tmp_path, sample_constitution, determined):
    first = {**sample_constitution.rules[0].model_dump(), "title": "Unasked visits"}
    later = Constitution.model_validate({**sample_constitution.model_dump(), "rules": [first]})
    # The digest of the newer sorts before that of the older.
    write_runs(tmp_path, (determined(), determined(constitution="1ater")))
    titles = archive.rule_titles(tmp_path, {"1ater": later, "c0ffee": sample_constitution})
    assert titles == {"breaking-into-homes": "Unasked visits", "insults": "Insults"}
