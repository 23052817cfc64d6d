"""`wardlaw serve` in processes of its own: start, faults at the start, signals, workers that die."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from click.testing import CliRunner

from server.cli.main import cli, main
from tests.server.serving import RULES, Served, Stream, serve

__all__ = ["serve"]


def test_one_line_says_where_it_listens_and_what_it_guards_by_which_rules(
    serve: Callable[..., Served], fake_upstream: Any
) -> None:
    served = serve().ready()
    line = served.out.read_text()
    assert line.count("\n") == 1
    assert f"guards openai:{fake_upstream.url} by default " in line
    assert "(1 rule), no keys" in line
    assert served.health()["constitutions"]["default"]["digest"] in line
    assert served.get("/readyz").status_code == 200
    assert not served.blocks("What does a kraken eat?")
    assert served.blocks("Please summon the kraken.")


def test_sigterm_lets_a_stream_end_and_takes_no_new_connection(
    serve: Callable[..., Served], fake_upstream: Any
) -> None:
    fake_upstream.script("drip", delay=0.1)
    served = serve().ready()
    stream = Stream(served)
    served.tell(signal.SIGTERM)

    def refused() -> bool:
        try:
            served.get("/healthz")
        except httpx.ConnectError:
            return True
        except httpx.TransportError:  # it was in the queue when the socket was closed
            return False
        return False

    served.until(refused)
    assert served.ended() == 0
    stream.join()
    assert stream.text.endswith("data: [DONE]\n\n")
    assert 'finish_reason":"stop"' in stream.text.replace(" ", "")


def test_a_stream_that_outlasts_the_drain_is_ended_as_an_error_of_its_api(
    serve: Callable[..., Served], fake_upstream: Any
) -> None:
    fake_upstream.script("endless")
    served = serve("--drain", "0.3").ready()
    stream = Stream(served)
    served.tell(signal.SIGTERM)
    assert served.ended() == 1
    stream.join()
    last = [line for line in stream.text.split("\n\n") if line][-2:]
    assert "the server is shutting down" in "".join(last)
    assert stream.text.endswith("\n\n")


@pytest.mark.slow
def test_a_second_signal_ends_it_at_once(serve: Callable[..., Served], fake_upstream: Any) -> None:
    fake_upstream.script("endless")
    served = serve("--drain", "600").ready()
    stream = Stream(served)
    served.tell(signal.SIGINT)
    served.until(lambda: any("stopping" in line["message"] for line in served.logged()))
    served.tell(signal.SIGINT)
    assert served.ended() == 1
    stream.join()


@pytest.mark.slow
def test_a_reload_that_is_asked_for_at_the_end_cuts_nothing_short(serve: Callable[..., Served]) -> None:
    served = serve("--database", "postgresql://nobody@127.0.0.1:9/nothing").ready()
    assert served.ask("hello").status_code == 200
    served.tell(signal.SIGTERM)
    # closing waits for the database, which does not come
    while served.process.poll() is None:
        served.tell(signal.SIGHUP)
        time.sleep(0.05)
    assert served.ended() == 0


def test_while_it_drains_with_a_delay_it_takes_requests_and_is_not_ready(serve: Callable[..., Served]) -> None:
    served = serve("--set", "drain_delay_s=3").ready()
    served.tell(signal.SIGTERM)
    answer = served.until(lambda: (ready := served.get("/readyz")).status_code == 503 and ready)
    assert answer.json() == {"ready": False, "why_not": ["it is draining"]}
    assert served.ask("hello").status_code == 200
    assert served.ended() == 0


def test_sighup_brings_new_rules_into_force(serve: Callable[..., Served]) -> None:
    served = serve("--no-watch").ready()
    before = served.health()["constitutions"]["default"]["digest"]
    served.rules.write_text(
        RULES.replace("[{literal: summon the kraken}]", "[{literal: summon the}, {literal: wake it}]")
    )
    assert not served.blocks("wake it")
    served.tell(signal.SIGHUP)
    served.until(lambda: served.blocks("wake it"))
    now = served.health()["constitutions"]["default"]
    assert now["digest"] != before
    assert now["reload"]["outcome"] == "swapped"
    assert now["reload"]["rules"] == {"added": [], "removed": [], "changed": ["kraken-summoning"]}


def test_a_bad_file_leaves_the_last_good_rules_in_force_and_shows_everywhere(serve: Callable[..., Served]) -> None:
    served = serve().ready()
    served.rules.write_text(RULES.replace("why:", "wy:"))
    failed = served.until(lambda: (health := served.health())["reload"] == "failed" and health)
    told = failed["constitutions"]["default"]["reload"]
    assert told["where"] == "rules.yaml:7:5"
    assert "did you mean `why`?" in told["error"]
    assert served.blocks("summon the kraken")
    assert "wardlaw_reload_failed 1.0" in served.get("/metrics").text
    assert any(line["level"] == "ERROR" and "rules.yaml:7:5" in line["message"] for line in served.logged())
    served.rules.write_text(RULES)
    served.until(lambda: served.health()["reload"] == "ok")


def test_no_text_and_no_secret_of_a_whole_run_is_in_the_log_or_the_metrics(
    serve: Callable[..., Served], fake_upstream: Any
) -> None:
    served = serve("--log-level", "debug", "--set", "upstream.key=sk-planted-1").ready()
    fake_upstream.script("ok", text="an answer with planted-2 in it")
    served.ask("planted-3")
    served.ask("summon the kraken planted-4")
    Stream(served, messages=[{"role": "user", "content": "planted-5"}]).join()
    for mode in ("e400", "e500", "garbage", "cut", "no_end", "error_event", "close"):
        fake_upstream.script(mode, text="planted-6 planted-6 planted-6")
        served.ask("planted-7")
        Stream(served, messages=[{"role": "user", "content": "planted-8"}]).join()
    url = f"{served.url}/v1/chat/completions"
    secret = {"authorization": "Bearer planted-9", "x-api-key": "planted-10"}
    httpx.post(f"{url}?planted-11", content=b'{"planted-12": ', headers=secret, timeout=10, trust_env=False)
    httpx.get(f"{served.url}/planted-13", headers=secret, timeout=10, trust_env=False)
    page = served.get("/metrics").text
    served.tell(signal.SIGTERM)
    served.ended()
    assert sum(line["message"] == "decided" for line in served.logged()) >= 16
    for told in (served.err.read_text(), served.out.read_text(), page, served.url):
        assert "planted" not in told


def test_two_workers_share_one_port_and_reload_together(serve: Callable[..., Served]) -> None:
    served = serve("--workers", "2", "--no-watch").ready()
    pids = served.until(lambda: len(found := served.pids()) == 2 and found)
    served.rules.write_text(
        RULES.replace("summon the kraken}", "wake it}").replace("Please summon the kraken", "wake it")
    )
    told = httpx.post(f"{served.url}/admin/reload", timeout=20, trust_env=False).json()
    assert told["workers"] == {"reloaded": 1, "told_to_reload": 1}

    def digests() -> set[tuple[int, str]]:
        found = [served.health() for _ in range(8)]
        return {(each["pid"], each["constitutions"]["default"]["digest"]) for each in found}

    new = told["constitutions"]["default"]["digest"]
    served.until(lambda: digests() == {(pid, new) for pid in pids})
    page = served.get("/metrics").text
    assert re.search(r'wardlaw_reloads_total\{outcome="swapped"\} 2\.0', page)


@pytest.mark.slow
def test_a_worker_that_is_killed_is_replaced_and_the_other_goes_on(serve: Callable[..., Served]) -> None:
    served = serve("--workers", "2").ready()
    pids = served.until(lambda: len(found := served.pids()) == 2 and found)
    killed = min(pids)
    os.kill(killed, signal.SIGKILL)
    served.until(lambda: len(found := served.pids()) == 2 and killed not in found)
    assert served.blocks("summon the kraken")
    served.tell(signal.SIGTERM)
    assert served.ended() == 0


@pytest.mark.slow
def test_workers_end_when_their_parent_is_killed(serve: Callable[..., Served]) -> None:
    served = serve("--workers", "2").ready()
    served.tell(signal.SIGKILL)
    served.ended()

    def refused() -> bool:
        try:
            served.get("/healthz")
        except httpx.TransportError:
            return True
        return False

    served.until(refused)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_start_that_cannot_be_says_why_in_one_line_and_listens_nowhere(
    serve: Callable[..., Served], workers: str
) -> None:
    served = serve("--workers", workers, "--encoder", "./nowhere", "-c", "base", meaning=True)
    assert served.ended() == 2
    assert served.err.read_text().startswith("error: encoder `./nowhere` is not there\n  hint: ")
    assert served.out.read_text() == ""


@pytest.fixture
def fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """What the command says in this process where it cannot start; nothing is opened before."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("WARDLAW_")]:
        monkeypatch.delenv(name)
    (tmp_path / "rules.yaml").write_text(RULES)

    def told(*args: str) -> str:
        assert main(["serve", *args]) == 2
        return capsys.readouterr().err.removeprefix("error: ")

    return told


