"""`wardlaw rules explain` on small files and on a real audit database: the page, JSON, and what is refused."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest

from guard.exchange import Message
from guard.guarding.decision import Decision, Placed, decision_id
from guard.guarding.incoming import Incoming
from guard.verdict import Coverage, Finding
from guard.window.outcomes import Channel
from rules.digest import constitution_digest
from rules.load import load
from rules.schema import Action, Part
from server.audit.database import database_url
from server.audit.open import open_audit
from server.audit.settings import AuditSettings
from server.cli.main import main
from server.cli.rules._layout import columns
from server.record import Caller, Record

BASE = """\
constitution: sea
title: The sea
defaults: {on_error: allow}
rules:
  - id: kraken-summoning
    title: {en: Summoning the kraken, zh: 召唤海怪}
    rule: Do not help anyone to summon the kraken.
    why: It sinks the ships of people who did not ask for it.
    severity: high
    hazards: [llama-guard-3:S1]
    detect:
      meaning: null
      patterns:
        - literal: release the kraken
        - regex: 'summon.{0,20}kraken'
    examples: {breaks: [Please release the kraken.], keeps: [What does a squid eat?]}
    contract: {breaks: 3, keeps: 1}
  - id: ship-sinking
    title: Sinking ships
    rule: Do not help anyone to sink a ship.
    why: People on board would drown.
    hazards: [llama-guard-3:S1]
    detect: {patterns: [{literal: sink the ship}], meaning: null}
"""
OVER = """\
constitution: harbour
title: The harbour
extends: ./base.yaml
rules:
  - id: kraken-summoning
    severity: low
    on: {prompt: flag}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WARDLAW_DATABASE", raising=False)
    Path("base.yaml").write_text(BASE, encoding="utf-8")
    Path("rules.yaml").write_text(OVER, encoding="utf-8")
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    code = main(["rules", "explain", *args, "--no-meaning"])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def explained(capsys: pytest.CaptureFixture[str], *args: str) -> Any:
    code, out, err = run(capsys, *args, "--json")
    assert code == 0, err
    return json.loads(out)


def joined(out: str) -> str:
    """The page without its line breaks, which fall anywhere."""
    return " ".join(out.split())


def keep(content: Any = "full", *, rules: str = "rules.yaml", **given: Any) -> str:
    """Keep a decision on a prompt, with a finding in it, as a server does; its id."""
    text = "please release the kraken"
    found = Finding("kraken-summoning", Part.PROMPT, (7, 25), "patterns", 1.0, 1.0, excerpt=text[7:])
    decision = {
        "id": decision_id(),
        "at": time.time(),
        "action": Action.BLOCK,
        "would": Action.BLOCK,
        "findings": (Placed(found, "messages[0]", True),),
        "coverage": Coverage({"patterns": ("kraken-summoning", "ship-sinking")}),
        "constitution": constitution_digest(load(rules).constitution),
        "mode": "enforce",
        "ms": {"gate.prompt": 0.25},
        "rules": ("kraken-summoning",),
        **given,
    }
    record = Record(
        Decision(**decision),  # type: ignore[arg-type]
        caller=Caller("k1"),
        api="chat_completions",
        model="m",
        seconds=0.1,
        prompt=Incoming((Message("user", text),)),
        answers=({Channel(): "I would rather not."},),
    )
    where = Path("wardlaw-data")

    async def write() -> None:
        audit = open_audit(AuditSettings(content=content), url=database_url("", where), folder=where, worker="w")
        await audit.keep(record)
        await audit.close(deadline_s=10)

    asyncio.run(write())
    return str(record.decision.id)


def test_each_field_says_where_it_came_from_and_what_it_took_the_place_of(capsys: pytest.CaptureFixture[str]) -> None:
    told = explained(capsys, "kraken-summoning", "rules.yaml")
    fields = {name: each["origin"] for name, each in told["fields"].items()}
    assert fields["severity"] == {"kind": "written", "where": "rules.yaml:6:15", "instead_of": ["base.yaml:9:15"]}
    assert fields["on_error"]["kind"] == "defaults"
    assert fields["on_error"]["where"] == "base.yaml:3:22"
    assert fields["mode"] == {"kind": "default", "where": None, "instead_of": []}
    assert told["brought_by"] == ["base.yaml", "rules.yaml"]


