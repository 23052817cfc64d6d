from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from server.cli.main import main


@pytest.fixture
def keys(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str, str]]:
    """Runs `wardlaw keys ...` in an empty folder; gives exit code, output, and what went to standard error."""
    monkeypatch.chdir(tmp_path)

    def run(*args: str) -> tuple[int, str, str]:
        code = main(["keys", *args])
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


def test_a_key_is_shown_once_and_alone_on_standard_output(keys: Callable[..., Any]) -> None:
    code, out, err = keys("add", "shop")
    assert code == 0
    assert out.startswith("wlk_")
    assert out.count("\n") == 1
    assert "not shown again" in err
    assert out.strip() not in err
    for args in (["list"], ["list", "--json"]):
        listed = keys(*args)[1]
        assert out.split("_")[1] in listed
        assert out.split("_", 2)[2].strip() not in listed
        assert "digest" not in listed


def test_a_key_has_what_it_was_given(keys: Callable[..., Any]) -> None:
    options = "--constitution strict --scope audit --scope read --per-minute 60 --concurrent 4 --expires 90d".split()
    assert keys("add", "audit bot", *options)[0] == 0
    told = json.loads(keys("list", "--json")[1])
    assert told["name"] == "audit bot"
    assert told["constitution"] == "strict"
    assert told["scopes"] == ["audit", "read"]
    assert (told["requests_per_minute"], told["concurrent"], told["state"]) == (60, 4, "valid")
    assert told["expires"] - told["created"] == pytest.approx(90 * 86400, abs=5)
    assert "until 20" in keys("list")[1]


def test_a_revoked_key_says_so(keys: Callable[..., Any]) -> None:
    key = keys("add", "shop")[1].split("_")[1]
    assert keys("revoke", key)[:2] == (0, f"key {key} of shop is revoked\n")
    assert json.loads(keys("list", "--json")[1])["state"] == "revoked"
    assert "revoked" in keys("list")[1]


def test_no_key_is_said(keys: Callable[..., Any]) -> None:
    assert keys("list") == (0, "", "there is no key\n")


@pytest.mark.parametrize(
    ("args", "what", "hint"),
    [
        (["add", "shop", "--scope", "chta"], "unknown scope `chta`", "did you mean `chat`?"),
        (["add", "shop", "--expires", "soon"], "`--expires` is no span of time: `soon`", "`90d`"),
        (["add", "shop", "--per-minute", "0"], "0", "--help"),
        (["add"], "missing argument `NAME`", "--help"),
        (["revoke", "00000000"], "no key `00000000`", "wardlaw keys list"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_told_with_a_way_out(keys: Callable[..., Any], args: list[str], what: str, hint: str) -> None:
    code, out, err = keys(*args)
    assert (code, out) == (2, "")
    assert what in err
    assert hint in err
