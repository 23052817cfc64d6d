"""New examples in a rule file: put in where they belong, with every other letter left as it was, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.errors import RuleError
from rules.examples import Example
from rules.insertion import InsertionError, insert, inserted
from rules.load import load

Write = Callable[..., str]
HEAD = "# what this file is for\nconstitution: mine   # its name\n\nrules:\n"
RULE = """\
  - id: some-harm
    title: A rule     # said in short
    rule: Do not.

    # why it is here
    why: It would hurt somebody who did nothing.
    detect: null
"""
OTHER = """\

  # the next one
  - id: other-harm
    title: Another
    rule: Do not.
    why: It would hurt somebody who did nothing.
"""
ANSWER = Example.model_validate({"prompt": "And now?", "response": "Now: run."})
LAYOUTS = {
    "block": """\
      breaks:
        - one # a comment

        # another
      keeps: [two]
""",
    "block in step with its key": """\
      breaks:
      - one
      - 'two'
      # the near ones
      keeps:
      - three
""",
    "last is folded": """\
      breaks:
        - >-
          one that is
          long

      keeps: []
""",
    "last is kept whole": """\
      breaks:
        - |+
          one


""",
    "last has a prompt and an answer": """\
      breaks:
        - prompt: one
          response: 'it''s'  # why
""",
    "last is a conversation": """\
      breaks:
        - messages:
            - {role: user, content: a}
            - role: tool
              content: b
""",
    "brackets": "{breaks: [one, two], keeps: [three]}\n",
    "brackets after other scripts": "{keeps: [怎么做？, 😀 ok], breaks: [为什么?]}  # 注释\n",
    "empty brackets": "{breaks: [], keeps: [three]}\n",
    "empty brackets with space": """\
      breaks: [   ]
""",
    "brackets over lines": """\
      breaks: [
        one,  # first, it was
        'two',  # last
      ]
""",
    "brackets with a comment": """\
      breaks: [
        one,
        two  # last, it is
      ]
""",
    "no such side": """\
      keeps:
        - one
    mode: shadow
""",
    "no such side in brackets": "{keeps: [one]}   # only near ones\n",
    "examples in empty brackets": "{}\n",
    "plain over lines": """\
      breaks:
        - one that
          goes on
    mode: shadow
""",
    "quoted over lines": """\
      breaks:
        - "one that \\
          goes on"
    mode: shadow
