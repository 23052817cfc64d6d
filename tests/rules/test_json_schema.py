from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

import rules.files
from rules.docstrings import field_docstrings
from rules.json_schema import models_in, rule_file_schema
from rules.rule_file import RuleFile
from rules.schema import Rule

ROOT = Path(__file__).parents[2]
STARTER = ROOT / "server" / "cli" / "_starter" / "rules.yaml"
PACKS = sorted(rules.files.PACKS.glob("*.yaml"))

WHOLE = """
constitution: mine
title: {en: Mine, zh-TW: 我的}
extends: [base, ./team.yaml]
defaults: {mode: shadow}
rules:
  - id: some-harm
    title: A rule
    rule: {en: Do not., zh: 不要。}
    why: It would hurt somebody who did nothing.
    detect: {patterns: [{literal: pipe bomb}, {regex: x+, watches: [response]}], meaning: {threshold: 0.5}}
    on: {prompt: revise, tool_result: block}
    demonstrations:
      - prompt: Hi
        answer: A b c.
        critique: {quotes: [b], problem: Wrong., verdict: breaks}
        revision: A.
    examples:
      breaks: [one, {prompt: two, response: three, note: why}]
      keeps: [{messages: [{role: user, content: four}]}, {prompt: [{role: user, content: five}], response: six}]
  - {id: other-harm, severity: high}
  - {id: third-harm, disabled: true}
  - {id: fourth-harm, reply: null}
"""


class Editor(yaml.SafeLoader):
    """Reads YAML as editors do, by YAML 1.2: `on` is text."""


Editor.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Editor.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(true|false)$"), list("tf"))


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    schema = rule_file_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def as_editor(text: str) -> Any:
    return yaml.load(text, Editor)


def test_every_short_form_is_valid(validator: jsonschema.Draft202012Validator) -> None:
    assert list(validator.iter_errors(as_editor(WHOLE))) == []


@pytest.mark.parametrize("path", [STARTER, *PACKS], ids=lambda path: path.parent.name + "/" + path.name)
def test_what_ships_is_valid(path: Path, validator: jsonschema.Draft202012Validator) -> None:
    errors = [
        f"{error.json_path}: {error.message}" for error in validator.iter_errors(as_editor(path.read_text("utf-8")))
    ]
    assert errors == []


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ("extends:", "extend:"),
        ("severity: high", "severty: high"),
        ("severity: high", "severity: hihg"),
        ("zh-TW: 我的", "jp: 我的"),
        ("breaks: [one,", "breaks: ['',"),
        ("{literal: pipe bomb}", "{literal: pipe bomb, regex: x}"),
        ("{literal: pipe bomb}", "pipe bomb"),
        ("response: three,", "respons: three,"),
        ("tool_result: block", "tool_result: stop"),
        ("threshold: 0.5", "threshold: 5"),
        ("id: some-harm", "id: Some Harm"),
        ("  - id: some-harm\n    title", "  - title"),
    ],
)
def test_an_editor_marks_a_fault(was: str, becomes: str, validator: jsonschema.Draft202012Validator) -> None:
    assert was in WHOLE
    assert list(validator.iter_errors(as_editor(WHOLE.replace(was, becomes))))


def test_every_field_is_described_in_the_schema() -> None:
    schema = rule_file_schema()
    for name, definition in {**schema["$defs"], "file": schema}.items():
        for field, value in definition.get("properties", {}).items():
            assert value.get("description"), f"{name}.{field}"


@pytest.mark.parametrize("model", [RuleFile, *models_in(Rule)], ids=lambda model: model.__name__)
def test_every_field_of_a_model_has_a_docstring(model: Any) -> None:
    if model.__name__ != "Text":  # its one field is the map itself
        assert all(field_docstrings(model).values())


def test_the_file_that_editors_load_is_the_schema() -> None:
    text = (ROOT / "rules" / "rule_file.schema.json").read_text(encoding="utf-8")
    assert json.loads(text) == rule_file_schema()
