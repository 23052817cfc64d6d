"""Templates that a person edits: what is wrong with them is said, with the file and the key."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from constitution.spoken import TemplateError
from constitution.templates import PROMPTS, TemplateSet


@pytest.fixture
def edited(tmp_path: Path) -> Callable[..., Path]:
    """A folder with one English file in which the keys at a dotted path are changed; None takes a key away."""

    def make(changes: dict[str, Any], name: str = "en.yaml") -> Path:
        whole = yaml.safe_load((PROMPTS / "en.yaml").read_text(encoding="utf-8"))
        for path, value in changes.items():
            *parents, last = path.split(".")
            place = whole
            for key in parents:
                place = place[key]
            if value is None:
                del place[last]
            else:
                place[last] = value
        (tmp_path / name).write_text(yaml.safe_dump(whole, allow_unicode=True), encoding="utf-8")
        return tmp_path

    return make


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"critique.ask": None}, "`critique.ask`"),
        ({"critique.aks": "x"}, "`critique.aks`"),
        ({"critique.ask": ""}, "`critique.ask`"),
        ({"revision.shots": 9}, "`revision.shots`"),
        ({"revision.shots": "two"}, "`revision.shots`"),
        ({"speakers": None}, "`speakers`"),
        ({"evasive.refusals": ["(unclosed"]}, "`(unclosed` is no regular expression"),
        ({"process_words": ["*"]}, "`*` is no regular expression"),
        ({"first_person": "["}, "`[` is no regular expression"),
        ({"rationale.ask": "{% for x in %}"}, "`rationale.ask` does not read"),
        ({"judge.ask": "{{ answer "}, "`judge.ask` does not read"),
        ({"critique.ask": "{% include 'other' %}{% if %}"}, "`critique.ask` does not read"),
        ({"surprise": 1}, "`surprise`"),
    ],
)
def test_a_fault_is_named_with_its_file_and_key(edited, changes, said):
    with pytest.raises(TemplateError) as caught:
        TemplateSet.read(edited(changes))
    assert "en.yaml" in caught.value.what
    assert said in caught.value.what
    assert "\n" not in caught.value.what
    assert caught.value.hint


@pytest.mark.parametrize("text", ["a: [", "\tx: 1", "- just\n- a list", "", "42", "a: &a [*a]"])
def test_a_file_that_is_no_templates_is_named(tmp_path, text):
    (tmp_path / "en.yaml").write_text(text)
    with pytest.raises(TemplateError, match=r"en\.yaml"):
        TemplateSet.read(tmp_path)


def test_a_file_that_is_not_utf8_is_named(tmp_path):
    (tmp_path / "en.yaml").write_bytes(b"language: \xff\xfe")
    with pytest.raises(TemplateError, match=r"en\.yaml"):
        TemplateSet.read(tmp_path)


@pytest.mark.parametrize("there", [True, False])
def test_a_folder_without_templates_is_named(tmp_path, there):
    folder = tmp_path if there else tmp_path / "gone"
    with pytest.raises(TemplateError, match="no templates in"):
        TemplateSet.read(folder)


def test_several_languages_need_english_to_fall_back_to(edited):
    edited({"language": "fr"}, "fr.yaml")
    with pytest.raises(TemplateError, match="none is `en`"):
        TemplateSet.read(edited({"language": "de"}, "de.yaml"))


def test_one_language_alone_serves_all(edited):
    assert TemplateSet.read(edited({"language": "fr"}, "fr.yaml")).of("zh").language == "fr"


def test_a_name_that_no_template_has_is_said_when_it_is_rendered(edited):
    templates = TemplateSet.read(edited({"critique.ask": "{{ anwser }}"})).of("en")
    with pytest.raises(TemplateError, match=r"critique\.ask.*anwser"):
        templates.render("critique", answer="x", conversation=[], rule={})


def test_a_template_cannot_reach_into_python(edited):
    templates = TemplateSet.read(edited({"critique.ask": "{{ answer.__class__.__mro__ }}"})).of("en")
    with pytest.raises(TemplateError):
        templates.render("critique", answer="x", conversation=[], rule={})


def test_what_a_user_wrote_is_never_read_as_a_template():
    templates = TemplateSet.read().of("en")
    rule = {"id": "a", "title": "t", "rule": "r", "why": "w", "allowed": [], "critique": None, "revision": None}
    said = templates.render("critique", answer="{{ 6 * 7 }}", conversation=templates.conversation("{% x %}"), rule=rule)
    assert "{{ 6 * 7 }}" in said
    assert "{% x %}" in said


def test_the_digest_changes_with_a_text_and_not_with_a_comment(edited):
    before = TemplateSet.read(edited({})).digest
    file = edited({}) / "en.yaml"
    file.write_text(f"# a comment\n{file.read_text(encoding='utf-8')}", encoding="utf-8")
    assert TemplateSet.read(file.parent).digest == before
    assert TemplateSet.read(edited({"critique.system": "Be exact."})).digest != before


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_templates_that_ship_speak_their_language(language):
    templates = TemplateSet.read().of(language)
    assert templates.language == language
    assert {shot.language for shot in templates.demonstrations} == {language}
    assert TemplateSet.read().of("pt").language == "en"
