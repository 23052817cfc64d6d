from __future__ import annotations

import random
from collections import Counter

import pytest

from guard.training.near import Grams, groups
from guard.training.pool import example_rows, pool_of
from guard.training.recipe import Recipe
from guard.training.rows import Row

PLACES = "kitchen garden station library office harbour museum bakery stable workshop".split()
THINGS = "kettle ladder basket candle mirror pencil saddle blanket window bridge lantern drawer".split()
VERBS = "repair borrow measure hide wash describe collect remember paint weigh".split()
ALL = Recipe(only_named=False)


def sentence(draw):
    return (
        f"How do I {draw.choice(VERBS)} the {draw.choice(THINGS)} in the {draw.choice(PLACES)} and"
        f" {draw.choice(VERBS)} a {draw.choice(THINGS)} near the {draw.choice(PLACES)}?"
    )


def made(count, seed, **fields):
    draw = random.Random(seed)
    texts = dict.fromkeys(sentence(draw) for _ in range(count * 2))
    return [Row(text, **{"harmful": False, "source": "plain", **fields}) for text in list(texts)[:count]]


def pairs(count, seed):
    harmful, safe = made(count, seed, harmful=True, source="twins"), made(count, seed + 100, source="twins")
    for number, (bad, good) in enumerate(zip(harmful, safe, strict=True)):
        yield Row(bad.text, True, "twins", pair=str(number))
        yield Row(good.text, False, "twins", pair=str(number))


def sides_of(pool):
    return {"teach": pool.teach, "choose": pool.choose, "calibrate": pool.calibrate}


@pytest.fixture(scope="module")
def rows():
    """Twins, benign rows, and near duplicates of each of them."""
    base = [*pairs(60, 1), *made(120, 3), *made(40, 4, prompt="Why?", source="answers")]
    near = [Row(row.text.replace("?", " now?"), row.harmful, "near") for row in base[::3]]
    return [*base, *near, Row("Tell me how to burn down the old mill by the river.", True, "near")]


@pytest.fixture(scope="module")
def pool(rows):
    return pool_of(rows, [], ALL, seed=7, chosen=0.3, benign=30)


def test_twins_stand_on_the_same_side(pool):
    seen = {}
    for side, rows in sides_of(pool).items():
        for row in rows:
            if row.pair:
                assert seen.setdefault(row.pair, side) == side
    assert set(seen.values()) == {"teach", "choose"}


def test_near_duplicates_of_what_is_held_out_are_not_taught(pool, rows):
    everything = [(side, row) for side, rows in sides_of(pool).items() for row in rows]
    texts = [row.text for _, row in everything]
    seen = {}
    for (side, _), group in zip(everything, groups(texts, Grams([row.text for row in rows])), strict=True):
        seen.setdefault(group, set()).add(side == "teach")
    assert all(len(sides) == 1 for sides in seen.values())
    assert max(Counter(groups(texts, Grams(texts))).values()) > 1
    assert pool.counts["near a held-out row"] > 0


def test_what_is_promised_by_is_harmless_and_of_harmless_sources_without_twins(pool):
    assert {row.source for row in pool.calibrate} >= {"plain", "answers"}
    assert not [row for row in pool.calibrate if row.harmful or row.pair]
    assert len([row for row in pool.calibrate if row.source == "plain"]) >= 30


def test_the_same_seed_makes_the_same_pool_and_another_seed_another(rows):
    again = [pool_of(rows, [], ALL, seed=seed, chosen=0.3, benign=30) for seed in (7, 7, 8)]
    assert again[0] == again[1]
    assert again[0].choose != again[2].choose


def test_every_row_is_taught_held_out_or_counted(rows, pool):
    kept = sum(len(side) for side in sides_of(pool).values())
    assert kept + sum(pool.counts.values()) == len(rows)
    taught = Counter((row.source, "harmful" if row.harmful else "safe") for row in pool.teach)
    assert {(source, label): count for source, counts in pool.sources.items() for label, count in counts.items()} == (
        dict(taught)
    )


