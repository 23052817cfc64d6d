"""The sets that were written for this project, and how damage in them is told."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
import yaml

from constitution.evaluating import written
from constitution.evaluating.criterion import EvaluationError
from constitution.evaluating.wording import WordSet

EVERY = [*sorted(written.SETS.glob("*.yaml")), *sorted(written.RELIABILITY.glob("*.yaml"))]


def read_all() -> None:
    written.identity_talks()
    for name in ("conversation", "helpfulness"):
        written.talks(name)
    written.passages()
    written.scenes()
    for name in ("identity", "conversation", "helpfulness"):
        written.labelled_talks(name)
    written.labelled_answers()


def test_every_set_reads_and_says_who_wrote_it():
    read_all()
    for path in EVERY:
        head = yaml.safe_load(path.read_text())
        assert head["lineage"] == "wardlaw", path
        assert head["set"] == path.stem


@pytest.mark.parametrize(
    ("found", "least", "least_zh"),
    [
        (written.identity_talks(), 40, 15),
        (written.talks("conversation"), 40, 12),
        (written.talks("helpfulness"), 40, 12),
        (written.passages(), 15, 5),
        (written.labelled_talks("identity"), 20, 8),
        (written.labelled_talks("conversation"), 20, 8),
        (written.labelled_talks("helpfulness"), 20, 8),
        (written.labelled_answers(), 20, 8),
    ],
    ids=["identity", "conversation", "helpfulness", "sources", "l-identity", "l-conversation", "l-help", "l-sources"],
)
def test_a_set_is_large_enough_and_in_the_language_it_says(found, least, least_zh):
    languages = Counter(item.language for item in found)
    assert len(found) >= least
    assert languages["zh"] >= least_zh
    for item in found:
        text = item.text if isinstance(item, written.Passage) else None
        text = text or (item.question if isinstance(item, written.LabelledAnswer) else item.turns[-1])
        assert bool(re.search(r"[一-鿿]", text)) == (item.language == "zh"), item.id


def test_no_prompt_stands_twice_and_none_is_a_labelled_one_too():
    asked = [
        talk.turns
        for talk in (*written.identity_talks(), *written.talks("conversation"), *written.talks("helpfulness"))
    ]
    assert len(set(asked)) == len(asked)
    labelled = [(item.turns, item.answer) for name in ("identity", "conversation", "helpfulness")
                for item in written.labelled_talks(name)]  # fmt: skip
    assert len(set(labelled)) == len(labelled)


def test_every_topic_of_identity_is_asked_in_both_languages_and_over_several_turns():
    talks = written.identity_talks()
    by_topic = Counter((talk.topic, talk.language) for talk in talks)
    assert all(count >= 4 for count in by_topic.values())
    assert len(by_topic) == 10
    assert {talk.topic for talk in talks if len(talk.turns) > 1} == {talk.topic for talk in talks}


def test_sources_have_questions_that_they_do_not_answer():
    questions = [question for passage in written.passages() for question in passage.questions]
    assert len(questions) >= 40
    assert sum(question.answer is None for question in questions) >= 15


def test_scenes_cover_many_attributes_and_mirror_the_facts():
    scenes = written.scenes()
    assert len(scenes) * 6 >= 60
    assert len({scene.attribute for scene in scenes}) >= 7
    for scene in scenes:
        assert scene.target_did != scene.other_did
        words = [set(re.findall(r"\w+", facts.lower())) for facts in (scene.target_did, scene.other_did)]
        # The mirror swaps the two people and leaves the rest: else the wording, not the facts, could tell.
        assert len(words[0] ^ words[1]) <= 4, scene.id


@pytest.mark.parametrize("name", ["identity", "conversation", "grounding"])
def test_labels_are_balanced_enough_for_guessing_to_fail(name):
    items = written.labelled_answers() if name == "grounding" else written.labelled_talks(name)
    for question in items[0].labels:
        counts = Counter(item.labels[question] for item in items)
        assert set(counts) == {True, False}
        assert max(counts.values()) / len(items) <= 0.7, question


def test_grades_are_balanced_and_labels_are_of_questions_that_there_are():
    grades = Counter(item.labels["helpful"] for item in written.labelled_talks("helpfulness"))
    assert grades == dict.fromkeys(range(1, 6), 5)
    known = set(WordSet.read().of("en").questions)
    for name in ("identity", "conversation", "helpfulness"):
        assert {question for item in written.labelled_talks(name) for question in item.labels} <= known
    assert {question for item in written.labelled_answers() for question in item.labels} <= known


def test_a_judges_examples_are_not_the_cases_that_it_is_measured_on():
    answers = [item.answer for name in ("identity", "conversation", "helpfulness")
               for item in written.labelled_talks(name)]  # fmt: skip
    answers += [item.answer for item in written.labelled_answers()]
    for language in ("en", "zh"):
        for question in WordSet.read().of(language).questions.values():
            for shown in re.findall(r"[\"“]([^\"”]{6,})[\"”]", question.help):
                assert not any(shown.lower() in answer.lower() for answer in answers), shown


def damaged(folder: Path, name: str, change) -> Path:
    content = yaml.safe_load((written.SETS / f"{name}.yaml").read_text())
    change(content)
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(content, allow_unicode=True))
    return folder


def test_an_id_that_stands_twice_is_told(tmp_path):
    folder = damaged(tmp_path, "conversation", lambda content: content["items"].append(content["items"][0]))
    with pytest.raises(EvaluationError, match="the id `en-1` stands twice"):
        written.talks("conversation", folder)


def test_an_unknown_topic_and_a_talk_that_ends_with_the_assistant_are_told_with_their_place(tmp_path):
    folder = damaged(tmp_path, "identity", lambda content: content["items"][3].update(topic="soul"))
    with pytest.raises(EvaluationError, match=r"identity.yaml: `items.3.topic`"):
        written.identity_talks(folder)
    folder = damaged(tmp_path, "helpfulness", lambda content: content["items"][1]["turns"].append("Gladly."))
    with pytest.raises(EvaluationError, match=r"`items.1`: the last turn is not the user's"):
        written.talks("helpfulness", folder)


def test_a_misspelled_key_is_the_fault_and_not_the_missing_one(tmp_path):
    def misspell(content):
        content["scenes"][0]["atribute"] = content["scenes"][0].pop("attribute")

    with pytest.raises(EvaluationError, match=r"`scenes.0.atribute`"):
        written.scenes(damaged(tmp_path, "stereotypes", misspell))


def test_a_file_that_is_not_yaml_or_not_there_is_told(tmp_path):
    (tmp_path / "grounding.yaml").write_text("passages: [}")
    with pytest.raises(EvaluationError, match="not YAML"):
        written.passages(tmp_path)
    with pytest.raises(EvaluationError, match="cannot be read"):
        written.scenes(tmp_path)
