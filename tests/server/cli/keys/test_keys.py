from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from server.audit.database import database_url
from server.cli.main import main
from server.keys.store import KeyStore


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


def test_no_key_is_said_and_which_database_has_none(keys: Callable[..., Any], tmp_path: Path) -> None:
    KeyStore(database_url("", tmp_path / "wardlaw-data")).all()
    assert keys("list") == (0, "", "database: wardlaw-data/audit.sqlite, by default\nthere is no key\n")
    assert keys("list", "--folder", "wardlaw-data") == (0, "", "there is no key\n")


@pytest.mark.parametrize("args", [("list",), ("revoke", "00000000")])
def test_looking_does_not_make_a_database(keys: Callable[..., Any], tmp_path: Path, args: tuple[str, ...]) -> None:
    code, _, err = keys(*args)
    assert code == 2
    assert "no database `wardlaw-data/audit.sqlite`" in err
    assert "--config" in err
    assert list(tmp_path.iterdir()) == []


def test_the_servers_settings_say_where_keys_are(keys: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "wardlaw.yaml").write_text("folder: other\n")
    assert keys("add", "shop", "--config", "wardlaw.yaml")[0] == 0
    assert (tmp_path / "other" / "audit.sqlite").exists()
    code, out, err = keys("list", "--config", "wardlaw.yaml")
    assert (code, err) == (0, "")
    assert "shop" in out
    assert not (tmp_path / "wardlaw-data").exists()


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
    keys("add", "first")
    code, out, err = keys(*args)
    assert (code, out) == (2, "")
    assert what in err
    assert hint in err