def test_a_port_that_is_taken_is_told_with_what_to_do(fault: Callable[..., str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = fault("--model", "embedded", "--port", str(port), "-c", "rules.yaml")
    assert said.startswith(f"port {port} of `127.0.0.1` is taken\n  hint: ")


def test_a_fault_in_the_rules_is_told_with_its_place(fault: Callable[..., str]) -> None:
    Path("rules.yaml").write_text(RULES.replace("detect:", "detct:"))
    said = fault("--model", "embedded", "-c", "rules.yaml")
    assert said.startswith(
        "rules.yaml:8:5: unknown key `detct` in rule `kraken-summoning`\n  hint: did you mean `detect`?"
    )


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ((), "no upstream is given"),
        (("--upstream", "http://a/v1", "--model", "embedded"), "two upstreams are given"),
        (("--upstream", "localhost:8000"), "`--upstream`: `upstream.url`: `localhost:8000` is no address of a server"),
        (
            ("--upstream", "http://me:secret@a/v1"),
            "`--upstream`: `upstream.url`: the address holds a user or a password",
        ),
        (
            ("--model", "embedded", "--host", "no.such.host.invalid"),
            "`no.such.host.invalid` is no address to listen on",
        ),
        (("--model", "embedded", "-c", "nowhere.yaml"), "no rule file or pack `nowhere.yaml`"),
        (("--config", "none.yaml"), "the settings `none.yaml` cannot be read"),
        (("--set", "upstream.firstt_s=3"), "`--set upstream.firstt_s`: unknown key `firstt_s` in `upstream`"),
        (("--set", "port"), "--set takes NAME=VALUE, not `port`"),
    ],
)
def test_wrong_flags_are_told_with_a_hint(fault: Callable[..., str], args: tuple[str, ...], said: str) -> None:
    told = fault(*args)
    assert told.startswith(said)
    assert "\n  hint: " in told
    assert "secret" not in told


