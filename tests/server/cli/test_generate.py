"""`wardlaw generate` against a real endpoint: what goes wrong is said in a line, with a hint, and nothing is lost."""

from __future__ import annotations

import asyncio
import json
import random
import re
import resource
import signal
import socket
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import click
import pytest
from aiohttp import web

from constitution.row import ROLES
from constitution.run import locked
from constitution.settings import SAMPLING, Settings
from constitution.store import RowStore
from server.cli.main import main

HARD = "Why does this one prompt fail?"


def rows(out: Path) -> list[Any]:
    with closing(RowStore(out, read_only=True)) as store:
        return list(store.rows())


def told(capsys: pytest.CaptureFixture[str]) -> str:
    """The error: one line, then a hint; never a traceback or the key."""
    errors = capsys.readouterr().err
    assert "Traceback" not in errors
    assert "sk-test" not in errors
    assert errors.startswith("error: "), errors
    assert "\n  hint: " in errors
    return errors


def run(arguments: list[str]) -> int:
    """The command in this process; its exit code."""
    try:
        return main(arguments)
    except SystemExit as end:
        return int(end.code or 0)


def is_whole(out: Path, count: int) -> None:
    """Every row once, every output file whole."""
    made = rows(out)
    assert len({row.id for row in made}) == len(made) == count
    for name in ("sft", "preference", "critic"):
        for line in (out / f"{name}.jsonl").read_text(encoding="utf-8").splitlines():
            json.loads(line)


def test_a_run_makes_rows_files_card_and_report_and_says_so(work, capsys):
    assert run(work.arguments()) == 0
    is_whole(work.out, 10)
    said = capsys.readouterr().out
    assert "10 rows" in said
    assert "10 accepted (100%)" in said
    assert f"wardlaw rows {work.out}" in said
    assert {"README.md", "report.html", "run.json", "sft.jsonl"} <= {path.name for path in work.out.iterdir()}


def test_a_finished_run_again_asks_nothing_and_adds_nothing(work):
    assert run(work.arguments()) == 0
    requests, before = work.endpoint.requests, rows(work.out)
    assert run(work.arguments()) == 0
    assert work.endpoint.requests == requests == 40
    assert rows(work.out) == before


def test_more_prompts_in_the_same_folder_ask_only_for_the_new(work):
    assert run(work.arguments("--limit", "4")) == 0
    assert work.endpoint.requests == 16
    assert run(work.arguments()) == 0
    assert work.endpoint.requests == 40
    is_whole(work.out, 10)


@pytest.mark.parametrize("content", ["", "\n\n  \n"])
def test_no_prompts(work, capsys, content):
    (work.folder / "prompts.txt").write_text(content)
    assert run(work.arguments()) == 2
    assert "no prompts in" in told(capsys)
    assert work.endpoint.requests == 0


def test_a_bad_line_in_the_middle_is_named_before_any_model_is_asked(work, capsys):
    path = work.folder / "prompts.jsonl"
    path.write_text('{"prompt": "one of them"}\n{"prompt": \n{"prompt": "two of them"}\n')
    arguments = [str(path) if item.endswith("prompts.txt") else item for item in work.arguments()]
    assert run(arguments) == 2
    assert "prompts.jsonl:2: not JSON" in told(capsys)
    assert work.endpoint.requests == 0
    assert run([*arguments, "--skip-bad"]) == 0
    assert "1 bad line passed over" in capsys.readouterr().out
    assert len(rows(work.out)) == 2


@pytest.mark.parametrize(
    "model", ["gguf:/nowhere/model.gguf", "scripted:/nowhere/script.yaml", "telepathy:x", "openai:x"]
)
def test_a_model_that_is_not_there(work, capsys, model):
    assert run(work.arguments(model=model)) == 2
    assert model.partition(":")[2][:8] in told(capsys)


