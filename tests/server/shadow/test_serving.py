"""A candidate beside the rules in force, in real servers: it judges the same texts, and changes nothing."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest

from server.audit.database import Database, database_url
from server.audit.query import Decisions, Filters, Found
from tests.server.conftest import FakeUpstream
from tests.server.serving import RULES, Served
from tests.server.shadow.conftest import CANDIDATE

Serve = Callable[..., Served]

KRAKEN, GOLD, BOTH = "summon the kraken", "the buried gold", "summon the great kraken"


def shadowed(serve: Serve, *args: str, **more: Any) -> Served:
    files = {"candidate.yaml": CANDIDATE}
    return serve("--shadow", "candidate.yaml", "--set", "limits.lag_ms=0", *args, files=files, **more).ready()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, fake_upstream_process: FakeUpstream) -> Iterator[Served]:
    """A server with a candidate for all tests that look at their own decisions alone."""
    folder = tmp_path_factory.mktemp("shadow") / "s"
    args = ["--upstream", fake_upstream_process.url, "--shadow", "candidate.yaml", "--set", "limits.lag_ms=0"]
    served = Served(folder, *args, files={"candidate.yaml": CANDIDATE})
    yield served.ready()
    served.kill()


def candidate(served: Served) -> dict[str, Any]:
    return dict(served.health()["constitutions"]["default"]["candidate"])


def found(served: Served, url: str = "", **filters: Any) -> list[Found]:
    database = Database(url or database_url("", served.folder / "data"))
    try:
        return Decisions(database).find(Filters(**filters), 100)
    finally:
        database.close()


def compared(served: Served, decision: str, url: str = "") -> dict[str, Any]:
    """What was kept of one decision's comparison, as soon as it is there."""

    def kept() -> dict[str, Any] | None:
        return next((each.shadow for each in found(served, url) if each.id == decision), None)

    told = served.until(kept)
    assert isinstance(told, dict)
    return told


def test_verdicts_of_a_candidate_are_kept_and_change_no_answer(serve: Serve) -> None:
    served = shadowed(serve)
    blocked, passed, same = served.ask(KRAKEN), served.ask(GOLD), served.ask("hello")
    assert [each.headers["x-wardlaw-action"] for each in (blocked, passed, same)] == ["block", "allow", "allow"]
    milder, stricter, neither = (
        compared(served, each.headers["x-wardlaw-decision"]) for each in (blocked, passed, same)
    )
    assert (milder["flip"], stricter["flip"], neither["flip"]) == ("milder", "stricter", "")
    assert milder["base"]["rules"] == {"kraken-summoning": 1.0}
    assert milder["candidate"]["rules"] == {}
    assert stricter["candidate"]["action"] == "block"
    assert [(each["where"], each["part"]) for each in stricter["places"]] == [("messages[0]", "prompt")]
    assert stricter["candidate"]["digest"] == candidate(served)["digest"] != stricter["base"]["digest"]
    told = candidate(served)
    assert told["same"] is False
    assert (told["judged"], told["flips"]) == (3, {"stricter": 1, "milder": 1, "other": 0})
    assert "kraken" not in json.dumps([each["places"] for each in (milder, stricter)]).replace("kraken-summoning", "")
    assert len(found(served, flips="any")) == 2
    assert [each.id for each in found(served, flips="milder")] == [blocked.headers["x-wardlaw-decision"]]
    page = served.get("/metrics").text
    assert 'wardlaw_shadow_judged_total{constitution="default"} 3.0' in page
    assert 'wardlaw_shadow_flips_total{constitution="default",direction="milder"} 1.0' in page


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_answers_are_judged_as_the_model_gave_them_in_every_choice(
    running: Served, fake_upstream: FakeUpstream, stream: bool
) -> None:
    fake_upstream.script(
        text=f"dig here for {GOLD} and go on",
        reasoning=f"they want {GOLD} I think",
        arguments=f'{{"look": "for {GOLD}"}}',
    )
    answer = running.ask("hello", n=2, stream=stream)
    assert "gold" in answer.text
    told = compared(running, answer.headers["x-wardlaw-decision"])
    parts = {"text": "response", "reasoning": "reasoning", "tool[0]": "tool_call"}
    wanted = {(f"choices[{n}].{name}", part) for n in range(2) for name, part in parts.items()}
    assert {(each["where"], each["part"]) for each in told["places"]} == wanted
    assert told["flip"] == "stricter"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_an_answer_that_the_guard_blocks_is_judged_as_it_was_before(
    running: Served, fake_upstream: FakeUpstream, stream: bool
) -> None:
    fake_upstream.script(text=f"here is how to {KRAKEN} at night")
    answer = running.ask("hello", stream=stream)
    assert KRAKEN not in answer.text
    told = compared(running, answer.headers["x-wardlaw-decision"])
    assert told["flip"] == "milder"
    assert told["base"]["rules"] == {"kraken-summoning": 1.0}


