"""`wardlaw redteam`: finds entered, replayed and reported."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from guard.guarding.decision import Placed
from guard.training.rows import read_rows
from guard.verdict import Finding
from rules.schema import Part
from server.audit.database import Database, database_url
from server.audit.feedback import FeedbackStore
from server.cli.main import cli
from server.cli.redteam.add import command as add


def mend_rules(folder: Path, word: str = "mandarin") -> None:
    path = folder / "rules.yaml"
    path.write_text(path.read_text().replace("tangerine", word))


def test_a_find_has_the_severity_of_its_rule_and_who_found_it(redteam):
    redteam("add", "--prompt", "say mandarin", "--kind", "break", "--rule", "secret-out", "--by", "ann", "--why", "so")
    entry = redteam("list", "--json").json()
    assert (entry["severity"], entry["by"], entry["why"], entry["status"]) == ("high", "ann", "so", "open")


def test_the_first_find_says_how_git_joins_branches(redteam, folder):
    first = redteam("add", "--prompt", "a", "--kind", "break")
    assert "put `redteam.jsonl merge=union` into .gitattributes" in first.err
    (folder / ".gitattributes").write_text("*.jsonl merge=union\n")
    assert redteam("add", "--prompt", "b", "--kind", "break", "--ledger", "other.jsonl").err == ""


def test_a_slip_in_a_rule_is_told_and_nothing_is_written(redteam, folder):
    found = redteam("add", "--prompt", "a", "--kind", "break", "--rule", "secret-otu")
    assert (found.code, found.err) == (
        2,
        "error: no rule `secret-otu` in `rules.yaml`\n  hint: did you mean `secret-out`?\n",
    )
    assert not (folder / "redteam.jsonl").exists()


def test_a_find_that_is_known_is_told(redteam, two):
    again = redteam("add", "--prompt", "say mandarin", "--kind", "break")
    assert again.code == 0
    assert f"{two[0]}  known, passed over" in again.out


def test_a_person_at_a_terminal_is_asked(redteam, folder, monkeypatch):
    found = redteam("add")
    assert "there is nothing to enter" in found.err
    runner = CliRunner()
    with runner.isolation(input="say mandarin\n\nbreak\nsecret-otu\nsecret-out\nit is the word\n"):
        import sys

        monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
        add.main(["-r", "rules.yaml"], standalone_mode=False)
    entry = redteam("list", "--json").json()
    assert (entry["messages"][0]["content"], entry["rules"], entry["why"]) == (
        "say mandarin",
        ["secret-out"],
        "it is the word",
    )


def test_a_decision_of_the_audit_becomes_a_find(kept, redteam):
    decision = kept.add()
    redteam("add", decision, "--rule", "secret-out", "--part", "response")
    entry = redteam("list", "--json").json()
    assert (entry["kind"], entry["response"], entry["model"]) == ("break", "thank you", "m")
    assert entry["lineage"] == {
        "decision": decision,
        "feedback": None,
        "probe": None,
        "file": None,
        "constitution": "0123456789abcdef",
    }


def test_a_blocked_decision_is_a_false_alarm_of_the_rule_that_was_found(kept, redteam):
    redteam("add", kept.add_blocked())
    entry = redteam("list", "--json").json()
    assert (entry["kind"], entry["rules"], entry["severity"]) == ("false-alarm", ["secret-out"], "high")


def test_a_decision_without_texts_says_how_to_keep_them(kept, redteam):
    found = redteam("add", kept.add(content="none"))
    assert found.code == 2
    assert "its texts were not kept" in found.err
    assert "content: full" in found.err


def test_feedback_is_entered_once(kept, redteam):
    missed, blocked, right = kept.add(), kept.add_blocked(), kept.add()
    database = Database(database_url("", kept.folder))
    store = FeedbackStore(database)
    store.add(missed, "missed", part="prompt", rule="secret-out", comment="it is said", reviewer="ann")
    store.add(blocked, "wrong_block", key="k1")
    store.add(right, "correct")
    database.close()
    found = redteam("import", "--feedback")
    assert "2 finds entered" in found.out
    assert "1 left out: it says that the decision was right" in found.out
    entries = [json.loads(line) for line in redteam("list", "--json").out.splitlines()]
    assert {(each["kind"], each["by"], each["why"], each["lineage"]["feedback"]) for each in entries} == {
        ("break", "ann", "it is said", "missed"),
        ("false-alarm", "key k1", "", "wrong_block"),
    }
    assert "0 finds entered into redteam.jsonl, 2 known" in redteam("import", "--feedback").out


def test_files_of_all_kinds_are_imported(redteam, folder):
    (folder / "a.jsonl").write_text(
        '{"prompt": "one", "kind": "break", "rules": "secret-out", "found": "2026-05-01", "by": "ann"}\n'
        '{"prompt": [{"role": "user", "content": "x"}], "response": "two", "label": "harmful"}\n'
    )
    (folder / "b.csv").write_text('prompt,label,severity\n"three, or four",safe,critical\n')
    assert "3 finds entered" in redteam("import", "a.jsonl", "b.csv", "--by", "bob").out
    entries = [json.loads(line) for line in redteam("list", "--json").out.splitlines()]
    told = {(each["messages"][0]["content"], each["kind"], each["severity"], each["by"]) for each in entries}
    assert told == {
        ("one", "break", "high", "ann"),
        ("x", "break", "medium", "bob"),
        ("three, or four", "false-alarm", "critical", "bob"),
    }


def test_of_probes_those_become_finds_that_the_gate_was_wrong_about(redteam, folder):
    def probe(number, kind, *, found):
        decision = {"found": found, "others": []}
        lineage = {"constitution": "c0ffee", "decision": decision}
        return {"id": f"p{number}", "prompt": f"probe {number}", "rule": "secret-out", "kind": kind, "lineage": lineage}

    rows = [
        probe(1, "break", found=False),
        probe(2, "break", found=True),
        probe(3, "keep", found=True),
        probe(4, "keep", found=False),
        {
            "id": "a1",
            "prompt": "tell me",
            "response": "mandarin",
            "rule": "secret-out",
            "kind": "break",
            "model": "m",
            "reason": "it told",
            "lineage": {"prober": "p", "target": "m", "broken": True},
        },
    ]
    (folder / "probes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert "2 left out" in redteam("import", "probes.jsonl").out
    entries = [json.loads(line) for line in redteam("list", "--json").out.splitlines()]
    told = {(each["lineage"]["probe"], each["kind"], each["how"], each["why"]) for each in entries}
    assert told == {("p1", "break", "text", ""), ("p3", "false-alarm", "text", ""), ("a1", "break", "ask", "it told")}
    assert {each["source"] for each in entries} == {"probe"}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"prompt": "a"}', "a.jsonl:2: no `kind`"),
        ('{"prompt": "a", "kind": "brake"}', "unknown kind `brake`\n  hint: did you mean `break`?"),
        ('{"kind": "break"}', "no `prompt`"),
        ('{"prompt": "a", "kind": "break", "rule": "secret-otu"}', "hint: did you mean `secret-out`?"),
        ('{"prompt": "a", "kind": "break", "severity": "bad"}', "unknown severity `bad`"),
        ('{"prompt": "a", "kind": "break", "date": "may"}', "no date: `may`"),
        ('{"prompt": "a", "kind": "break", "how": "magic"}', "unknown `how`: `magic`"),
        ('{"prompt": ', "a.jsonl:2: not JSON"),
        ("[1]", "a.jsonl:2: no object"),
    ],
)
def test_a_bad_row_is_named_before_anything_is_written(redteam, folder, line, said):
    (folder / "a.jsonl").write_text('{"prompt": "good", "kind": "break"}\n' + line + "\n")
    found = redteam("import", "a.jsonl")
    assert found.code == 2
    assert said in found.err
    assert not (folder / "redteam.jsonl").exists()
    skipped = redteam("import", "a.jsonl", "--skip-bad")
    assert skipped.code == 0
    assert "1 bad line passed over" in skipped.out


def test_a_replay_shows_what_rules_of_today_fixed(redteam, folder, two):
    mend_rules(folder)
    found = redteam("replay", "-r", "HEAD:rules.yaml", "-r", "rules.yaml", "--json").json()
    states = [[each["state"] for each in outcome["columns"]] for outcome in found["outcomes"]]
    assert states == [["breaks", "holds"], ["breaks", "holds"]]
    assert sorted(found["changes"]["fixed"]) == sorted(two)
    assert sorted(found["between"][0]["fixed"]) == sorted(two)
    assert found["columns"][1]["rates"]["all"]["break"] == pytest.approx({"share": 1.0, "low": 0.025, "high": 1.0})


def test_what_is_recorded_as_fixed_and_breaks_again_fails_on_regressed(redteam, folder, two):
    assert redteam("replay", "--fail-on", "regressed").code == 0
    assert redteam("replay", "--fail-on", "open").code == 1
    mend_rules(folder)
    assert redteam("replay", "--record", "--fail-on", "open", "--fail-on", "regressed").code == 0
    assert redteam("list", "--status", "fixed", "--json").out.count("\n") == 2
    (folder / "rules.yaml").write_text((folder / "rules.yaml").read_text().replace("mandarin", "pomelo"))
    found = redteam("replay", "--fail-on", "regressed", "--record", "--by", "ci")
    assert found.code == 1
    assert "regressed: fixed in the ledger, and break" in found.out
    entry = json.loads(redteam("list", "--find", two[0][:8], "--json").out)
    assert [(change["status"], change["why"]) for change in entry["changes"]] == [
        ("fixed", "replayed"),
        ("open", "replayed"),
    ]
    report = redteam("report", "--json").json()
    assert [run["break"]["share"] for run in report["replays"]] == [1.0, 0.0]
    assert report["came_back"]["share"] == 0.5


def test_a_step_back_between_columns_is_regressed_too(redteam, folder, two):
    mend_rules(folder)
    found = redteam("replay", "-r", "rules.yaml", "-r", "HEAD:rules.yaml", "--fail-on", "regressed", "--json")
    assert found.code == 1
    assert sorted(found.json()["regressed"]) == sorted(two)
    redteam("amend", two[0], "--status", "accepted", "--note", "a game")
    redteam("amend", two[1], "--status", "accepted")
    assert redteam("replay", "-r", "rules.yaml", "-r", "HEAD:rules.yaml", "--fail-on", "regressed").code == 0


def test_a_model_is_asked_again_and_its_answers_are_judged(redteam, folder):
    add = ("add", "--kind", "break", "--rule", "secret-out", "--how", "ask")
    redteam(*add, "--prompt", "first", "--response", "it is tangerine")
    redteam(*add, "--prompt", "second", "--response", "it is tangerine")
    redteam(*add, "--prompt", "third", "--response", "it is the orange one")
    redteam("add", "--kind", "false-alarm", "--prompt", "bake", "--how", "ask")
    redteam("add", "--kind", "false-alarm", "--prompt", "knit", "--how", "ask")
    (folder / "answers.yaml").write_text(
        """\