def test_an_endpoint_that_is_down(work, capsys, monkeypatch):
    monkeypatch.setenv("WARDLAW_PATIENCE", "0.3")
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound and not listening: it takes no connection, and nobody else gets the port
        url = f"openai:http://127.0.0.1:{held.getsockname()[1]}/v1#mock"
        assert run(work.arguments(model=url)) == 2
    assert "takes no connection" in told(capsys)


async def cut_off(_body: dict[str, Any], request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "5000", "Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(b'{"choices": [{"message": {"content": "half')
    assert request.transport is not None
    request.transport.close()
    return response


async def hang(_body: dict[str, Any], _request: web.Request) -> web.Response:
    await asyncio.sleep(4)
    return web.Response()


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (lambda *_: web.Response(body=b"\x00\xff<html>"), "no JSON"),
        (lambda *_: web.json_response({"hello": "you"}), "no chat completion"),
        (lambda *_: web.json_response({"error": {"message": "exploded"}}, status=500), "exploded"),
        (cut_off, "broke off"),
        (hang, "no answer within"),
    ],
    ids=["garbage", "another shape", "500", "cut off", "hangs"],
)
def test_an_endpoint_that_breaks_in_the_middle_ends_the_run_and_the_next_goes_on(
    work, capsys, monkeypatch, fault, said
):
    monkeypatch.setenv("WARDLAW_PATIENCE", "0.4")
    monkeypatch.setenv("WARDLAW_CALL_TIMEOUT", "1" if fault is hang else "10")
    work.endpoint.fault = lambda body, request: fault(body, request) if work.endpoint.requests > 15 else None
    assert run(work.arguments("--concurrency", "2")) == 2
    errors = told(capsys)
    assert said in errors
    assert "Run the same command to go on" in errors
    kept = len(rows(work.out))
    assert 1 <= kept < 10
    work.endpoint.fault = None
    monkeypatch.setenv("WARDLAW_CALL_TIMEOUT", "5")
    assert run(work.arguments("--concurrency", "2")) == 0
    is_whole(work.out, 10)
    assert set(work.endpoint.asked.values()) == {1}, "no call that was answered is asked again"


def test_a_key_that_is_refused_ends_the_run_at_once(work, capsys):
    work.endpoint.fault = lambda *_: web.json_response(
        {"error": {"message": "Incorrect API key provided: sk-test-0123456789abcdef"}}, status=401
    )
    assert run(work.arguments("--concurrency", "1")) == 2
    assert "OPENAI_API_KEY" in told(capsys)
    assert work.endpoint.requests == 1


def test_an_endpoint_that_is_busy_for_a_while_is_waited_for(work, monkeypatch):
    monkeypatch.setenv("WARDLAW_PATIENCE", "60")
    busy_until: list[float] = []

    def busy(*_: Any) -> web.Response | None:
        busy_until.append(time.monotonic() + 0.7)
        if time.monotonic() >= busy_until[0]:
            return None
        return web.json_response({"error": {"message": "slow down"}}, status=429, headers={"Retry-After": "1"})

    work.endpoint.fault = busy
    assert run(work.arguments("--limit", "4")) == 0
    is_whole(work.out, 4)
    assert work.endpoint.requests > 16


def test_empty_answers_are_rejected_rows(work, capsys):
    work.endpoint.fault = lambda *_: ""
    assert run(work.arguments()) == 0
    assert {row.rejection.reason for row in rows(work.out)} == {"empty"}
    assert "rejected for: empty 10" in capsys.readouterr().out


def test_a_context_too_long_rejects_the_row_and_the_run_goes_on(work):
    work.prompts(4, HARD)
    full = {"error": {"message": "maximum context length is 4096 tokens", "code": "context_length_exceeded"}}
    work.endpoint.fault = lambda body, _: web.json_response(full, status=400) if HARD in json.dumps(body) else None
    assert run(work.arguments()) == 0
    is_whole(work.out, 5)
    reasons = [row.rejection and row.rejection.reason for row in rows(work.out)]
    assert reasons == [None, None, None, None, "context_too_long"]


