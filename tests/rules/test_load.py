from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rules.errors import Location, RuleErrors
from rules.load import load
from rules.schema import Action, Detect, Part, Severity

Write = Callable[..., str]
WHY = "why: It would hurt somebody who did nothing."


def rule(rule_id: str, more: str = "") -> str:
    body = f"  - id: {rule_id}\n    title: A rule\n    rule: Do not.\n    {WHY}\n"
    return body + "".join(f"    {line}\n" for line in more.splitlines())


def file(*rules: str, head: str = "constitution: mine\n") -> str:
    return head + "rules:\n" + "".join(rules)


def test_a_later_file_replaces_the_fields_it_names_and_no_others(write: Write) -> None:
    write(file(rule("some-harm", "severity: low\nreply: No."), head="constitution: first\n"), "first.yaml")
    changed = "  - id: some-harm\n    severity: critical\n"
    loaded = load(write(file(changed, rule("other-harm"), head="constitution: mine\nextends: [./first.yaml]\n")))
    some = loaded.constitution.rule("some-harm")
    assert (some.severity, str(some.reply)) == (Severity.CRITICAL, "No.")
    assert [each.id for each in loaded.constitution] == ["some-harm", "other-harm"]
    assert [path.name for path in loaded.files] == ["first.yaml", "rules.yaml"]


def test_null_takes_an_optional_field_away(write: Write) -> None:
    write(file(rule("some-harm", "reply: No.")), "first.yaml")
    text = file("  - id: some-harm\n    reply: null\n", head="constitution: mine\nextends: ./first.yaml\n")
    assert load(write(text)).constitution.rule("some-harm").reply is None


EXAMPLES = "examples: {breaks: [How?], keeps: [Who?]}"


def overridden(write: Write, first: str, second: str) -> Detect | None:
    """How a rule is detected that one file defines and another one changes."""
    write(file(rule("some-harm", first), head="constitution: first\n"), "first.yaml")
    changed = "  - id: some-harm\n" + "".join(f"    {line}\n" for line in second.splitlines())
    head = "constitution: mine\nextends: ./first.yaml\n"
    return load(write(file(changed, head=head))).constitution.rule("some-harm").detect


@pytest.mark.parametrize(
    ("first", "second", "seen"),
    [
        (EXAMPLES, "severity: high", True),
        ("severity: low", EXAMPLES, True),
        (EXAMPLES, "examples: {keeps: [Who?]}", False),
        (EXAMPLES, "detect: null", False),
        ("detect: null", EXAMPLES, False),
        (EXAMPLES + "\ndetect: null", "detect: {}", True),
        ("severity: low", "severity: high", False),
    ],
)
def test_a_rule_with_examples_is_seen_unless_null_says_not_to(
    first: str, second: str, seen: bool, write: Write
) -> None:
    assert overridden(write, first, second) == (Detect() if seen else None)


def test_the_five_lines_of_the_readme_are_seen_by_the_gate(write: Write) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    block = next(each for each in readme.split("```yaml\n")[1:] if each.startswith("- id: "))
    (only,) = load(write("constitution: mine\nrules:\n" + block.partition("```")[0])).constitution
    assert only.detect == Detect()


def test_disabled_drops_a_rule_and_a_later_file_may_bring_it_back(write: Write) -> None:
    write(file(rule("some-harm"), rule("other-harm")), "first.yaml")
    write(
        file("  - id: some-harm\n    disabled: true\n", head="constitution: bb\nextends: ./first.yaml\n"), "second.yaml"
    )
    assert [each.id for each in load("second.yaml").constitution] == ["other-harm"]
    write(
        file("  - id: some-harm\n    disabled: false\n", head="constitution: cc\nextends: ./second.yaml\n"),
        "third.yaml",
    )
    assert [each.id for each in load("third.yaml").constitution] == ["some-harm", "other-harm"]


def test_defaults_hold_for_the_rules_a_file_defines_and_that_do_not_say(write: Write) -> None:
    write(file(rule("some-harm")), "first.yaml")
    head = "constitution: mine\nextends: ./first.yaml\ndefaults: {mode: shadow, on_error: allow}\n"
    own = [rule("new-harm"), rule("firm-harm", "mode: enforce"), "  - id: some-harm\n    severity: high\n"]
    rules = load(write(file(*own, head=head))).constitution
    assert (rules.rule("new-harm").mode, rules.rule("new-harm").on_error) == ("shadow", "allow")
    assert (rules.rule("firm-harm").mode, rules.rule("firm-harm").on_error) == ("enforce", "allow")
    assert rules.rule("some-harm").mode == "enforce"