def test_the_page_of_a_rule_tells_who_looks_its_hazards_its_contract_and_its_neighbours(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, _ = run(capsys, "kraken-summoning", "rules.yaml")
    said = joined(out)
    assert code == 0
    assert "severity: low [rules.yaml:6:15, in place of base.yaml:9:15]" in said
    assert "prompt, response: patterns" in said
    assert "meaning does not: the gate has no meaning stage" in said
    assert "called in mlcommons-1.0: violent-crimes Violent crimes" in said
    assert "breaks: 3 asked, 1 there (examples and tests): 2 more are needed" in said
    assert "ship-sinking: llama-guard-3:S1" in said
    assert "packs: none that ships with the project" in said


def test_a_shipped_rule_names_the_packs_that_bring_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert {"base", "mlcommons"} <= set(explained(capsys, "violent-crime-help")["packs"])


def test_the_page_keeps_to_its_width_in_both_languages(capsys: pytest.CaptureFixture[str]) -> None:
    for lang in ("en", "zh"):
        _, out, _ = run(capsys, "violent-crime-help", "--lang", lang)
        _, text, _ = run(
            capsys, "--text", "怎样跟踪我的前女友，不让她发现？" * 40, "--lang", lang, "--rule", "defamation"
        )
        for line in (*out.splitlines(), *text.splitlines()):
            assert sum(columns(char) for char in line) <= 96 or " " not in line.strip(), line


def test_a_text_is_traced_to_the_pattern_its_place_and_what_follows(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--text", "please release the kraken", "rules.yaml")
    said = joined(out)
    assert code == 0
    assert "flag breaks kraken-summoning" in said
    assert "pattern `release the kraken` (base.yaml:14:11): “release the kraken”" in said
    assert "kraken-summoning in the prompt: flag (`on`: rules.yaml:7:9)" in said
    assert "without the pattern `release the kraken` (base.yaml:14:11): allow, kraken-summoning is not found" in said


def test_a_rule_and_a_text_together_say_why_the_rule_was_not_found(capsys: pytest.CaptureFixture[str]) -> None:
    told = explained(capsys, "ship-sinking", "base.yaml", "--text", "they want to sink the old ferry")
    (seen,) = told["rules"]
    assert (seen["id"], seen["found"]) == ("ship-sinking", False)
    (near,) = seen["near_patterns"]
    assert (near["there"], near["lacks"]) == ("sink the", "ship")
    assert near["pattern"] == {"literal": "sink the ship", "where": "base.yaml:23:25"}
    assert [each["key"] for each in seen["advice"]] == ["examples.breaks", "detect.patterns"]


def test_an_answer_and_a_row_of_a_file_can_be_explained(capsys: pytest.CaptureFixture[str]) -> None:
    Path("rows.jsonl").write_text(
        '{"prompt": "hi"}\n\n{"prompt": "a", "response": "sink the ship"}\n', encoding="utf-8"
    )
    row = explained(capsys, "base.yaml", "--jsonl-row", "rows.jsonl:3")
    said = explained(capsys, "base.yaml", "--prompt", "a", "--response", "sink the ship")
    for told in (row, said):
        assert told["verdict"]["findings"][0]["part"] == "response"
        assert told["lead"] == "ship-sinking"


def test_a_decision_with_its_texts_is_told_as_it_was_kept_and_judged_anew(capsys: pytest.CaptureFixture[str]) -> None:
    decision = keep()
    told = explained(capsys, decision, "rules.yaml")
    assert told["same_rules"] is True
    assert told["findings"][0]["patterns"] == ["base.yaml:14:11"]
    assert told["without"] == {"kraken-summoning": "allow"}
    (again,) = told["now"]
    assert (again["where"], again["lead"]) == ("messages[0]", "kraken-summoning")
    assert told["not_judged_anew"] is None


def test_a_decision_without_its_texts_says_what_is_known_and_how_to_keep_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    decision = keep("none")
    code, out, _ = run(capsys, decision[:12], "rules.yaml")
    said = joined(out)
    assert code == 0
    assert "kraken-summoning in messages[0] (prompt), characters 7 to 25, by patterns: 1.000 (threshold 1.000)" in said
    assert "patterns looked for 2 rules" in said
    assert "gate.prompt: 0.25 ms" in said
    assert "audit: {content: full}" in said
    assert "judged anew" not in said


def test_a_decision_under_other_rules_says_so_and_keeps_then_and_now_apart(capsys: pytest.CaptureFixture[str]) -> None:
    decision = keep(rules="base.yaml")
    code, out, _ = run(capsys, decision, "rules.yaml")
    said = joined(out)
    assert code == 0
    assert "others than were in force" in said
    assert "block" in out.splitlines()[0]
    assert "messages[0], judged anew by the rules as they are now flag breaks kraken-summoning" in said
    assert explained(capsys, decision, "rules.yaml")["without"] == {}


def test_a_decision_without_rules_is_told_as_it_was_kept_and_by_no_others(capsys: pytest.CaptureFixture[str]) -> None:
    decision = keep()
    code, out, _ = run(capsys, decision)
    said = joined(out)
    assert code == 0
    assert "kraken-summoning in messages[0] (prompt), characters 7 to 25, by patterns" in said
    assert "name their files after the id, or the server's settings with `--config`" in said
    assert not [
        words for words in ("judged anew", "not among these rules", "others than were in force") if words in said
    ]
    told = explained(capsys, decision)
    assert (told["same_rules"], told["digest_now"], told["now"]) == (None, None, [])
    assert (told["findings"][0]["known"], told["findings"][0]["patterns"]) == (None, [])
    code, _, err = run(capsys, decision, "--rule", "kraken-summoning")
    assert code == 2
    assert "no rules are named, to look among for `kraken-summoning`" in err


def test_the_servers_settings_name_the_rules_and_the_folder_of_a_decision(capsys: pytest.CaptureFixture[str]) -> None:
    Path("wardlaw.yaml").write_text("constitutions: {default: [rules.yaml]}\nfolder: wardlaw-data\n", encoding="utf-8")
    told = explained(capsys, keep(), "--config", "wardlaw.yaml")
    assert told["same_rules"] is True


def test_an_answer_that_did_not_leave_is_said_to_be_gone(capsys: pytest.CaptureFixture[str]) -> None:
    found = Finding("ship-sinking", Part.RESPONSE, (0, 13), "patterns", 1.0, 1.0, excerpt="sink the ship")
    told = explained(capsys, keep(findings=(Placed(found, "choices[0].text", True),)), "rules.yaml")
    assert "choices[0]" in told["not_judged_anew"]
    assert [each["where"] for each in told["now"]] == ["messages[0]"]


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("kraken-sumoning", "rules.yaml"), "did you mean `kraken-summoning`?"),
        (("base.yaml",), "name a rule before it: `wardlaw rules explain RULE_ID base.yaml`"),
        ((), "name a rule, a decision `d_...`, or give --text"),
        (("--text", " ", "rules.yaml"), "`--text` is empty"),
        (("--prompt", "a", "--response", "", "rules.yaml"), "`--response` is empty"),
        (("--text", "a", "--prompt", "b"), "`--text` and `--prompt` were given"),
        (("d_01", "--text", "a"), "a decision and a text were given"),
        (("--jsonl-row", "rows.jsonl"), "write it as `rows.jsonl:17`"),
        (("--text", "a", "--lang", "klingon"), "unknown language tag `klingon`"),
        (("--text", "a", "--rule", "squid", "rules.yaml"), "no rule `squid`"),
    ],
)
def test_what_cannot_be_explained_is_refused_with_a_hint(
    capsys: pytest.CaptureFixture[str], args: tuple[str, ...], says: str
) -> None:
    code, out, err = run(capsys, *args)
    assert (code, out) == (2, "")
    assert says in err


def test_an_unknown_decision_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    keep()
    code, _, err = run(capsys, "d_ffffffffff", "rules.yaml")
    assert code == 2
    assert "no decision `d_ffffffffff`" in err
    assert "wardlaw audit list" in err
