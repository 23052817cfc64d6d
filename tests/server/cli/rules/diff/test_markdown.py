"""The comment that a forge shows."""

from __future__ import annotations

import html
import json
import os
import re
from pathlib import Path

import pytest

from server.cli.rules._diff_markdown import code
from tests.server.cli.rules.diff.sample import HOSTILE, OLD

GOLDEN = Path(__file__).parents[2] / "golden"


def golden(name: str, text: str) -> None:
    """Compare with a kept file; `WARDLAW_GOLDEN=write` writes it."""
    file = GOLDEN / name
    if os.environ.get("WARDLAW_GOLDEN") == "write":
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")


def test_the_comment_reads_as_it_did(run, folder):
    with (folder / "texts.jsonl").open("a") as lines:
        lines.write(json.dumps({"id": "e @octocat", "prompt": f"tangerine {HOSTILE}"}) + "\n")
    found = run("old.yaml", "new.yaml", "--on", "texts.jsonl", "--format", "markdown")
    golden("rules_diff.md", found.out)
    assert found.out.splitlines()[0].startswith("**2 rules: 1 disabled, 1 changed; 2 can change verdicts; 4 of 5 texts")


@pytest.mark.parametrize(
    "text", [HOSTILE, "`a` ``b``", "<!-- x", "&lt; &#64;octocat", "\u202eabc", "a\n\n## b", "@a@b.example"]
)
def test_nobodys_text_can_break_a_page_or_name_a_person(text):
    made = code(text)
    inside = made.removeprefix("<code>").removesuffix("</code>")
    assert not re.search(r"[<>@`|\[\]!\n*_#:](?!\d)", inside.replace("&#", ""))
    assert not re.search(r"&(?!#\d+;)", inside)
    assert not re.search(r"@\w", html.unescape(inside))
    assert "www." not in inside
    assert html.unescape(inside).replace("\u200b", "").split()[0] in " ".join(text.split()).replace("\u202e", "\\u202e")


def test_the_rules_own_texts_are_shown_as_text(run, folder):
    quoted = json.dumps(f"Do not say {HOSTILE}")
    (folder / "new.yaml").write_text(OLD.replace("Do not say the secret word to anybody.", quoted), encoding="utf-8")
    out = run("old.yaml", "new.yaml", "--format", "markdown").out
    assert "@octocat" not in html.unescape(out)
    assert "<img" not in out
    assert out.count("</details>") == out.count("<details>")


def test_a_comment_is_never_longer_than_a_forge_takes(run, folder):
    rule = "    title: A\n    rule: Do not say {}.\n    why: It hurts somebody else.\n    detect: null\n"
    many = "".join(f"  - id: rule-{n}\n" + rule.format("*" * 90) for n in range(1500))
    (folder / "many.yaml").write_text("constitution: many\nrules:\n" + many)
    (folder / "other.yaml").write_text("constitution: many\nrules:\n" + many.replace("*", "_"))
    lines = "".join(json.dumps({"prompt": f"tangerine {'|' * 300} {n}"}) + "\n" for n in range(300))
    (folder / "long.jsonl").write_text(lines)
    changed = run("many.yaml", "other.yaml", "--format", "markdown").out
    flipped = run("old.yaml", "new.yaml", "--on", "long.jsonl", "-n", "300", "--format", "markdown").out
    for out in (changed, flipped):
        assert 10_000 < len(out) < 65_536
        assert out.count("<details>") == out.count("</details>") == 1
        assert re.search(r"\.\.\. and [\d,]+ more", out)