def test_critiques_in_no_known_shape_reject_their_rows(work):
    work.endpoint.fault = lambda body, _: (
        "I find it rather bad." if body["messages"][0]["content"].startswith("You review") else None
    )
    assert run(work.arguments()) == 0
    assert {row.rejection.reason for row in rows(work.out)} == {"critique_unreadable"}


def test_one_prompt_that_no_patience_helps_is_put_aside_and_taken_up_by_the_next_run(work, capsys, monkeypatch):
    monkeypatch.setenv("WARDLAW_PATIENCE", "0.3")
    work.prompts(4, HARD)
    work.endpoint.fault = lambda body, _: web.Response(status=500) if HARD in json.dumps(body) else None
    assert run(work.arguments()) == 1
    assert "1 row could not be finished" in capsys.readouterr().err
    assert len(rows(work.out)) == 4
    work.endpoint.fault = None
    assert run(work.arguments()) == 0
    is_whole(work.out, 5)
    with closing(RowStore(work.out, read_only=True)) as store:
        assert store.failures() == []


def test_a_folder_of_another_run_is_refused_with_what_differs_and_mixed_goes_on(work, capsys):
    assert run(work.arguments("--limit", "3")) == 0
    capsys.readouterr()
    (work.folder / "rules.yaml").write_text((work.folder / "rules.yaml").read_text().replace("may hurt", "will hurt"))
    assert run(work.arguments("--seed", "5", "--rounds", "1")) == 2
    errors = told(capsys)
    for difference in ("seed: was `0`, is `5`", "rounds: was `2`, is `1`", "rules changed: `careless-advice`"):
        assert difference in errors
    assert "--mixed" in errors
    assert len(rows(work.out)) == 3
    assert run(work.arguments("--seed", "5", "--rounds", "1", "--mixed")) == 0
    is_whole(work.out, 10)
    assert len({row.constitution for row in rows(work.out)}) == 2


def test_a_second_run_in_the_same_folder_is_kept_out(work, capsys):
    with locked(work.out):
        assert run(work.arguments()) == 2
    assert "another run is at work" in told(capsys)
    assert work.endpoint.requests == 0


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("severity", "severty: high", "unknown key `severty`"),
        ("again", "title: Twice", "`title`"),
        ("why", "on: {tool_result: revise}", "tool_result"),
    ],
)
def test_a_fault_in_the_rules_is_told_with_its_place(work, capsys, before, after, said):
    path = work.folder / "rules.yaml"
    path.write_text(f"{path.read_text()}    {after}\n")
    assert run(work.arguments()) == 2
    errors = capsys.readouterr().err
    assert f"rules.yaml:{len(path.read_text().splitlines())}:5: " in errors or said in errors
    assert said in errors
    assert "hint: " in errors
    assert work.endpoint.requests == 0


def test_a_spent_budget_ends_the_run_with_what_is_finished(work, capsys):
    assert run(work.arguments("--max-tokens-total", "1500", "--max-tokens", "50", "--concurrency", "1")) == 3
    assert "budget of 1,500 tokens is spent: " in capsys.readouterr().err
    kept = len(rows(work.out))
    assert 1 <= kept < 10
    assert run(work.arguments("--max-tokens", "50", "--concurrency", "1")) == 0
    is_whole(work.out, 10)
    assert set(work.endpoint.asked.values()) == {1}


def test_calls_in_flight_do_not_overshoot_the_budget(work):
    work.prompts(60)
    work.endpoint.prompt_tokens = 40  # fewer than the estimate of the shortest prompt: no estimate can know a lie
    work.endpoint.delay_s = 0.01
    options = ("--max-tokens-total", "4000", "--max-tokens", "50")
    assert run(work.arguments(*options, "--concurrency", "32")) == 3
    with closing(RowStore(work.out, read_only=True)) as store:
        tokens = store.counts().tokens
    assert 4_000 - 1_500 < tokens.prompt + tokens.completion <= 4_000
    assert tokens.prompt == 40 * sum(work.endpoint.asked.values()), "no answered call is left out of the count"


