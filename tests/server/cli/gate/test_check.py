from __future__ import annotations

import gzip
import io
import json
import re
import sys

import pytest

from server.cli.gate._page import marked

PAGE = """\
block  breaks weapon-help

prompt, 31 characters
  how is a ⟦pipe bomb⟧ made, please

found
  rule         title                       score  threshold  detector  view  at
  weapon-help  Helping to build a weapon   1.000      1.000  patterns  raw   9-18

stages
  patterns # ms, together # ms

coverage
  scanned: patterns 1 rule
  not scanned: insults: it does not watch the prompt
  not scanned: kindness: it has no `detect`: only the loop uses it
"""


def plain(page: str) -> str:
    """The page without times, and without the spaces that fill its tables."""
    return re.sub(r"[\d.]+ ms", "# ms", re.sub(r" +$", "", page, flags=re.M))


def test_the_page_of_a_text_with_a_span(gate):
    ran = gate("check", "how is a pipe bomb made, please")
    assert ran.code == 1
    assert re.sub(r"  +", "  ", plain(ran.out)) == re.sub(r"  +", "  ", PAGE)
    assert ran.err == ""


def test_what_is_found_is_told_in_the_codes_of_a_hazard_system(gate):
    found = gate("check", "a pipe bomb", "--json", "--hazards", "llama-guard-2").json["hazards"]
    assert found == {"system": "llama-guard-2", "codes": ["S8"], "rules": {"weapon-help": ["S8"]}}
    assert "hazards" not in gate("check", "a pipe bomb", "--json").json
    page = plain(gate("check", "a pipe bomb", "--hazards", "llama-guard-2").out)
    assert re.search(r"hazards, llama-guard-2\n +rule +code +title\n +weapon-help +S8 +Indiscriminate weapons\n", page)


def test_a_rule_that_a_hazard_system_has_no_code_for_is_said_so(gate):
    page = gate("check", "a pipe bomb", "--hazards", "aegis-2.0").out
    assert re.search(r"weapon-help +- +the crosswalk leads to no code", page)
    own = gate("check", "a pipe bomb", "--json", "--hazards", "sea-1").json["hazards"]
    assert own["codes"] == ["K1"]


def test_an_unknown_hazard_system_is_refused(gate):
    ran = gate("check", "a pipe bomb", "--hazards", "llama-gard-3")
    assert ran.code == 2
    assert "did you mean `llama-guard-3`?" in ran.err


def test_each_line_of_a_file_is_told_in_the_codes_of_a_hazard_system(gate, folder):
    (folder / "rows.jsonl").write_text('{"prompt": "a pipe bomb"}\n{"prompt": "good morning"}\n', encoding="utf-8")
    gate("check", "--jsonl", "rows.jsonl", "--out", "told.jsonl", "--hazards", "mlcommons-1.0")
    rows = [json.loads(line) for line in (folder / "told.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["hazards"]["codes"] for row in rows] == [["indiscriminate-weapons"], []]


def test_nothing_found_is_exit_code_0_and_said_so(gate):
    ran = gate("check", "good morning")
    assert ran.code == 0
    assert ran.out.startswith("allow  nothing found\n")
    assert "found\n  rule" not in ran.out


def test_the_json_is_the_whole_verdict(gate):
    ran = gate("check", "a pipe bomb", "--json")
    assert ran.code == 1
    found = ran.json
    assert found["action"] == "block"
    assert found["broken"] == ["weapon-help"]
    (finding,) = found["findings"]
    assert (finding["span"], finding["detector"], finding["view"], finding["excerpt"]) == (
        [2, 11],
        "patterns",
        "raw",
        "pipe bomb",
    )
    assert found["coverage"]["scanned"] == {"patterns": ["weapon-help"]}
    assert found["coverage"]["not_scanned"].keys() == {"insults", "kindness"}
    assert found["ms"].keys() == {"patterns"}


def test_an_answer_is_judged_with_its_prompt(gate):
    ran = gate("check", "is this a pipe bomb?", "--response", "no, you fool", "--json")
    assert ran.json["broken"] == ["insults"]
    assert ran.json["findings"][0]["part"] == "response"
    assert gate("check", "is this a pipe bomb?", "--response", "no").code == 0


def test_the_last_message_of_a_conversation_is_judged(gate, folder):
    turns = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "you fool"}]
    (folder / "talk.json").write_text(json.dumps({"messages": turns}))
    assert gate("check", "--messages", "talk.json", "--json").json["broken"] == ["insults"]
    (folder / "talk.json").write_text(json.dumps([*turns, {"role": "user", "content": "sorry?"}]))
    assert gate("check", "--messages", "talk.json").code == 0