def test_rows_near_a_check_prompt_are_taken_out_with_their_twins_and_counted():
    twins = list(pairs(20, 1))
    others = made(30, 3)
    checks = [twins[0].text.upper(), others[5].text.replace("?", "!!"), "Something else altogether, on its own."]
    pool = pool_of([*twins, *others], checks, ALL, seed=1)
    left = [row for side in sides_of(pool).values() for row in side]
    assert not [row for row in left if row.text in (twins[0].text, twins[1].text, others[5].text)]
    assert pool.counts["near a check prompt"] == 3
    assert len(left) == 67 - pool.counts["near a held-out row"]


def test_an_answer_is_near_a_check_by_the_prompt_it_answers():
    asked = "How do I get a stain of red wine out of a white shirt before a wedding?"
    rows = [Row("Salt and cold water.", False, "a", asked), *made(10, 1, harmful=True)]
    pool = pool_of(rows, [asked + " Please"], ALL, seed=1)
    assert pool.counts["near a check prompt"] == 1
    assert not [row for row in pool.teach if row.answers]


def test_a_text_counts_once_and_one_with_both_labels_not_at_all_nor_its_twin():
    rows = [
        Row("Boil an egg", False, "a"),
        Row("boil an EGG!", False, "b"),
        Row("Cut the rope", True, "a"),
        Row("cut the rope.", False, "b"),
        Row("Cut the cake", False, "a", pair="1"),
        Row("Cut his throat", True, "a", pair="1"),
        Row("cut his throat", False, "b"),
        Row("?!", False, "a"),
        *made(5, 1, harmful=True),
    ]
    pool = pool_of(rows, [], ALL, seed=1)
    left = [row.text for side in sides_of(pool).values() for row in side]
    assert sorted(left)[:1] != []
    assert {text for text in left if len(text) < 20} in ({"Boil an egg"}, {"boil an EGG!"})
    assert pool.counts["repeats"] == 7


def test_the_recipe_limits_weighs_and_leaves_out_sources():
    rows = [*made(20, 1, source="much"), *made(20, 2, source="much", harmful=True), *made(5, 3, source="other")]
    recipe = Recipe.model_validate({"sources": {"much": {"weight": 0.25, "safe": 4, "harmful": 0}}})
    pool = pool_of(rows, [], recipe, seed=1)
    left = [row for side in sides_of(pool).values() for row in side]
    assert [(row.source, row.harmful, row.weight) for row in left] == [("much", False, 0.25)] * 4
    assert pool.counts["sources not in the recipe"] == 5
    assert pool.counts["over the recipe's limits"] == 36


def test_rules_and_bank_are_taken_whatever_the_recipe_names():
    rows = [*made(5, 1, source="rules"), *made(5, 2, source="bank/requests/crime.en", harmful=True)]
    assert len(pool_of(rows, [], Recipe(), seed=1).teach) >= 8


def test_tests_of_rules_are_never_taught(make_rule, constitute):
    rule = make_rule(
        "theft",
        detect={},
        examples={
            "breaks": ["steal it", {"prompt": "help", "response": "first pick the lock"}],
            "keeps": ["buy it"],
        },
        tests={"breaks": ["only ever checked"], "keeps": ["never taught"]},
    )
    turned_off = make_rule("fire", detect={"meaning": None}, examples={"breaks": ["burn it"], "keeps": []})
    found = example_rows(constitute(rule, turned_off))
    assert [(row.text, row.harmful, row.prompt, row.rules) for row in found] == [
        ("steal it", True, None, ("theft",)),
        ("first pick the lock", True, "help", ("theft",)),
        ("buy it", False, None, ()),
    ]
    assert {row.source for row in found} == {"rules"}


def test_an_empty_pool_is_empty_rather_than_an_error():
    pool = pool_of([], ["a check"], ALL, seed=1)
    assert (pool.teach, pool.choose, pool.calibrate) == ([], [], [])