def test_a_file_that_two_others_extend_is_read_once(write: Write) -> None:
    write(file(rule("some-harm")), "root.yaml")
    write(file("  - id: some-harm\n    severity: high\n", head="constitution: aa\nextends: ./root.yaml\n"), "a.yaml")
    write("constitution: bb\nextends: ./root.yaml\n", "b.yaml")
    loaded = load(write("constitution: mine\nextends: [./a.yaml, ./b.yaml]\n"))
    assert loaded.constitution.rule("some-harm").severity is Severity.HIGH
    assert [path.name for path in loaded.files] == ["root.yaml", "a.yaml", "b.yaml", "rules.yaml"]


def test_a_pack_is_extended_and_loaded_by_its_name(write: Write, packs: Path) -> None:
    (packs / "harms.yaml").write_text(file(rule("some-harm"), head="constitution: harms\n"))
    assert len(load("harms").constitution) == 1
    loaded = load(write(file(rule("own-harm"), head="constitution: mine\nextends: [harms]\n")))
    assert [each.id for each in loaded.constitution] == ["some-harm", "own-harm"]


def test_a_folder_is_one_constitution_in_the_order_of_names(write: Write) -> None:
    write(file(rule("second-harm"), head="constitution: second\n"), "rules/b.yaml")
    write(file(rule("first-harm"), head="constitution: first\n"), "rules/a.yaml")
    write("not a rule file", "rules/notes.txt")
    constitution = load("rules").constitution
    assert [each.id for each in constitution] == ["first-harm", "second-harm"]
    assert constitution.name == "second"


def test_several_files_are_one_constitution_named_by_the_last(write: Write) -> None:
    one = write(file(rule("one-harm"), head="constitution: one\n"), "one.yaml")
    two = write(file("  - id: one-harm\n    severity: low\n", head="constitution: two\ntitle: Both\n"), "two.yaml")
    constitution = load(one, two).constitution
    assert (constitution.name, str(constitution.title)) == ("two", "Both")
    assert constitution.rule("one-harm").severity is Severity.LOW


def test_the_title_falls_back_to_the_name(write: Write) -> None:
    assert str(load(write(file(rule("some-harm")))).constitution.title) == "mine"


def test_yaml_1_1_traps_are_plain_text(write: Write) -> None:
    more = "title: {no: ja}\non: {prompt: flag}\nexamples:\n  breaks: [no, 1.10, 2024-01-01, 0x1F, 12:30, yes]"
    text = file(rule("some-harm", more).replace("    title: A rule\n", ""))
    some = load(write(text)).constitution.rule("some-harm")
    assert some.title.root == {"no": "ja"}
    assert some.action(Part.PROMPT) is Action.FLAG
    assert [each.text for each in some.examples.breaks] == ["no", "1.10", "2024-01-01", "0x1F", "12:30", "yes"]


def test_a_byte_order_mark_and_windows_lines_are_read(write: Write) -> None:
    text = file(rule("some-harm")).replace("\n", "\r\n")
    assert len(load(write(b"\xef\xbb\xbf" + text.encode())).constitution) == 1


def test_aliases_are_followed(write: Write) -> None:
    text = file(rule("some-harm", "reply: &r I will not.\n"), rule("other-harm", "reply: *r"))
    assert str(load(write(text)).constitution.rule("other-harm").reply) == "I will not."


def test_every_value_of_a_rule_can_be_located(write: Write) -> None:
    write(
        file(rule("some-harm", "examples:\n  breaks:\n    - one\n    - prompt: two\n      response: three")),
        "first.yaml",
    )
    loaded = load(
        write(file("  - id: some-harm\n    reply: No.\n", head="constitution: mine\nextends: ./first.yaml\n"))
    )
    assert loaded.locate("some-harm") == Location("first.yaml", 3, 5)
    assert loaded.locate("some-harm", "reply") == Location("rules.yaml", 5, 12)
    assert loaded.locate("some-harm", "examples", "breaks", 0) == Location("first.yaml", 9, 11)
    assert loaded.locate("some-harm", "examples", "breaks", 1, "messages", 1, "content") == Location(
        "first.yaml", 11, 21
    )
    assert loaded.locate("some-harm", "tests") == Location("first.yaml", 3, 5)
    with pytest.raises(KeyError):
        loaded.locate("no-harm")


def test_a_file_at_the_limit_of_size_is_read(write: Write) -> None:
    text = file(rule("some-harm"))
    assert len(load(write(text + "#" * (1024 * 1024 - len(text)))).constitution) == 1


def test_a_hundred_aliases_are_allowed(write: Write) -> None:
    more = "sources: [&a x" + ", *a" * 100 + "]"
    assert len(load(write(file(rule("some-harm", more)))).constitution.rule("some-harm").sources) == 101


def test_a_refused_load_raises_all_faults_as_one_error(write: Write) -> None:
    with pytest.raises(RuleErrors) as caught:
        load(write(file(rule("some-harm", "a: 1\nb: 2"))))
    assert len(caught.value.errors) == 2
    assert str(caught.value).count("hint:") == 2
