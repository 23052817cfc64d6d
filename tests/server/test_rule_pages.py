"""docs/rules/ and `wardlaw rules show`: every rule has its page, and both say the same."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest
import yaml

from rules.digest import rule_digest
from rules.files import PACKS, packs
from rules.load import load
from rules.schema import Action, Constitution, Rule
from server.cli._printable import printable
from server.cli.main import main
from server.generators.rule_pages import pages
from server.pages.blocks import Code, Page
from server.pages.markdown import escaped, markdown
from server.pages.rule import rule_page

ROOT = Path(__file__).resolve().parents[2]
CODE = re.compile(r"(?P<fence>`+)(?!`).*?(?<!`)(?P=fence)(?!`)", re.DOTALL)
LINK = re.compile(r"(?<!\\)\]\(([^)\s]+)\)")


@pytest.fixture(scope="module")
def known() -> dict[str, Constitution]:
    return {name: load(name).constitution for name in packs()}


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    return pages(ROOT)


@pytest.fixture(scope="module")
def homes(known: dict[str, Constitution]) -> dict[str, str]:
    """Rule id -> the pack whose own file has the rule whole."""
    found: dict[str, str] = {}
    for name in known:
        written = yaml.load((PACKS / f"{name}.yaml").read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
        for rule in written.get("rules", ()):
            if "title" in rule:
                assert rule["id"] not in found
                found[rule["id"]] = name
    return found


def test_no_rule_of_a_pack_lacks_its_page_and_no_page_its_rule(made, known) -> None:
    rules = {f"{rule.id}.md" for constitution in known.values() for rule in constitution}
    assert {name for name in made if "/" not in name} == rules | {"README.md"}
    assert {name for name in made if "/" in name} == {f"packs/{name}.md" for name in known}
    assert len(rules) > 100


def test_every_link_leads_to_a_page(made) -> None:
    folder = ROOT / "docs" / "rules"
    for name, text in made.items():
        for target in LINK.findall(CODE.sub("code", text)):
            path = ((folder / name).parent / target).resolve()
            inside = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else None
            assert inside in made or path.is_file(), (name, target)


def test_the_index_names_each_rule_once_with_the_packs_that_bring_it(made, known) -> None:
    rows = re.findall(r"^\| \[`([a-z0-9-]+)`\]\(\1\.md\) \|.*?\| ([^|]*) \|$", made["README.md"], re.MULTILINE)
    bringing = {rule_id: set(re.findall(r"\[`([^`]+)`\]", cell)) for rule_id, cell in rows}
    assert len(rows) == len(bringing)
    ids = {rule.id for constitution in known.values() for rule in constitution}
    assert bringing == {each: {name for name in known if each in [rule.id for rule in known[name]]} for each in ids}


def spans(page: Page) -> list[str]:
    """Every text that a page says, in order."""
    said = [page.title]
    for section in page.sections:
        said.append(section.heading)
        for block in section.blocks:
            if isinstance(block, Code):
                said += block.text.splitlines()
            else:
                lines = getattr(block, "lines", None) or (block.line,)
                said += [span.text for line in lines for span in line]
    return [printable(each) for each in said]


def in_order(said: list[str], text: str) -> None:
    """Hold that a text says all of these, one after the other, whatever the spaces and bullets."""
    place, plain = 0, re.sub(r"[\s-]", "", text)
    for each in said:
        found = plain.find(re.sub(r"[\s-]", "", each), place)
        assert found >= 0, each
        place = found


@pytest.mark.parametrize("rule_id", ["violence-glorification", "hidden-text", "false-human-identity"])
def test_the_terminal_says_what_the_page_says(rule_id: str, made, capsys) -> None:
    assert main(["rules", "show", rule_id]) == 0
    printed = capsys.readouterr().out
    page = rule_page(load("base").constitution.rule(rule_id), "en", (), "base")
    in_order(spans(page), printed)
    in_order([line for line in markdown(page).splitlines()[4:] if line], made[f"{rule_id}.md"])


def unescaped(text: str) -> str:
    """What a reader of Markdown shows of a line."""
    return html.unescape(re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", text.replace("<br>", "\n")))


def test_every_example_of_every_rule_stands_on_its_page_as_it_is(made, known, homes) -> None:
    for rule_id, name in homes.items():
        rule = known[name].rule(rule_id)
        shown = " ".join(unescaped(made[f"{rule_id}.md"]).split())
        examples = (*rule.examples.breaks, *rule.examples.keeps, *rule.tests.breaks, *rule.tests.keeps)
        said = [turn.content for example in examples for turn in example.messages if turn.content.isprintable()]
        assert [each for each in said if " ".join(each.split()) not in shown] == []


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ignore *all* <b>this</b>", r"ignore \*all\* &lt;b&gt;this&lt;/b&gt;"),
        ("# not a heading\n- nor a list", r"\# not a heading<br>\- nor a list"),
        ("see [this](https://evil.example)", r"see \[this\](https&#58;//evil.example)"),
        ("1. one", r"1\. one"),
        ("a\u200bb", r"a\\u200bb"),
    ],
)
def test_a_text_of_a_rule_is_no_markup(text: str, shown: str) -> None:
    assert escaped(text) == shown
    assert unescaped(shown) == text.replace("\u200b", "\\u200b")


def allowed(rule: Rule, pack: str) -> list[str]:
    (section,) = (each for each in rule_page(rule, "en", (), pack).sections if each.heading == "How to allow it")
    return [block.text for block in section.blocks if isinstance(block, Code)]


def test_the_lines_that_allow_a_rule_do_what_is_said(tmp_path: Path, known) -> None:
    path = tmp_path / "rules.yaml"
    for rule in known["base"]:
        off, shadow, milder, *_ = (block for block in allowed(rule, "base") if block.startswith("constitution:"))
        path.write_text(off, encoding="utf-8")
        assert rule.id not in [each.id for each in load(path).constitution]
        path.write_text(shadow, encoding="utf-8")
        assert load(path).constitution.rule(rule.id).mode == "shadow"
        path.write_text(milder, encoding="utf-8")
        after = load(path).constitution.rule(rule.id)
        assert {after.action(part) for part in rule.watches} <= {Action.FLAG, Action.ALLOW}


def test_a_copy_is_the_rule_and_takes_one_example_more(tmp_path: Path, known, capsys) -> None:
    path = tmp_path / "rules.yaml"
    for name, rule_id in (("base", "defamation"), ("privacy", "email-address-exposure"), ("base", "hidden-text")):
        assert main(["rules", "show", rule_id, name, "--copy"]) == 0
        copy = capsys.readouterr().out
        path.write_text(copy, encoding="utf-8")
        assert rule_digest(load(path).constitution.rule(rule_id)) == rule_digest(known[name].rule(rule_id))
    path.write_text(
        copy.replace("      keeps:\n", "      keeps:\n        - The text that is fine.\n"), encoding="utf-8"
    )
    keeps = load(path).constitution.rule(rule_id).examples.keeps
    assert keeps[0].text == "The text that is fine."
    assert len(keeps) == 1 + len(known["base"].rule(rule_id).examples.keeps)


def test_a_rule_of_ones_own_is_told_what_to_write_into_it(tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    main(["init", "."])
    capsys.readouterr()
    (rule_id,) = (each["id"] for each in yaml.safe_load(Path("rules.yaml").read_text("utf-8"))["rules"])
    assert main(["rules", "show", rule_id, "rules.yaml"]) == 0
    shown = capsys.readouterr().out
    assert "It is your own rule: write what is needed into it." in shown
    assert "constitution: my-rules" not in shown
    assert f"      - id: {rule_id}\n        mode: shadow\n" in shown