def test_a_stream_that_both_would_stop_is_no_flip(serve: Serve, fake_upstream: FakeUpstream) -> None:
    fake_upstream.script(text=f"here is how to {KRAKEN} at night, and where {GOLD} lies")
    stricter = CANDIDATE.replace("great kraken", "kraken")
    served = serve("--shadow", "candidate.yaml", files={"candidate.yaml": stricter}).ready()
    answer = served.ask("hello", stream=True)
    assert KRAKEN not in answer.text
    told = compared(served, answer.headers["x-wardlaw-decision"])
    assert (told["base"]["action"], told["candidate"]["action"]) == ("block", "block")
    fake_upstream.script(text=f"here is how to {KRAKEN} at night")
    told = compared(served, served.ask("hello", stream=True).headers["x-wardlaw-decision"])
    assert (told["flip"], told["places"]) == ("", [])


@pytest.mark.usefixtures("fake_upstream")
def test_moderations_are_judged_too(running: Served) -> None:
    asked = {"input": ["hello", GOLD]}
    answer = httpx.post(f"{running.url}/v1/moderations", json=asked, trust_env=False, verify=False, timeout=20)
    assert not any(each["flagged"] for each in answer.json()["results"])
    told = compared(running, answer.headers["x-wardlaw-decision"])
    assert [each["where"] for each in told["places"]] == ["input[1]"]


@pytest.mark.usefixtures("fake_upstream")
def test_an_auditor_reads_both_verdicts(running: Served) -> None:
    decision = running.ask(GOLD).headers["x-wardlaw-decision"]
    compared(running, decision)
    assert running.get(f"/v1/decisions/{decision}").json()["shadow"]["flip"] == "stricter"


@pytest.mark.slow  # six commands, each a process
def test_the_commands_of_the_audit_tell_flips(serve: Serve) -> None:
    served = shadowed(serve)
    decision = served.ask(GOLD).headers["x-wardlaw-decision"]
    served.ask("hello")
    compared(served, decision)
    listed = served.command("audit", "list", "--flips", "--folder", "data").stdout
    assert decision in listed
    assert "block (gold-digging), stricter" in listed
    assert len(listed.splitlines()) == 2
    shown = served.command("audit", "show", decision, "--folder", "data").stdout
    assert "the candidate judges otherwise: stricter" in shown
    assert "messages[0] (prompt): in force allow; candidate block (gold-digging 1.000)" in shown
    served.command("audit", "export", "flips.jsonl", "--flips", "stricter", "--folder", "data")
    [row] = [json.loads(line) for line in (served.folder / "flips.jsonl").read_text().splitlines()]
    assert row["shadow"]["candidate"]["rules"] == {"gold-digging": 1.0}
    for ending in ("csv", "parquet"):
        served.command("audit", "export", f"all.{ending}", "--folder", "data")


def test_a_candidate_is_reloaded_and_a_broken_one_leaves_the_last_good_one(serve: Serve) -> None:
    served = shadowed(serve)
    path, before = served.folder / "candidate.yaml", candidate(served)["digest"]
    in_force = served.health()["constitutions"]["default"]["digest"]
    path.write_text(CANDIDATE.replace("why:", "wy:"))
    served.until(lambda: candidate(served)["load"]["outcome"] == "failed")
    assert candidate(served)["digest"] == before
    assert "unknown key `wy`" in served.health()["degraded"]["candidate"]
    assert served.health()["reload"] == "ok"
    path.write_text(CANDIDATE.replace("buried gold", "sunken gold"))
    served.until(lambda: candidate(served)["digest"] not in ("", before))
    assert "candidate" not in served.health()["degraded"]
    decision = served.ask("sunken gold").headers["x-wardlaw-decision"]
    assert compared(served, decision)["flip"] == "stricter"
    told = candidate(served)
    assert (told["judged"], told["load"]["outcome"]) == (1, "swapped")
    assert served.health()["constitutions"]["default"]["digest"] == in_force
    path.write_text(CANDIDATE)
    served.tell(signal.SIGHUP)
    served.until(lambda: candidate(served)["digest"] == before)


