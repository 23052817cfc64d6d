"""`wardlaw prefer` from the command line: an endpoint with a known taste, a kill, a spent budget, wrong input."""

from __future__ import annotations

import json
import math
import re
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from server.cli.main import main

SHOWN = re.compile(r"<answer_a>\n(.*?)\n</answer_a>.*<answer_b>\n(.*?)\n</answer_b>", re.DOTALL)
ALONE = re.compile(r"<answer>\n(.*?)\n</answer>", re.DOTALL)
ROOT = Path(__file__).parents[3]


class Taste:
    """Answers as a judge that likes stars and leans to A; remembers what it was asked."""

    def __init__(self, *, logprobs: bool = True) -> None:
        self.asked: Counter[str] = Counter()
        self.logprobs = logprobs

    def __call__(self, body: dict[str, Any], _: web.Request) -> web.Response | str:
        said = body["messages"][-1]["content"]
        shown = SHOWN.search(said)
        self.asked[json.dumps(body, sort_keys=True)] += 1
        alone = ALONE.search(said)
        if shown is not None:
            a, b = (text.count("*") for text in shown.groups())
        elif alone is not None:
            a, b = alone[1].count("*"), 1
        else:
            return f"An answer {'*' * (body.get('seed', 0) % 4)}"
        one, two = ("A", "B") if shown else ("yes", "no")
        chance = 1 / (1 + math.exp(-(a - b + 0.4)))
        word = one if chance > 0.5 else two
        top = [{"token": one, "logprob": math.log(chance)}, {"token": two, "logprob": math.log(1 - chance)}]
        choice: dict[str, Any] = {"index": 0, "message": {"role": "assistant", "content": word}}
        choice["finish_reason"] = "stop"
        if self.logprobs and body.get("logprobs"):
            first = {"token": word, "logprob": math.log(max(chance, 1 - chance)), "top_logprobs": top}
            choice["logprobs"] = {"content": [first]}
        return web.json_response({"choices": [choice], "usage": {"prompt_tokens": 50, "completion_tokens": 1}})


@pytest.fixture
def prefer(work, capsys):
    """Runs the command over pairs in the workplace; gives its exit code and what it printed."""

    def run(*options: str, source: str | None = None) -> tuple[int, str, str]:
        code = run_exit([*arguments(work, source), *options])
        said = capsys.readouterr()
        return code, said.out, said.err

    work.endpoint.fault = Taste()
    return run


def run_exit(args: list[str]) -> int:
    try:
        return main(args)
    except SystemExit as ended:
        return int(ended.code or 0)


def arguments(work, source: str | None = None) -> list[str]:
    given = source or str(work.folder / "pairs.jsonl")
    return [
        "prefer",
        given,
        "-r",
        str(work.folder / "rules.yaml"),
        "-o",
        str(work.out),
        "-q",
        "-m",
        work.endpoint.model,
    ]


