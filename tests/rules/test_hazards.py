"""The crosswalk between hazard systems, and what rules are called in them."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from rules import check, hazards, load
from rules.errors import WardlawError
from rules.hazards import Crosswalk, Exactness
from rules.schema import Rule

MLCOMMONS = "mlcommons-1.0"


def rule(*hazards: str) -> Rule:
    said = "Do not set fire to the harbour."
    return Rule.model_validate(
        {"id": "arson", "title": "Arson", "rule": said, "why": said, "hazards": list(hazards), "detect": None}
    )


def system(codes: dict[str, dict[str, str]]) -> dict[str, object]:
    return {
        "title": "A system",
        "version": "1",
        "source": "here",
        "codes": {code: {"title": code, "links": links} for code, links in codes.items()},
    }


def test_each_system_has_all_its_codes() -> None:
    counts = {name: len(hazards.titles(name)) for name in hazards.systems()}
    assert counts == {
        MLCOMMONS: 12,
        "llama-guard-2": 11,
        "llama-guard-3": 14,
        "llama-guard-4": 14,
        "shieldgemma": 4,
        "openai-moderation": 13,
        "qwen3guard": 9,
        "aegis-2.0": 21,
        "granite-guardian-3": 13,
    }


def test_every_title_is_in_english_and_in_chinese() -> None:
    for name in hazards.systems():
        for text in (hazards.crosswalk().systems[name].title, *hazards.titles(name).values()):
            assert text.speaks("en")
            assert text.speaks("zh")


def test_every_code_can_be_written_in_a_rule() -> None:
    every = [f"{name}:{code}" for name in hazards.systems() for code in hazards.titles(name)]
    assert rule(*every).hazards == tuple(every)


def test_the_codes_of_a_rule_are_its_own_first_and_then_those_of_the_crosswalk() -> None:
    found = rule("llama-guard-3:S9", "mlcommons-1.0:non-violent-crimes")
    assert hazards.codes(found, "llama-guard-3") == ("S9", "S2")
    assert hazards.codes(found, MLCOMMONS) == ("non-violent-crimes", "indiscriminate-weapons")


def test_one_number_means_another_hazard_in_another_version() -> None:
    weapons = rule("llama-guard-3:S9")
    assert hazards.codes(weapons, "llama-guard-2") == ("S8",)
    assert hazards.codes(weapons, "llama-guard-4") == ("S9",)
    assert hazards.codes(rule("llama-guard-2:S9"), "llama-guard-3") == ("S10",)


def test_a_wider_code_is_claimed_and_a_narrower_one_is_not() -> None:
    assert hazards.codes(rule("mlcommons-1.0:sexual-content"), "qwen3guard") == ("sexual-content",)
    assert hazards.codes(rule("qwen3guard:sexual-content"), MLCOMMONS) == ()


def test_a_near_code_is_never_claimed() -> None:
    violence = "mlcommons-1.0:violent-crimes"
    assert hazards.crosswalk().links(violence)["openai-moderation:violence"] is Exactness.NEAR
    assert hazards.codes(rule(violence), "openai-moderation") == ()


def test_no_way_of_claims_comes_to_two_hazards_of_one_exact_system() -> None:
    for code in hazards.titles(MLCOMMONS):
        for other in ("llama-guard-2", "llama-guard-3", "llama-guard-4"):
            assert len(hazards.codes(rule(f"{MLCOMMONS}:{code}"), other)) <= 1
        assert hazards.codes(rule(f"{MLCOMMONS}:{code}"), MLCOMMONS) == (code,)


def test_a_system_of_a_pack_keeps_its_own_codes() -> None:
    assert hazards.codes(rule("sea-1:K1"), "sea-1") == ("K1",)
    assert hazards.known_system("sea-1", [rule("sea-1:K1")]) == "sea-1"


def test_an_unknown_system_is_refused_with_the_nearest_known_one() -> None:
    with pytest.raises(WardlawError, match="llama-gard-3") as caught:
        hazards.titles("llama-gard-3")
    assert "`llama-guard-3`" in caught.value.hint


def test_a_link_to_a_code_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValidationError, match="which there is not"):
        Crosswalk.model_validate({"systems": {"a": system({"x": {"b:y": "same"}}), "b": system({"z": {}})}})


def test_a_pair_that_is_linked_on_both_sides_is_refused() -> None:
    both = {"a": system({"x": {"b:y": "wider"}}), "b": system({"y": {"a:x": "wider"}})}
    with pytest.raises(ValidationError, match="linked twice"):
        Crosswalk.model_validate({"systems": both})


def test_a_link_is_seen_from_its_other_end_too() -> None:
    found = Crosswalk.model_validate({"systems": {"a": system({"x": {"b:y": "wider"}}), "b": system({"y": {}})}})
    assert found.links("b:y") == {"a:x": Exactness.NARROWER}
    assert found.claims(["a:x"]) == ("a:x", "b:y")
    assert found.claims(["b:y"]) == ("b:y",)


def test_a_code_that_a_known_system_does_not_have_is_a_warning_and_an_unknown_system_is_none(tmp_path: Path) -> None:
    path = tmp_path / "sea.yaml"
    path.write_text(
        "constitution: sea\nrules:\n  - id: arson\n    title: Arson\n    rule: Do not set fire to the harbour.\n"
        "    why: People sleep on the boats there.\n    detect: null\n"
        "    hazards: [sea-1:K1, mlcommons-1.0:non-violent-crime, llama-guard-3:S9]\n"
    )
    (issue,) = (each for each in check(load(path)) if each.code == "unknown-hazard-code")
    assert issue.severity == "warning"
    assert "`mlcommons-1.0:non-violent-crime`" in issue.message
    assert issue.hint == "did you mean `non-violent-crimes`?"
    assert (issue.where.line, issue.where.column) == (8, 25)


@pytest.mark.parametrize(("pack", "system"), [("mlcommons", MLCOMMONS), ("llama-guard-3", "llama-guard-3")])
def test_the_pack_of_a_taxonomy_has_a_rule_for_each_of_its_hazards(pack: str, system: str) -> None:
    rules = load(pack).constitution
    covered = {code for each in rules for code in hazards.codes(each, system)}
    assert covered == set(hazards.titles(system))
    assert all(hazards.codes(each, system) for each in rules)  # and no rule that is about none of them
    base = load("base").constitution
    assert {each.id for each in rules} == {each.id for each in base if hazards.codes(each, system)}


def test_rules_of_one_hazard_are_told_together_and_a_code_that_many_carry_joins_nothing() -> None:
    from rules.hazards import by_hazard

    packs = load("base", "lamda").constitution
    weapons, theft, drugs = (
        packs.rule(each) for each in ("mass-casualty-weapon-help", "theft-and-fraud-help", "illegal-drug-help")
    )
    twin = weapons.model_copy(update={"id": "weapons-of-another-pack"})
    told = by_hazard([weapons, theft, twin, drugs], [*packs, twin])
    assert [(rule.id, [each.id for each in also]) for rule, also in told] == [
        ("mass-casualty-weapon-help", ["weapons-of-another-pack"]),
        ("theft-and-fraud-help", []),
        ("illegal-drug-help", []),
    ]