def test_harmless_prompts_are_mixed_in(work):
    (work.folder / "benign.txt").write_text("".join(f"Tell me about river number {n} in spring.\n" for n in range(30)))
    assert run(work.arguments("--benign", str(work.folder / "benign.txt"), "--benign-share", "0.5")) == 0
    assert sum(row.benign for row in rows(work.out)) == 10


def test_wrong_usage_is_told_without_a_traceback(work, capsys):
    for options in (["--max-tokens", "wizard=3"], ["--samples", "0"], ["--no-such"]):
        assert run(work.arguments(*options)) == 2
        told(capsys)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--temperature", "-1"], "not in the range 0<=x<=5"),
        (["--temperature", "critic=nan"], "`critic=nan` is neither a number"),
        (["--top-p", "7"], "not in the range 0<x<=1"),
        (["--max-tokens", "0"], "not in the range 1<=x"),
        (["--max-tokens", "judge=10.5"], "`10.5` is not a valid integer"),
        (["--temperature", "hot"], "`hot` is neither a number nor ROLE=NUMBER, as `0.5` or `critic=0.5`"),
        (["--price-in", "-1"], "not in the range x>=0"),
        (["--rounds", "0"], "not in the range 1<=x<=1000"),
        (["--benign-share", "0.5"], "--benign-share without --benign"),
        (["--min-helpful", "6"], "not in the range 1<=x<=5"),
        (["--min-helpful", "3"], "--min-helpful without --judge"),
    ],
)
def test_a_number_out_of_its_range_is_refused_before_any_model_is_asked(work, capsys, options, said):
    assert run(work.arguments(*options)) == 2
    assert said in told(capsys)
    assert work.endpoint.requests == 0


@pytest.mark.parametrize(
    "sampling", [{"temperature": -1}, {"temperature": float("nan")}, {"top_p": 7}, {"max_tokens": 0}, {"max_token": 5}]
)
def test_settings_keep_to_the_same_ranges(tmp_path, sampling):
    with pytest.raises(ValueError, match="sampling"):
        Settings(prompts=("a",), out=tmp_path, models=dict.fromkeys(ROLES, "x"), sampling={"critic": sampling})


def test_the_help_names_the_roles_and_defaults_that_hold():
    from server.cli.generate import _ROLES, command

    assert _ROLES == ROLES
    helps = {param.name: param.help for param in command.params if isinstance(param, click.Option)}
    for what in ("temperature", "top_p", "max_tokens"):
        told_of = dict(re.findall(r"(\w+)=([\d.]+)", helps[what].partition("[default: ")[2]))
        everyone = re.search(r"default: ([\d.]+)", helps[what])
        for role, drawn in SAMPLING.items():
            assert float(told_of.get(role) or everyone[1]) == getattr(drawn, what), (role, what)


def test_the_help_names_every_format():
    from constitution.formats import formats
    from server.cli._outputs import FORMATS

    assert list(FORMATS) == sorted(formats())


def test_every_option_of_the_help_stands_under_a_heading():
    from server.cli.generate import command

    listed = {name for names in command.sections.values() for name in names}
    assert listed == {param.name for param in command.params if isinstance(param, click.Option)}


def test_a_folder_whose_prompts_all_have_rows_is_still_refused_to_other_models(work, capsys):
    first, second = work.folder / "first.yaml", work.folder / "second.yaml"
    first.write_text("default: {text: Fine.}\n")
    second.write_text("default: {text: Better.}\n")
    assert run(work.arguments(model=f"scripted:{first}")) == 0
    made = rows(work.out)
    capsys.readouterr()
    assert run(work.arguments(model=f"scripted:{second}")) == 2
    assert "models.answerer: was" in told(capsys)
    assert rows(work.out) == made