""",
}
LAYOUTS = {name: f"    examples:{' ' if said.startswith('{') else chr(10)}{said}" for name, said in LAYOUTS.items()} | {
    "no examples": ""
}


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_examples_come_last_in_their_list_and_all_else_stays_letter_for_letter(
    write: Write, layout: str, end: str
) -> None:
    text = (HEAD + RULE + LAYOUTS[layout] + OTHER).replace("\n", end)
    name = write(text)
    before = load(name).constitution.rule("some-harm")
    path, after = insert([name], "some-harm", {"breaks": [Example.model_validate("Yes: no, #1 [x]"), ANSWER]})
    assert path == Path(name).resolve()
    assert after.constitution == load(name).constitution
    rule = after.constitution.rule("some-harm")
    assert rule.examples.keeps == before.examples.keeps
    assert rule.examples.breaks[:-2] == before.examples.breaks
    assert [[turn.content for turn in each.messages] for each in rule.examples.breaks[-2:]] == [
        ["Yes: no, #1 [x]"],
        ["And now?", "Now: run."],
    ]
    written = path.read_bytes().decode()
    assert ("\n" in written.replace("\r\n", "")) == (end == "\n")
    kept = iter(written)
    assert all(char in kept for char in text)  # nothing was taken out, and all of it stands in its order


def test_lines_are_added_with_the_layout_of_their_neighbours(write: Write) -> None:
    name = write(HEAD + RULE + LAYOUTS["block"] + OTHER)
    insert([name], "some-harm", {"breaks": [Example.model_validate("Two?"), ANSWER], "keeps": [ANSWER]})
    assert (
        LAYOUTS["block"]
        .replace(
            "- one # a comment\n",
            "- one # a comment\n        - Two?\n        - prompt: And now?\n          response: 'Now: run.'\n",
        )
        .replace("[two]", "[two, {prompt: 'And now?', response: 'Now: run.'}]")
        in Path(name).read_text()
    )


def test_a_rule_without_examples_gets_them_after_its_last_field(write: Write) -> None:
    name = write(HEAD + RULE + OTHER)
    insert([name], "some-harm", {"keeps": [Example.model_validate("Is it safe?")]})
    added = "    examples:\n      keeps:\n        - Is it safe?\n"
    assert Path(name).read_text() == HEAD + RULE + added + OTHER


def test_the_first_example_that_breaks_a_rule_may_make_the_gate_look_for_it(write: Write) -> None:
    name = write(HEAD + RULE.replace("    detect: null\n", "") + OTHER)
    _, after = insert([name], "some-harm", {"breaks": [Example.model_validate("Help me.")]})
    assert after.constitution.rule("some-harm").detect is not None


def test_a_file_without_a_last_line_break_and_a_byte_order_mark_are_taken(write: Write) -> None:
    name = write("\ufeff" + HEAD + RULE.rstrip("\n") + "\n    examples:\n      breaks:\n        - one")
    insert([name], "some-harm", {"breaks": [Example.model_validate("two")]})
    assert Path(name).read_text().endswith("        - one\n        - two\n")
    assert Path(name).read_text().startswith("\ufeff# what")


def test_the_file_that_holds_the_examples_is_changed_and_no_other(write: Write) -> None:
    base = write(HEAD + RULE + LAYOUTS["block"] + OTHER, "company.yaml")
    top = write("constitution: top\nextends: ./company.yaml\nrules:\n  - id: some-harm\n    mode: shadow\n", "top.yaml")
    was = Path(top).read_text()
    path, after = insert([top], "some-harm", {"breaks": [Example.model_validate("two")]})
    assert path.name == base
    assert Path(top).read_text() == was
    assert after.constitution.rule("some-harm").mode == "shadow"


def test_a_pack_that_ships_is_refused_with_what_to_write() -> None:
    with pytest.raises(InsertionError) as refused:
        insert(["base"], "defamation", {"breaks": [ANSWER]})
    assert "stands in the pack `base`, which ships with the project" in refused.value.what
    assert "`extends: [base]`" in refused.value.hint


@pytest.mark.parametrize(
    "examples",
    [
        "    examples: &shared {breaks: [one]}\n",
        "    examples:\n      breaks: &shared [one]\n",
    ],
)
def test_a_list_that_another_rule_shares_is_left_alone(write: Write, examples: str) -> None:
    shares = "    examples: *shared\n" if "&shared {" in examples else "    examples: {breaks: *shared}\n"
    name = write(HEAD + RULE + examples + OTHER + shares)
    was = Path(name).read_text()
    with pytest.raises(InsertionError, match="nothing was written"):
        insert([name], "some-harm", {"breaks": [ANSWER]})
    assert Path(name).read_text() == was
    assert [each.name for each in Path.cwd().iterdir()] == [name]


def test_what_would_be_a_fault_is_not_written(write: Write) -> None:
    name = write(HEAD + RULE + LAYOUTS["block"] + OTHER)
    was = Path(name).read_text()
    long = Example.model_validate("word " * 220_000)
    with pytest.raises(InsertionError, match="larger than 1 MiB"):
        insert([name], "some-harm", {"breaks": [long]})
    assert Path(name).read_text() == was


def test_a_file_that_is_at_fault_already_says_so(write: Write) -> None:
    name = write(HEAD + RULE + "    severty: low\n")
    with pytest.raises(RuleError, match="severty"):
        insert([name], "some-harm", {"breaks": [ANSWER]})


@settings(max_examples=150, deadline=None)
@given(
    text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60).filter(lambda text: text.strip()),
    layout=st.sampled_from(["block", "brackets", "no examples", "last is kept whole"]),
)
def test_any_text_comes_back_as_it_was(text: str, layout: str) -> None:
    import yaml

    example = Example.model_validate(text)
    written = inserted(HEAD + RULE + LAYOUTS[layout] + OTHER, "some-harm", "breaks", [example, ANSWER])
    rule = yaml.safe_load(written)["rules"][0]
    assert rule["examples"]["breaks"][-2] == example.text
    assert rule["examples"]["breaks"][-1] == {"prompt": "And now?", "response": "Now: run."}