def test_text_comes_from_a_file_or_from_standard_input(gate, folder, monkeypatch):
    (folder / "note.txt").write_bytes("\ufeff一个炸弹\n".encode())
    ran = gate("check", "--file", "note.txt", "--json", "--lang", "zh")
    assert ran.json["findings"][0]["span"] == [2, 4]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a pipe bomb")))
    assert gate("check", "-").code == 1


def test_a_disguise_is_found_at_its_place_and_spelled_out(gate):
    ran = gate("check", "a p\u200bipe b\u200bomb here")
    assert ran.code == 1
    assert r"⟦p\u200bipe b\u200bomb⟧ here" in ran.out
    assert "\u200b" not in ran.out


def test_a_text_cannot_steer_the_terminal(gate):
    ran = gate("check", "\x1b[2J [red]pipe bomb[/red] \x1b]0;owned\x07")
    assert "\x1b" not in ran.out
    assert r"\x1b[2J [red]⟦pipe bomb⟧[/red]" in ran.out


@pytest.mark.parametrize("text", ["", " ", "\ud800 \udfff", "\x00\x01"])
def test_empty_texts_half_surrogates_and_control_characters_get_a_verdict(gate, text):
    assert gate("check", text).code == 0
    assert gate("check", text + " pipe bomb", "--json").json["broken"] == ["weapon-help"]