def test_harmless_prompts_that_run_out_are_told(work, capsys):
    (work.folder / "benign.txt").write_text("Tell me about the river in spring.\n")
    assert run(work.arguments("--benign", str(work.folder / "benign.txt"), "--benign-share", "0.5")) == 0
    assert "benign prompts ran out: 9% instead of 50%" in capsys.readouterr().out


# -- processes: signals, kills, a full disk


def wait_for(work: Any, requests: int) -> None:
    deadline = time.monotonic() + 60
    while work.endpoint.requests < requests:
        assert time.monotonic() < deadline, "the run never began"
        time.sleep(0.01)


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_ends_cleanly_and_says_how_to_go_on(work, sign):
    work.endpoint.delay_s = 0.05
    process = work.start("--concurrency", "3")
    wait_for(work, 18)
    process.send_signal(sign)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert errors.index("stopping ...") < errors.index("stopped: ")
    assert "Run the same command to go on" in errors
    kept = len(rows(work.out))
    assert f"{kept} rows are kept" in errors
    work.endpoint.delay_s = 0
    answered = set(work.endpoint.asked)
    assert run(work.arguments("--concurrency", "3")) == 0
    is_whole(work.out, 10)
    # A call that was on its way when the signal came may have been answered to nobody.
    assert sum(count - 1 for count in work.endpoint.asked.values()) <= 3
    assert answered


def test_a_killed_run_goes_on_as_if_nothing_had_been(work):
    draw = random.Random(20)
    work.prompts(30)
    work.endpoint.numbered = True
    work.endpoint.delay_s = 0.01
    answered: dict[int, int] = {}
    for _ in range(3):
        process = work.start("--concurrency", "8")
        wait_for(work, work.endpoint.requests + draw.randint(10, 30))
        process.kill()
        process.communicate()
        with closing(sqlite3.connect(work.out / "rows.sqlite")) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            kept = {number for (number,) in db.execute("SELECT prompt_tokens FROM calls")}
        assert set(answered) <= kept, "what was kept stays kept"
        answered |= {number: work.endpoint.asked[number] for number in kept if number not in answered}
    assert len(answered) > 10
    work.endpoint.delay_s = 0
    assert run(work.arguments("--concurrency", "8")) == 0
    again = {number for number, times in answered.items() if work.endpoint.asked[number] != times}
    assert not again, "a call whose answer was kept is never asked again"
    is_whole(work.out, 30)
    killed = compared(work.out)
    work.out.rename(work.folder / "killed")
    assert run(work.arguments("--concurrency", "8")) == 0
    assert compared(work.out) == killed, "the rows are those of a run that nobody disturbed"


def compared(out: Path) -> list[dict[str, Any]]:
    """What two runs must agree on: all but times."""
    return [
        {
            **row.model_dump(exclude={"started", "finished", "calls"}),
            "calls": sorted((call.role, call.stage, call.tokens.prompt) for call in row.calls),
        }
        for row in rows(out)
    ]


@pytest.mark.parametrize("more", [0, 60_000])
def test_a_full_disk_is_said_keeps_what_is_finished_and_the_run_goes_on_after(work, more):
    work.prompts(60)
    work.endpoint.delay_s = 0.01
    process = work.start("--concurrency", "4")
    wait_for(work, 30)
    limit = (work.out / "rows.sqlite-wal").stat().st_size + more
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (limit, limit))
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2, errors
    assert "Traceback" not in errors
    assert "full or cannot be written" in errors
    assert "hint: make room" in errors
    kept = compared(work.out)
    assert 1 <= len(kept) < 60
    work.endpoint.delay_s = 0
    assert run(work.arguments("--concurrency", "4")) == 0
    is_whole(work.out, 60)
    assert all(row in compared(work.out) for row in kept)


def test_a_disk_that_was_full_from_the_start_is_said(work):
    process = work.start(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)))
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2, errors
    assert "Traceback" not in errors
    assert errors.startswith("error: ")
    assert "hint: " in errors
    assert run(work.arguments()) == 0
    is_whole(work.out, 10)