def test_a_secret_on_the_command_line_is_warned_of_and_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = ["--set", "upstream.key=sk-planted", "--set", "upstream.first_s=3"]
    done = CliRunner().invoke(cli, ["serve", "--print-settings", *given])
    assert done.exit_code == 0, done.output
    warned = [line for line in done.stderr.splitlines() if line.startswith("warning: ")]
    assert len(warned) == 1
    assert "`--set upstream.key` can be read by everyone" in warned[0]
    assert "`WARDLAW_UPSTREAM__KEY`" in warned[0]
    assert "planted" not in done.output


def test_printed_settings_come_from_all_sources_and_hold_no_secret(tmp_path: Path) -> None:
    config = tmp_path / "wardlaw.yaml"
    config.write_text("port: 1111\nhost: 0.0.0.0\nupstream: {url: 'http://a', key: sk-planted}\nworkers: 3\n")
    env = {"WARDLAW_PORT": "2222", "WARDLAW_DATABASE": "postgresql://me:planted@db/x", "WARDLAW_WORKERS": "4"}
    done = CliRunner().invoke(cli, ["serve", "--config", str(config), "--port", "3333", "--print-settings"], env=env)
    assert done.exit_code == 0, done.output
    printed = yaml.safe_load(done.output)
    assert (printed["port"], printed["workers"], printed["host"], printed["auth"]) == (3333, 4, "0.0.0.0", "keys")
    assert printed["upstream"]["url"] == "http://a/v1"
    assert printed["database"] == "postgresql://me:***@db/x"
    assert "planted" not in done.output
