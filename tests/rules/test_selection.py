"""`extends: [{pack: base, only: [...]}]`: some rules of a pack, and no others."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rules.errors import RuleErrors
from rules.load import load

Write = Callable[..., str]


def rule(rule_id: str) -> str:
    return f"  - {{id: {rule_id}, title: A rule, rule: Do not., why: It would hurt somebody who did nothing.}}\n"


ABC = "constitution: abc\nrules:\n" + rule("harm-a") + rule("harm-b") + rule("harm-c")


def ids(write: Write, text: str) -> list[str]:
    return [each.id for each in load(write(text)).constitution]


def test_only_the_rules_that_are_named_come_into_force(write: Write) -> None:
    write(ABC, "abc.yaml")
    assert ids(write, "constitution: mine\nextends: {pack: ./abc.yaml, only: [harm-c, harm-a]}\n") == [
        "harm-a",
        "harm-c",
    ]


def test_a_rule_that_the_file_changes_itself_comes_in_though_it_is_not_selected(write: Write) -> None:
    write(ABC, "abc.yaml")
    text = (
        "constitution: mine\nextends: [{pack: ./abc.yaml, only: [harm-a]}]\nrules:\n  - {id: harm-b, severity: low}\n"
    )
    assert ids(write, text) == ["harm-a", "harm-b"]


def test_what_one_item_leaves_out_another_may_bring(write: Write) -> None:
    write(ABC, "abc.yaml")
    write("constitution: two\nextends: ./abc.yaml\n", "two.yaml")
    assert len(ids(write, "constitution: mine\nextends: [{pack: ./abc.yaml, only: [harm-a]}, ./two.yaml]\n")) == 3
    some = "constitution: mine\nextends: [{pack: ./abc.yaml, only: [harm-a]}, {pack: ./two.yaml, only: [harm-c]}]\n"
    assert ids(write, some) == ["harm-a", "harm-c"]


def test_a_selection_of_a_selection_offers_no_more_than_that(write: Write) -> None:
    write(ABC, "abc.yaml")
    write("constitution: two\nextends: {pack: ./abc.yaml, only: [harm-a]}\n", "two.yaml")
    with pytest.raises(RuleErrors, match=r"`./two.yaml` has no rule `harm-b`\n  hint: did you mean `harm-a`"):
        load(write("constitution: mine\nextends: [{pack: ./two.yaml, only: [harm-b]}]\n"))


def test_a_rule_taken_from_two_packs_counts_once_and_its_last_change_wins(write: Write) -> None:
    write(ABC, "abc.yaml")
    for name, severity in (("two", "low"), ("three", "high")):
        head = f"constitution: {name}\nextends: {{pack: ./abc.yaml, only: [harm-a]}}\n"
        write(head + f"rules:\n  - {{id: harm-a, severity: {severity}}}\n", f"{name}.yaml")
    (only,) = load(write("constitution: mine\nextends: [./two.yaml, ./three.yaml]\n")).constitution
    assert (only.id, only.severity.value) == ("harm-a", "high")


def test_what_is_left_out_has_no_place_in_the_loaded_whole(write: Write) -> None:
    write(ABC, "abc.yaml")
    loaded = load(write("constitution: mine\nextends: {pack: ./abc.yaml, only: [harm-a]}\n"))
    with pytest.raises(KeyError):
        loaded.locate("harm-b")


@pytest.mark.parametrize(
    ("item", "fault"),
    [
        ("{from: base}", "unknown key `from` in the file"),
        ("{pack: base, only: []}", "the file: `only` is empty"),
        ("{pack: base, only: defamation}", "the file: `only` must be a list, not `defamation`"),
        ("{only: [defamation]}", "an item of `extends` names no pack"),
        ("[base]", "the file: an item of `extends` must be a pack, not a list"),
        ("{pack: base, only: [defamaton]}", "`base` has no rule `defamaton`"),
        ("{pack: bass}", "no pack `bass`"),
        ("{pack: base, only: [3]}", "`base` has no rule `3`"),
    ],
)
def test_a_wrong_selection_is_refused_in_one_line(write: Write, item: str, fault: str) -> None:
    path = write(f"constitution: mine\nextends: [{item}]\nrules:\n" + rule("harm-a"))
    with pytest.raises(RuleErrors) as refused:
        load(path)
    faults = refused.value.errors
    assert [error.fault.startswith(fault) for error in faults] == [True], [str(error) for error in faults]
    assert all(error.hint and error.where for error in faults)


@pytest.mark.parametrize("last", [False, True], ids=["first", "last"])
def test_a_file_of_which_one_rule_is_taken_neither_disables_nor_changes_the_others(write: Write, last: bool) -> None:
    write(ABC, "abc.yaml")
    rules = (
        "rules:\n  - {id: harm-b, disabled: true}\n  - {id: harm-c, severity: low}\n  - {id: harm-a, severity: high}\n"
    )
    write("constitution: two\nextends: ./abc.yaml\n" + rules, "two.yaml")
    items = ["{pack: ./two.yaml, only: [harm-a]}", "./abc.yaml"]
    text = f"constitution: mine\nextends: [{', '.join(items if last else reversed(items))}]\n"
    loaded = load(write(text))
    severities = [(each.id, str(each.severity)) for each in loaded.constitution]
    assert severities == [("harm-a", "high"), ("harm-b", "medium"), ("harm-c", "medium")]
    assert loaded.origin("harm-c", "severity").kind == "default"
    assert loaded.origin("harm-a", "severity").kind == "written"


def test_a_rule_that_a_file_changes_has_what_its_pack_and_the_packs_defaults_say_of_it(write: Write) -> None:
    write(ABC.replace("rules:", "defaults: {on_error: allow}\nrules:"), "abc.yaml")
    write("constitution: two\nextends: ./abc.yaml\nrules:\n  - {id: harm-b, title: Changed}\n", "two.yaml")
    write("constitution: other\nextends: ./abc.yaml\nrules:\n  - {id: harm-b, disabled: true}\n", "other.yaml")
    text = (
        "constitution: mine\nextends: [{pack: ./two.yaml, only: [harm-a]}, {pack: ./other.yaml, only: [harm-c]}]\n"
        "rules:\n  - {id: harm-b, disabled: false, why: It hurts whoever lives next door to it.}\n"
    )
    loaded = load(write(text))
    changed = {each.id: each for each in loaded.constitution}["harm-b"]
    assert (changed.title.say("en"), str(changed.on_error)) == ("Changed", "allow")
    assert changed.why.say("en").startswith("It hurts")
    assert loaded.origin("harm-b", "on_error").kind == "defaults"