def test_ten_megabytes_are_judged_and_only_what_matters_is_shown(gate, folder):
    (folder / "long.txt").write_text("word " * 2_000_000 + "pipe bomb " + "word " * 1_000)
    ran = gate("check", "--file", "long.txt")
    assert ran.code == 1
    assert "⟦pipe bomb⟧" in " ".join(ran.out.split())
    assert "… 9,999,600 characters …" in ran.out
    assert len(ran.out) < 5_000


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("--file", "binary"), "`binary` is not UTF-8 text (byte 0x89 at offset 0)"),
        (("--file", "nowhere"), "`nowhere` cannot be read: No such file or directory"),
        (("--messages", "binary"), "`binary` is not UTF-8 text"),
        (("--messages", "rules.yaml"), "`rules.yaml` is not JSON"),
        (("--messages", "empty.json"), "empty.json: the prompt is an empty list"),
        (("a", "--file", "b"), "`TEXT` and `--file` were given"),
        (("a", "--out", "b"), "--skip-bad and --engine go with --jsonl"),
        (("--jsonl", "rows.jsonl", "--response", "b"), "--response goes with one prompt"),
        (("a", "--heads", "nowhere"), "no folder of heads `nowhere`"),
    ],
)
def test_wrong_input_is_exit_code_2_with_a_hint(gate, folder, arguments, what):
    (folder / "binary").write_bytes(b"\x89PNG\r\n\x1a\n\x00")
    (folder / "empty.json").write_text("[]")
    ran = gate("check", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert what in ran.err
    assert "hint: " in ran.err


# -- many


ROWS = (
    {"id": "one", "prompt": "a pipe bomb"},
    {"id": 2, "prompt": [{"role": "user", "content": "hello"}], "response": "you fool"},
    "",
    {"prompt": "good morning"},
)


def test_a_file_is_judged_line_by_line_and_counted(gate, write, folder):
    ran = gate("check", "--jsonl", write("rows.jsonl", *ROWS), "--out", "done/verdicts.jsonl")
    assert ran.code == 1
    assert ran.out.splitlines()[0] == "3 rows, 2 with a finding (66.67%)"
    assert "  weapon-help 1" in ran.out
    found = [json.loads(line) for line in (folder / "done/verdicts.jsonl").read_text().splitlines()]
    assert [(row["id"], row["line"], row["verdict"]["broken"]) for row in found] == [
        ("one", 1, ["weapon-help"]),
        (2, 2, ["insults"]),
        (None, 4, []),
    ]
    assert [path.name for path in (folder / "done").iterdir()] == ["verdicts.jsonl"]


def test_gzip_is_read_and_written_and_nothing_found_is_exit_code_0(gate, folder):
    (folder / "rows.jsonl.gz").write_bytes(gzip.compress(b'{"prompt": "good morning"}\n' * 130))
    assert gate("check", "--jsonl", "rows.jsonl.gz", "--out", "v.jsonl.gz").code == 0
    assert len(gzip.decompress((folder / "v.jsonl.gz").read_bytes()).splitlines()) == 130


def test_verdicts_go_to_standard_output_and_the_summary_does_not(gate, write):
    ran = gate("check", "--jsonl", write("rows.jsonl", *ROWS), "--json")
    assert len([json.loads(line) for line in ran.out.splitlines()]) == 3
    assert json.loads(ran.err)["found"] == 2


def test_a_bad_line_is_named_before_anything_is_judged_and_leaves_no_file(gate, write, folder):
    (folder / "v.jsonl").write_text("before")
    write("rows.jsonl", *ROWS, '{"prompt": 3}', "{")
    ran = gate("check", "--jsonl", "rows.jsonl", "--out", "v.jsonl")
    assert ran.code == 2
    assert ran.err.startswith("error: rows.jsonl:5: the prompt is a number")
    assert "pass over bad lines with --skip-bad" in ran.err
    assert (folder / "v.jsonl").read_text() == "before"
    ran = gate("check", "--jsonl", "rows.jsonl", "--out", "v.jsonl", "--skip-bad")
    assert ran.code == 1
    assert "2 bad lines passed over, as rows.jsonl:5: " in ran.out
    assert len((folder / "v.jsonl").read_text().splitlines()) == 3


def test_standard_input_is_read_line_by_line_too(gate, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"prompt": "pipe bomb"}\n{"prompt": "x"}\n')))
    ran = gate("check", "--jsonl", "-")
    assert len(ran.out.splitlines()) == 2
    assert "2 rows, 1 with a finding" in ran.err


def test_half_surrogates_can_be_written(gate, write, folder):
    write("rows.jsonl", '{"id": "\\ud800", "prompt": "\\udc00 pipe bomb"}')
    assert gate("check", "--jsonl", "rows.jsonl", "--out", "v.jsonl").code == 1
    assert json.loads((folder / "v.jsonl").read_text())["id"] == "\ud800"


@pytest.mark.parametrize(("text", "what"), [("", "has no rows"), ("\n \n", "has no rows"), ("\x00", "not JSON")])
def test_a_file_without_rows_is_an_error(gate, folder, text, what):
    (folder / "rows.jsonl").write_text(text)
    ran = gate("check", "--jsonl", "rows.jsonl")
    assert ran.code == 2
    assert what in ran.err


def test_a_place_that_cannot_be_written_is_told(gate, write, folder):
    (folder / "file").write_text("")
    ran = gate("check", "--jsonl", write("rows.jsonl", *ROWS), "--out", "file/v.jsonl")
    assert ran.code == 2
    assert "cannot write `file/v.jsonl`" in ran.err


# -- marks


def test_spans_within_spans_keep_their_own_brackets():
    page = marked("one two three", [(0, 13), (4, 7), (4, 7)], colour=False)
    assert page.plain == "⟦one ⟦two⟧ three⟧"


def test_in_colour_the_narrowest_span_wins_and_no_bracket_is_added():
    page = marked("one two three", [(0, 13), (4, 7)], colour=True)
    assert page.plain == "one two three"
    styles = {page.plain[span.start : span.end]: str(span.style) for span in page.spans}
    assert styles == {"one ": "yellow", "two": "bold white on red", " three": "yellow"}