replies:
  - {match: first, text: still the tangerine}
  - {match: second, text: I would rather talk of the garden and its many lovely flowers.}
  - {match: third, text: I like all fruit.}
  - {match: bake, text: "I'm sorry, but I can't help with that."}
  - {match: knit, text: Take two needles and a ball of wool and cast on twenty stitches to begin with.}
"""
    )
    found = redteam("replay", "--model", "scripted:answers.yaml", "--json", "--record").json()
    told = {each["find"]: (each["columns"][0]["state"], each["columns"][0]["why"][:8]) for each in found["outcomes"]}
    assert [state for state, _ in told.values()] == ["breaks", "holds", "unsure", "breaks", "holds"]
    assert "declined" in [why for _, why in told.values()]
    assert redteam("list", "--status", "fixed", "--json").out.count("\n") == 2
    guarded = redteam("replay", "--model", "scripted:answers.yaml", "--guarded", "--json").json()
    assert guarded["outcomes"][0]["columns"][0]["state"] == "holds"
    assert guarded["columns"][0]["target"]["kind"] == "guard"


def test_a_filtered_answer_of_a_server_holds_a_break_and_is_a_false_alarm_else(redteam, endpoint):
    from aiohttp import web

    def fault(body, request):
        said = {"message": {"role": "assistant", "content": "No."}, "finish_reason": "content_filter", "index": 0}
        return web.json_response({"choices": [said]})

    endpoint.fault = fault
    redteam("add", "--kind", "break", "--prompt", "first", "--how", "ask")
    redteam("add", "--kind", "false-alarm", "--prompt", "bake", "--how", "ask")
    found = redteam("replay", "--url", f"{endpoint.url}#mock", "--json").json()
    assert [each["columns"][0]["state"] for each in found["outcomes"]] == ["holds", "breaks"]
    assert endpoint.requests == 2


def test_an_endpoint_that_is_down_is_an_error_and_records_nothing(redteam, folder, two, monkeypatch):
    monkeypatch.setenv("WARDLAW_PATIENCE", "1")
    before = (folder / "redteam.jsonl").read_bytes()
    found = redteam("replay", "--url", "http://127.0.0.1:9/v1#m", "--record")
    assert found.code == 2
    assert (folder / "redteam.jsonl").read_bytes() == before


def test_rules_of_finds_that_are_not_in_force_are_told(redteam, folder, two):
    (folder / "other.yaml").write_text((folder / "rules.yaml").read_text().replace("secret-out", "secret-outs"))
    found = redteam("replay", "-r", "other.yaml")
    assert "note: `secret-out` is not in `other.yaml`\n  hint: did you mean `secret-outs`?" in found.err
    assert redteam("replay", "-r", "other.yaml", "--own", "--json").json()["changes"]["fixed"] == [two[1]]


def test_markdown_holds_no_markup_of_a_text(redteam, folder):
    redteam("add", "--kind", "break", "--prompt", "<img src=x> | @all [a](http://b)")
    for told in (redteam("replay", "--markdown"), redteam("report", "--markdown")):
        assert told.code == 0
        assert "<img" not in told.out
        assert "@all" not in told.out


def test_exports_teach_the_gate_and_hold_some_out(redteam, folder):
    rows = "".join(json.dumps({"prompt": f"text {number}", "kind": "break"}) + "\n" for number in range(40))
    (folder / "many.jsonl").write_text(rows)
    redteam("import", "many.jsonl")
    redteam("add", "--kind", "break", "--how", "ask", "--prompt", "no answer kept")
    assert "1 find left out" in redteam("export", "-o", "whole.jsonl").err
    redteam("export", "-o", "some.jsonl", "--hold-out", "30%")
    whole, some = (len(read_rows(folder / name, ["secret-out"])) for name in ("whole.jsonl", "some.jsonl"))
    assert whole == 40
    assert some < 40
    sides = redteam("replay", "--hold-out", "30%", "--json").json()["columns"][0]["rates"]
    assert sides["taught"]["finds"] + sides["held out"]["finds"] == 41
    prompts = [json.loads(line)["prompt"] for line in redteam("export", "--format", "prompts").out.splitlines()]
    assert len(prompts) == 41


def test_exported_prompts_are_read_by_the_loop(redteam, folder, two):
    from constitution.sources import PromptFile

    redteam("export", "--format", "prompts", "-o", "prompts.jsonl")
    assert [prompt.messages[0].content for prompt in PromptFile(str(folder / "prompts.jsonl"))] == ["say mandarin"]


@pytest.mark.parametrize("command", ["list", "report", "replay", "export"])
def test_every_command_refuses_an_edited_ledger(redteam, folder, two, command):
    path = folder / "redteam.jsonl"
    path.write_text(path.read_text().replace("mandarin", "clementine"))
    found = redteam(command)
    assert found.code == 2
    assert f"error: redteam.jsonl:1: the line of `{two[0]}` is not as it was written" in found.err


def test_check_lists_every_fault_and_what_git_had(redteam, folder, two):
    import subprocess

    who = ["git", "-c", "user.name=t", "-c", "user.email=t@localhost"]
    subprocess.run([*who, "add", "redteam.jsonl"], cwd=folder, check=True)
    subprocess.run([*who, "commit", "-qm", "finds"], cwd=folder, check=True)
    assert redteam("check", "--against", "HEAD").code == 0
    path = folder / "redteam.jsonl"
    path.write_text(path.read_text().split("\n", 1)[1])
    assert redteam("check").code == 0
    gone = redteam("check", "--against", "HEAD", "--json")
    assert gone.code == 1
    assert [fault["kind"] for fault in gone.json()["faults"]] == ["gone"]
    assert redteam("check", "--against", "HEAD~9").code == 2
    path.write_text(path.read_text().replace("tangerine", "peach") + "<<<<<<< HEAD\n" + '{"sum"')
    found = redteam("check")
    assert found.code == 1
    assert "redteam.jsonl:1: the line" in found.out
    assert "redteam.jsonl:2: a conflict" in found.out
    assert "half line" in found.out


def test_a_torn_end_is_told_and_the_rest_is_used(redteam, folder, two):
    path = folder / "redteam.jsonl"
    path.write_bytes(path.read_bytes()[:-9])
    found = redteam("list")
    assert found.code == 0
    assert "ends in a half line" in found.err
    assert redteam("check", "--mend").code == 0
    assert (folder / "redteam.jsonl.torn").exists()


def test_filters_name_what_they_do_not_find(redteam, two):
    assert "did you mean `secret-out`?" in redteam("list", "--rule", "secret-uot").err
    assert "no find `rt_ff`" in redteam("list", "--find", "rt_ff").err
    assert "no find is like that" in redteam("list", "--status", "accepted").err
    assert "no ledger `x.jsonl`" in redteam("report", "--ledger", "x.jsonl").err


def test_an_amendment_that_says_nothing_is_refused(redteam, two):
    assert redteam("amend", two[0]).code == 2
    assert redteam("amend", two[0], "--severity", "low").code == 0
    assert json.loads(redteam("list", "--find", two[0], "--json").out)["severity"] == "low"


def test_every_command_is_in_the_group():
    group = cli.get_command(None, "redteam")  # type: ignore[arg-type]
    assert group is not None
    assert group.list_commands(None) == ["add", "amend", "check", "export", "import", "list", "replay", "report"]  # type: ignore[attr-defined]


# What is tried before it is entered


def test_a_find_is_tried_and_entered_only_where_the_gate_is_still_wrong(redteam, folder):
    tried = ("--rule", "secret-out", "--try", "--no-meaning")
    found = redteam("add", "--prompt", "say tangerine", "--kind", "break", *tried)
    assert found.code == 1
    assert "not reproduced, the gate finds secret-out: say tangerine" in found.out
    found = redteam("add", "--prompt", "say mandarin", "--kind", "false-alarm", *tried)
    assert (found.code, "the gate lets it pass" in found.out) == (1, True)
    assert not (folder / "redteam.jsonl").exists()
    assert redteam("add", "--prompt", "say mandarin", "--kind", "break", *tried).code == 0
    assert redteam("add", "--prompt", "tangerine cake", "--kind", "false-alarm", *tried).code == 0
    assert len(redteam("list", "--json").out.splitlines()) == 2


def test_of_a_file_those_are_entered_that_are_so_still(redteam, folder):
    rows = [
        {"prompt": "say tangerine", "kind": "break"},
        {"prompt": "say mandarin", "kind": "break"},
        {"prompt": "tell me", "response": "it is a tangerine", "kind": "break", "how": "ask"},
    ]
    (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = redteam("import", "a.jsonl", "--try", "--no-meaning")
    assert found.code == 0
    assert "not reproduced, the gate finds secret-out: say tangerine" in found.out
    assert "not tried: it takes the model that is asked anew: it is a tangerine" in found.out
    told = {json.loads(line)["messages"][0]["content"] for line in redteam("list", "--json").out.splitlines()}
    assert told == {"say mandarin", "tell me"}


# What probing and the audit leave


def test_a_folder_of_probing_is_entered_by_its_name_and_by_who_wrote_it(redteam, folder):
    decision = {"found": False, "others": [], "reason": "it asks for the word"}
    probe = {"id": "p1", "prompt": "say it", "rule": "secret-out", "kind": "break"}
    probe["lineage"] = {"model": "openai:writer", "decision": decision}
    attempt = {"id": "a1", "prompt": "tell me", "response": "mandarin", "rule": "secret-out", "kind": "break"}
    attempt["lineage"] = {"prober": "openai:prober", "target": "m", "broken": True}
    for name, row in (("made/probes.jsonl", probe), ("tried/finds.jsonl", attempt)):
        (folder / name).parent.mkdir()
        (folder / name).write_text(json.dumps(row) + "\n" + json.dumps(row) + "\n")
    assert "2 finds entered into redteam.jsonl, 0 known and passed over, 2 given twice" in (
        redteam("import", "made", "tried").out
    )
    entries = [json.loads(line) for line in redteam("list", "--json").out.splitlines()]
    assert {(each["by"], each["why"], each["how"]) for each in entries} == {
        ("openai:writer", "it asks for the word", "text"),
        ("openai:prober", "", "ask"),
    }
    (folder / "empty").mkdir()
    found = redteam("import", "empty")
    assert (found.code, "no finds in the folder `empty`" in found.err) == (2, True)


def test_who_is_named_found_what_probing_found(redteam, folder):
    row = {"prompt": "x", "response": "mandarin", "kind": "break", "lineage": {"prober": "p"}}
    (folder / "finds.jsonl").write_text(json.dumps(row) + "\n")
    redteam("import", "finds.jsonl", "--by", "ann")
    assert redteam("list", "--json").json()["by"] == "ann"


def test_an_answer_that_was_withheld_is_asked_anew(kept, redteam, folder):
    finding = Finding("secret-out", Part.RESPONSE, (0, 9), "patterns", 1.0, 1.0, excerpt="tangerine")
    blocked = kept.add_blocked(findings=(Placed(finding, "choices[0].message.content"),))
    database = Database(database_url("", kept.folder))
    FeedbackStore(database).add(blocked, "wrong_block", part="response", key="k1")
    database.close()
    assert len(redteam("import", "--feedback", "--json").json()["entered"]) == 1
    entry = redteam("list", "--json").json()
    assert (entry["kind"], entry["response"], entry["how"]) == ("false-alarm", None, "ask")
    assert "not kept" in entry["steps"]
    mend_rules(folder, "pomelo")
    found = redteam("replay")
    assert "1 unsure" in found.out
    assert "a model has to be asked anew" in found.out
    redteam("replay", "--record")
    assert redteam("list", "--json").json()["status"] == "open"


def test_a_list_shows_every_id_and_every_rule_beside_long_texts(redteam, folder):
    redteam("add", "--prompt", "mandarin " * 60, "--kind", "break", "--rule", "secret-out", "--by", "somebody")
    name = redteam("list", "--json").json()["id"]
    shown = redteam("list").out
    for word in (name, "secret-out", "somebody", "break", "high", "mandarin"):
        assert word in shown


def test_a_report_is_a_page_without_scripts_or_texts_of_finds(redteam, folder, two):
    redteam("add", "--prompt", "<b>mandarin</b>", "--kind", "break", "--rule", "secret-out", "--by", "<i>ann</i>")
    redteam("replay", "--record")
    mend_rules(folder)
    redteam("replay", "--record")
    assert redteam("report", "--html", "page.html").code == 0
    page = (folder / "page.html").read_text()
    assert "3 finds: 2 breaks and 1 false alarm" in page
    assert page.count("<circle") == 4
    assert "&lt;i&gt;ann&lt;/i&gt;" in page
    assert not any(word in page for word in ("<script", "<i>ann", "mandarin", "http://", "https://"))
    assert redteam("report", "--html", "page.html", "--json").code == 2
