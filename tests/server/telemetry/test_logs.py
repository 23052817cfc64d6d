"""The log: a line a decision, and no text of anyone in it."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from server.record import Record
from server.settings import LogSettings
from server.telemetry.logs import DecisionLog, set_up


@pytest.fixture(autouse=True)
def root_logger() -> Iterator[None]:
    """Leaves the logging of the tests as it was."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_decision_is_one_line_of_ids_and_numbers(
    record: Callable[..., Record], capsys: pytest.CaptureFixture[str]
) -> None:
    log = DecisionLog(LogSettings())
    made = record(rules=("a", "b"), action="block", fault="content_filter", degraded={"judge": "down: the planted"})
    log.write(made)
    log.close()
    line = json.loads(capsys.readouterr().err)
    assert line["id"] == made.decision.id
    assert (line["key"], line["api"], line["action"], line["rules"]) == (
        "0a0a0a0a",
        "chat_completions",
        "block",
        ["a", "b"],
    )
    assert (line["status"], line["ms"], line["upstream_ms"], line["fault"]) == (200, 60.0, 50.0, "content_filter")
    assert line["degraded"] == ["judge"]
    assert "planted" not in json.dumps(line)


def test_a_line_says_why_an_answer_was_not_mended(
    record: Callable[..., Record], capsys: pytest.CaptureFixture[str]
) -> None:
    log = DecisionLog(LogSettings())
    made = record(action="block")
    log.write(replace(made, decision=replace(made.decision, amend="out of time")))
    log.write(record())
    log.close()
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert (first["id"], first["amend"]) == (made.decision.id, "out of time")
    assert "amend" not in second


def test_lines_that_nobody_took_in_time_are_counted(
    record: Callable[..., Record],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("server.telemetry.logs._MOST", 3)
    monkeypatch.setattr("server.telemetry.logs._EVERY_S", 60)
    log = DecisionLog(LogSettings())
    for _ in range(5):
        log.write(record())
    log.close()
    assert len(capsys.readouterr().err.splitlines()) == 3
    assert "2 lines of decisions were dropped" in caplog.text


def test_plain_lines_say_the_same_and_hold_no_text(
    record: Callable[..., Record], capsys: pytest.CaptureFixture[str]
) -> None:
    log = DecisionLog(LogSettings(format="plain"))
    log.write(record(rules=("a", "b"), action="block"))
    log.close()
    line = capsys.readouterr().err
    assert f"wardlaw[{os.getpid()}]: decided id=d_" in line
    assert "action=block rules=a,b status=200" in line
    assert "planted" not in line


@pytest.mark.parametrize("settings", [LogSettings(decisions=False), LogSettings(level="warning")])
def test_decisions_are_not_logged_where_the_settings_say_so(
    settings: LogSettings, record: Callable[..., Record], capsys: pytest.CaptureFixture[str]
) -> None:
    log = DecisionLog(settings)
    log.write(record())
    log.close()
    assert capsys.readouterr().err == ""


def test_a_stream_is_logged_once_and_every_line_that_waits_is_written_at_the_end(
    record: Callable[..., Record], capsys: pytest.CaptureFixture[str]
) -> None:
    log = DecisionLog(LogSettings())
    for _ in range(50):
        log.write(record(complete=False))
        log.write(record())
    log.close()
    log.close()
    assert len(capsys.readouterr().err.splitlines()) == 50


def test_other_logs_are_json_lines_too_with_what_goes_with_them(capsys: pytest.CaptureFixture[str]) -> None:
    set_up(LogSettings())
    logging.getLogger("server.reload").error("it failed:\n  hint: mend it", extra={"constitution": "bank"})
    logging.getLogger("server.reload").debug("not written")
    line = json.loads(capsys.readouterr().err)
    assert (line["level"], line["logger"], line["constitution"]) == ("ERROR", "server.reload", "bank")
    assert line["message"] == "it failed:\n  hint: mend it"
    assert line["time"].endswith("+00:00")
    assert isinstance(line["pid"], int)


@pytest.mark.parametrize("form", ["json", "plain"])
def test_an_error_is_logged_by_kind_and_place_without_its_message(
    form: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up(LogSettings(format=form))
    try:
        int("planted words of a client")
    except ValueError:
        logging.getLogger("uvicorn.error").exception("a request failed")
    told = capsys.readouterr().err
    assert "a request failed" in told
    assert "ValueError at test_logs.py:" in told
    assert "planted" not in told


def test_a_request_that_is_cut_off_is_no_fault_of_the_application(capsys: pytest.CaptureFixture[str]) -> None:
    set_up(LogSettings())
    logging.getLogger("uvicorn.error").error("Exception in ASGI application", exc_info=asyncio.CancelledError())
    assert capsys.readouterr().err == ""


def test_libraries_that_name_addresses_and_statements_are_heard_from_warnings_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    set_up(LogSettings(level="debug"))
    logging.getLogger("httpx").info("GET http://planted/")
    logging.getLogger("uvicorn.error").info("started")
    logging.getLogger("sqlalchemy.engine").info("select 'planted'")
    assert capsys.readouterr().err == ""
    logging.getLogger("uvicorn.error").warning("odd")
    assert "odd" in capsys.readouterr().err


TIME = r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00"


def test_all_lines_have_one_time_format_and_one_order_of_keys(
    record: Callable[..., Record], capsys: pytest.CaptureFixture[str]
) -> None:
    set_up(LogSettings())
    logging.getLogger("server.reload").warning("changed", extra={"constitution": "bank"})
    log = DecisionLog(LogSettings())
    log.write(record())
    log.close()
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert len(lines) == 2
    for line in lines:
        assert list(line)[:5] == ["time", "level", "logger", "message", "pid"]
        assert re.fullmatch(TIME, line["time"])


@pytest.mark.parametrize("form", ["plain", "json"])
def test_what_a_library_stamps_on_every_record_is_not_written(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    set_up(LogSettings(format=form))
    logging.getLogger("server.reload").error("it failed", extra={"_stamp_of_a_library": 17954, "constitution": "bank"})
    (line,) = capsys.readouterr().err.splitlines()
    assert "17954" not in line
    assert "bank" in line


def test_plain_lines_of_other_logs_look_like_those_of_decisions(
    record: Callable[..., Record], capsys: pytest.CaptureFixture[str]
) -> None:
    set_up(LogSettings(format="plain"))
    logging.getLogger("server.reload").error("it failed:\n  hint: mend it", extra={"constitution": "bank"})
    log = DecisionLog(LogSettings(format="plain"))
    log.write(record())
    log.close()
    first, hint, decided = capsys.readouterr().err.splitlines()
    pid = os.getpid()
    assert re.fullmatch(rf"{TIME} ERROR   server\.reload\[{pid}\]: it failed: constitution=bank", first)
    assert hint == "  hint: mend it"
    assert re.match(rf"{TIME} INFO    wardlaw\[{pid}\]: decided id=d_", decided)