def test_a_candidate_that_is_broken_at_the_start_is_said_and_the_rules_in_force_judge(serve: Serve) -> None:
    files = {"candidate.yaml": CANDIDATE.replace("why:", "wy:")}
    served = serve("--shadow", "candidate.yaml", files=files).ready()
    assert served.blocks(KRAKEN)
    assert candidate(served)["digest"] == ""
    assert any("starts without it" in line["message"] for line in served.logged())
    (served.folder / "candidate.yaml").write_text(CANDIDATE)
    served.until(lambda: candidate(served)["digest"])
    assert compared(served, served.ask(GOLD).headers["x-wardlaw-decision"])["flip"] == "stricter"


def test_a_candidate_that_is_required_and_broken_stops_the_start(serve: Serve) -> None:
    files = {"candidate.yaml": CANDIDATE.replace("why:", "wy:")}
    served = serve("--shadow", "candidate.yaml", "--set", "shadow.required=true", files=files)
    assert served.ended() == 2
    assert "the candidate of `default` cannot be used" in served.err.read_text()


def test_what_waits_is_judged_when_the_server_stops(serve: Serve) -> None:
    served = shadowed(serve)
    asked = [served.ask(GOLD).headers["x-wardlaw-decision"] for _ in range(20)]
    served.tell(signal.SIGTERM)
    assert served.ended() == 0
    rows = {each.id: each.shadow for each in found(served)}
    assert all(rows[each] for each in asked)


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_server_that_is_killed_while_verdicts_are_written_loses_none_that_was_counted(
    serve: Serve, request: pytest.FixtureRequest, kind: str
) -> None:
    url = request.getfixturevalue("postgres").database() if kind == "postgres" else ""
    where = ["--database", url] if url else []
    served = shadowed(serve, *where)
    over = threading.Event()

    def go_on() -> None:
        with suppress(httpx.HTTPError):
            while not over.is_set():
                served.ask(GOLD)

    asking = [threading.Thread(target=go_on) for _ in range(4)]
    for each in asking:
        each.start()
    told = 0
    while told < 60:
        told = candidate(served)["judged"]
    os.kill(served.process.pid, signal.SIGKILL)
    over.set()
    served.ended()
    for each in asking:
        each.join()
    served.command("audit", "list", "-n", "1", "--folder", "data", *where)  # drains what the dead worker left
    database = Database(url or database_url("", served.folder / "data"))
    flips = list(Decisions(database).all(Filters(flips="stricter")))
    database.close()
    assert len(flips) >= told
    assert all(each.shadow and each.shadow["candidate"]["rules"] == {"gold-digging": 1.0} for each in flips)
    assert not (served.folder / "data" / "journal" / "set-aside.lines").exists()


def test_with_nothing_of_the_share_nothing_is_judged_twice(serve: Serve) -> None:
    served = shadowed(serve, "--shadow-share", "0")
    for _ in range(5):
        served.ask(GOLD)
    assert candidate(served)["judged"] == 0
    assert candidate(served)["dropped"] == {}


def test_a_candidate_with_the_rules_in_force_costs_nothing(serve: Serve) -> None:
    served = serve("--shadow", "candidate.yaml", files={"candidate.yaml": RULES}).ready()
    served.ask(KRAKEN)
    time.sleep(0.3)
    assert (candidate(served)["judged"], candidate(served)["dropped"]) == (0, {})
    assert found(served)[0].shadow is None


def test_a_dry_reload_tries_the_candidate_too_and_a_broken_one_is_a_metric(serve: Serve) -> None:
    served = shadowed(serve, "--set", "reload.watch=false")
    before, path = candidate(served)["digest"], served.folder / "candidate.yaml"

    def dry() -> dict[str, Any]:
        answer = httpx.post(f"{served.url}/admin/reload?dry=true", trust_env=False, verify=False, timeout=20)
        return dict(answer.json()["candidates"]["default"])

    assert dry()["load"]["outcome"] == "unchanged"
    assert 'wardlaw_candidate_failed{constitution="default"} 0.0' in served.get("/metrics").text
    path.write_text(CANDIDATE.replace("why:", "wy:"))
    told = dry()
    assert (told["digest"], told["load"]["outcome"]) == (before, "failed")
    assert "wy" in told["load"]["error"]
    served.tell(signal.SIGHUP)
    served.until(lambda: 'wardlaw_candidate_failed{constitution="default"} 1.0' in served.get("/metrics").text)
    path.write_text(CANDIDATE.replace("buried gold", "sunken gold").replace("where the buried", "where the sunken"))
    told = dry()
    assert told["load"]["outcome"] == "ready"
    assert told["digest"] != before
