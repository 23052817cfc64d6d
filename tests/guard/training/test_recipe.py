from __future__ import annotations

import pytest

from guard.training.recipe import RECIPES, Recipe, Source
from guard.training.rows import LabelError


@pytest.fixture
def recipe(tmp_path):
    """A recipe of the text given."""

    def make(text):
        path = tmp_path / "mine.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return Recipe.load(path)

    return make


def test_a_source_has_a_weight_limits_and_categories(recipe):
    found = recipe("sources: {mine: {weight: 0.5, harmful: 3, categories: {S1: [theft], '*': [theft, fire]}}}")
    assert found.source("mine") == Source(weight=0.5, harmful=3, categories={"S1": ("theft",), "*": ("theft", "fire")})


def test_a_source_that_is_not_named_is_left_out_unless_the_recipe_takes_all(recipe):
    assert recipe("sources: {mine: {}}").source("other") is None
    assert recipe("only_named: false").source("other") == Source()
    assert recipe("").source("other") is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("sources: {mine: {wieght: 1}}", "`sources.mine.wieght`: Extra inputs"),
        ("sources: {mine: {weight: 0}}", "`sources.mine.weight`: Input should be greater than 0"),
        ("sources: {mine: {harmful: -1}}", "`sources.mine.harmful`"),
        ("prompts: 0", "`prompts`"),
        ("- a list", "mine.yaml`"),
        ("a: [", "cannot be read"),
        (b"\xff\xfe\x00", "cannot be read"),
    ],
)
def test_a_recipe_that_cannot_be_used_says_where(recipe, text, says):
    with pytest.raises(LabelError) as caught:
        recipe(text)
    assert says in str(caught.value)
    assert "\n  hint: " in str(caught.value)


def test_a_recipe_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(LabelError, match="cannot be read"):
        Recipe.load(tmp_path / "gone.yaml")


def test_every_source_of_the_shipped_heads_names_its_licence_and_only_rules_of_the_pack():
    from rules.load import load

    known = {rule.id for rule in load("base").constitution}
    recipes = sorted(RECIPES.glob("*.yaml"))
    assert [path.stem for path in recipes] == ["base", "packs"]
    for name, source in [each for path in recipes for each in Recipe.load(path).sources.items()]:
        assert source.origin, name
        assert source.licence in {"Apache-2.0", "MIT", "CC-BY-4.0"}, name
        assert {rule for rules in source.categories.values() for rule in rules} <= known, name