def write_pairs(work, count: int) -> None:
    lines = [
        {"prompt": f"How do I water plant {number}?", "chosen": f"With care **, {number}.", "rejected": "No idea."}
        for number in range(count)
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (work.folder / "pairs.jsonl").write_text(text, encoding="utf-8")


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_pairs_become_files_with_soft_labels_and_a_card(work, prefer):
    write_pairs(work, 6)
    code, out, _ = prefer("--agreement")
    assert code == 0
    assert "made from the rule's text: careless-advice" in " ".join(out.split())
    assert "100.0% (6 of 6" in out
    pairs = lines_of(work.out / "preference.jsonl")
    first, second = 1 / (1 + math.exp(-2.4)), 1 / (1 + math.exp(-1.6))
    assert len(pairs) == 6
    assert pairs[0]["label"] == pytest.approx((first + second) / 2, abs=1e-5)
    assert pairs[0]["margin"] == pytest.approx(first + second - 1, abs=1e-5)
    assert pairs[0]["chosen"] == [{"role": "assistant", "content": "With care **, 0."}]
    assert lines_of(work.out / "reward.jsonl")[0]["margin"] == pairs[0]["margin"]
    best = lines_of(work.out / "best_of_n.jsonl")[0]
    assert best["answers"][best["best"]] == best["completion"][0]["content"] == "With care **, 0."
    card = (work.out / "README.md").read_text(encoding="utf-8")
    assert f"openai:{work.endpoint.url}" in card.replace("\\", "")
    assert f"{(first - second) / 2:+.3f}" in card


def test_answers_graded_alone_give_the_same_files_without_a_bias_of_the_place(work, prefer):
    write_pairs(work, 4)
    code, out, _ = prefer("--form", "pointwise", "--agreement")
    assert code == 0
    assert "100.0% (4 of 4" in out
    assert "position" not in out
    assert "shown first" not in out
    pairs = lines_of(work.out / "preference.jsonl")
    assert [pair["label"] for pair in pairs] == pytest.approx([1 / (1 + math.exp(-2))] * 4, abs=1e-5)
    assert {path.name for path in work.out.glob("*.jsonl")} == {"preference.jsonl", "reward.jsonl", "best_of_n.jsonl"}
    assert sum(work.endpoint.fault.asked.values()) == 8, "each answer once"
    card = (work.out / "README.md").read_text(encoding="utf-8")
    assert "yes and no" in card
    assert "The place of an answer" not in card
    _, out, _ = prefer("--form", "pointwise", "--scale", "0.5", "--json")
    assert json.loads(out)["run"]["calls"] == 0
    assert lines_of(work.out / "preference.jsonl")[0]["label"] == pytest.approx(1 / (1 + math.exp(-1)), abs=1e-5)


def test_the_json_holds_the_figures(work, prefer):
    write_pairs(work, 3)
    code, out, _ = prefer("--json")
    figures = json.loads(out)
    assert code == 0
    assert figures["counted"] == 3
    assert figures["agreement"]["accuracy"]["value"] == 1.0
    assert figures["position"]["bias"] > 0
    assert figures["run"]["calls"] == 6


def test_other_settings_over_the_same_questions_ask_nothing_again(work, prefer):
    write_pairs(work, 4)
    prefer()
    before = sum(work.endpoint.fault.asked.values())
    _, out, _ = prefer("--join", "log-odds", "--min-margin", "0.99", "--json")
    assert sum(work.endpoint.fault.asked.values()) == before
    assert json.loads(out)["left_out"] == {"near_tie": 4}
    assert (work.out / "preference.jsonl").read_text(encoding="utf-8") == ""


def test_answers_are_drawn_and_compared_each_with_each(work, prefer):
    code, out, _ = prefer("--samples", "4", "--limit", "3", "--json", source=str(work.folder / "prompts.txt"))
    figures = json.loads(out)
    assert code == 0
    assert figures["kinds"] == {"sampled": 3}
    for line in lines_of(work.out / "best_of_n.jsonl"):
        assert line["completion"][0]["content"] == max(line["answers"], key=len)
        assert max(line["scores"]) == line["scores"][line["best"]]
    again = json.loads(prefer("--samples", "4", "--limit", "3", "--json", source=str(work.folder / "prompts.txt"))[1])
    assert again["run"]["calls"] == 0
    assert again["contests"] == 3


def test_the_rows_of_a_generate_folder_are_compared(work, prefer, capsys):
    generated = work.folder / "generated"
    work.endpoint.fault = None
    assert run_exit([*work.arguments(), "-o", str(generated)]) == 0
    capsys.readouterr()
    work.endpoint.fault = Taste()
    code, out, _ = prefer("--json", source=str(generated))
    figures = json.loads(out)
    assert code == 0
    assert figures["kinds"] == {"revision": figures["contests"]}
    assert figures["contests"] > 0
    assert figures["agreement"] is None


def test_a_model_without_log_probabilities_votes_and_the_summary_says_so(work, prefer):
    write_pairs(work, 2)
    work.endpoint.fault = Taste(logprobs=False)
    code, out, _ = prefer("--votes", "4")
    assert code == 0
    assert "by sampled votes" in out


def test_a_killed_run_goes_on_and_asks_nothing_twice(work, prefer):
    write_pairs(work, 40)
    work.endpoint.delay_s = 0.02
    for round_ in range(2):
        command = [sys.executable, "-m", "server.cli.main", *arguments(work), "--concurrency", "2"]
        process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE)
        until = len(work.endpoint.fault.asked) + 10
        while len(work.endpoint.fault.asked) < until and process.poll() is None:
            time.sleep(0.01)
        process.kill()
        process.communicate()
        assert process.returncode != 0, f"killed at work in round {round_}"
    with closing(sqlite3.connect(work.out / "preferences.sqlite")) as db:
        ((kept,),) = db.execute("SELECT count(*) FROM calls")
    assert kept >= 10
    work.endpoint.delay_s = 0
    code, out, _ = prefer("--json")
    figures = json.loads(out)
    assert code == 0
    assert figures["counted"] == 40
    twice = [times for times in work.endpoint.fault.asked.values() if times > 1]
    assert len(twice) <= 8, "only what was in flight at the two kills, four calls each"
    assert len(work.endpoint.fault.asked) == 80


def test_a_spent_budget_writes_what_is_finished(work, prefer):
    write_pairs(work, 20)
    code, _, err = prefer("--max-tokens-total", "1500", "--concurrency", "1")
    assert code == 3
    assert "budget" in err
    assert 0 < len(lines_of(work.out / "preference.jsonl")) < 20


def test_a_broken_endpoint_ends_the_run_with_a_word(work, prefer):
    write_pairs(work, 2)
    work.endpoint.fault = lambda body, request: web.json_response({"error": {"message": "no such key"}}, status=401)
    code, _, err = prefer()
    assert code == 2
    assert "error:" in err


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (["--clamp", "0.6", "0.9"], "--clamp: a lower bound from 0 to 0.5"),
        (["--answerer", "embedded"], "--answerer without --samples"),
    ],
)
def test_options_that_do_not_go_together_are_told(options, what, work, prefer):
    write_pairs(work, 1)
    code, _, err = prefer(*options)
    assert code == 2
    assert what in err


def test_agreement_without_choices_to_agree_with_is_an_error(work, prefer):
    (work.folder / "pairs.jsonl").write_text('{"prompt": "Hi?", "answers": ["one *", "two"]}\n', encoding="utf-8")
    code, _, err = prefer("--agreement")
    assert code == 2
    assert "nothing to agree with" in err


def test_prompts_without_answers_are_told_before_any_call(work, prefer):
    code, _, err = prefer(source=str(work.folder / "prompts.txt"))
    assert code == 2
    assert "draw some with --samples" in err
    assert not work.endpoint.fault.asked


def test_parquet_takes_the_place_of_the_lines(work, prefer):
    import pyarrow.parquet as pq

    write_pairs(work, 2)
    prefer()
    prefer("--parquet")
    assert not (work.out / "preference.jsonl").exists()
    assert pq.read_table(work.out / "best_of_n.parquet").num_rows == 2
