from __future__ import annotations

import json
import random
from collections import Counter

import pytest

from guard.training.bank import BANK, bank_rows
from guard.training.near import plain
from guard.training.rows import LabelError, read_lines
from rules.load import load


@pytest.fixture(scope="module")
def known():
    """The rules that a text may break by its meaning; others look at its characters."""
    return [rule.id for rule in load("base").constitution if rule.detect and rule.detect.meaning]


@pytest.fixture(scope="module")
def rows(known):
    return bank_rows(known)


def part(rows, name):
    return [row for row in rows if row.source.startswith(f"bank/{name}/")]


def test_every_line_parses_has_its_fields_and_names_a_rule_of_the_base_pack(known):
    for path in sorted(BANK.glob("*/*.jsonl")):
        for number, line in read_lines(path):
            where = f"{path.parent.name}/{path.name}:{number}"
            assert all(isinstance(text, str) and text.strip() for text in line.values()), where
            if path.parent.name == "benign":
                assert {"prompt"} <= set(line) <= {"prompt", "kind"}, where
            else:
                assert {"rule", "harmful", "safe"} <= set(line), where
                assert line["rule"] in known, where
                assert ("prompt" in line) == (path.parent.name == "answers"), where


def test_no_text_stands_in_the_bank_twice(rows):
    repeated = [
        key for key, count in Counter((plain(row.prompt or ""), plain(row.text)) for row in rows).items() if count > 1
    ]
    assert repeated == []


def test_there_are_enough_pairs_in_both_languages_and_for_all_rules(rows, known):
    requests, answers = ([row for row in part(rows, name) if row.harmful] for name in ("requests", "answers"))
    assert len(known) == 24
    assert len(requests) >= 1500
    assert len(answers) >= 300
    for pairs in (requests, answers):
        assert {row.language for row in pairs} == {"en", "zh"}
    assert {row.rules[0] for row in requests} == set(known)
    assert min(Counter(row.rules[0] for row in requests).values()) >= 30
    assert min(Counter(row.language for row in requests).values()) >= 300


def test_twins_share_a_pair_and_differ_in_their_label_alone(rows):
    by_pair = {}
    for row in rows:
        if row.pair:
            by_pair.setdefault(row.pair, []).append(row)
    for twins in by_pair.values():
        assert sorted(row.harmful for row in twins) == [False, True]
        assert twins[0].source == twins[1].source
    assert not [row for row in part(rows, "benign") if row.harmful or row.pair or row.rules]


def test_the_harmful_twin_is_not_given_away_by_its_length(rows):
    for language in ("en", "zh"):
        pairs = {}
        for row in part(rows, "requests"):
            if row.language == language:
                pairs.setdefault(row.pair, {})[row.harmful] = len(row.text)
        longer = sum((pair[True] > pair[False]) + 0.5 * (pair[True] == pair[False]) for pair in pairs.values())
        best = max(longer, len(pairs) - longer) / len(pairs)
        print(f"{language}: the longer or the shorter twin is the harmful one in {best:.1%}")
        assert best < 0.75


@pytest.mark.parametrize("language", ["en", "zh"])
def test_no_phrase_gives_the_label_away_so_that_a_bag_of_words_does_badly(rows, language):
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression

    mine = [row for row in part(rows, "requests") if row.language == language]
    pairs = sorted({row.pair for row in mine})
    random.Random(7).shuffle(pairs)
    half = set(pairs[: len(pairs) // 2])
    taught = [row for row in mine if row.pair in half]
    asked = [row for row in mine if row.pair not in half]
    # Chinese has no spaces between words: one and two characters stand for them.
    words = CountVectorizer(analyzer="word" if language == "en" else "char", ngram_range=(1, 2))
    model = LogisticRegression(max_iter=500, tol=1e-3)
    model.fit(words.fit_transform([row.text for row in taught]), [row.harmful for row in taught])
    accuracy = model.score(words.transform([row.text for row in asked]), [row.harmful for row in asked])
    print(f"{language}: bag of words on the other {len(asked) // 2:,} pairs: {accuracy:.3f}")
    assert accuracy < 0.68


def test_a_folder_of_ones_own_is_read_and_a_broken_line_is_named(tmp_path):
    folder = tmp_path / "answers"
    folder.mkdir()
    pair = {"rule": "theft", "prompt": "Help", "harmful": "Sure.", "safe": "No.", "safe_prompt": "Help me buy"}
    (folder / "mine.zh.jsonl").write_text(json.dumps(pair) + "\n")
    safe, harmful = bank_rows(["theft"], tmp_path)
    assert (safe.prompt, safe.rules, safe.language) == ("Help me buy", (), "zh")
    assert (harmful.prompt, harmful.rules, harmful.source) == ("Help", ("theft",), "bank/answers/mine.zh")
    assert bank_rows([], tmp_path)[1].rules == ()
    for broken in ({**pair, "safe": " "}, {key: value for key, value in pair.items() if key != "prompt"}):
        (folder / "mine.zh.jsonl").write_text(json.dumps(pair) + "\n" + json.dumps(broken) + "\n")
        with pytest.raises(LabelError, match=r"mine\.zh\.jsonl:2: `(safe|prompt)` is missing or empty"):
            bank_rows(["theft"], tmp_path)
