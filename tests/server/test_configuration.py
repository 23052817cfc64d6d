"""Settings from a file, the environment and flags."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rules.docstrings import field_docstrings
from server.configuration import SettingsErrors, leaves, read_settings, shown, variable
from server.settings import ServerSettings
from server.upstreams.settings import UpstreamSettings


def fault(*args: Any) -> str:
    with pytest.raises(SettingsErrors) as raised:
        read_settings(*args)
    return str(raised.value)


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "wardlaw.yaml"
    path.write_text(text)
    return path


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    file = written(tmp_path, "port: 1\nworkers: 1\nhost: 10.0.0.1\nupstream: {url: 'http://file/v1', first_s: 7}\n")
    env = {"WARDLAW_PORT": "2", "WARDLAW_WORKERS": "2", "WARDLAW_UPSTREAM__URL": "http://env/v1", "HOME": "/"}
    settings = read_settings(file, env, {("port",): ("--port", 3)})
    assert (settings.port, settings.workers, settings.host) == (3, 2, "10.0.0.1")
    assert (settings.upstream.url, settings.upstream.first_s) == ("http://env/v1", 7.0)


def test_without_anything_the_defaults_hold(tmp_path: Path) -> None:
    assert read_settings() == ServerSettings()
    assert read_settings(written(tmp_path, "# only a comment\n\n")) == ServerSettings()


def test_an_unknown_key_is_told_with_its_place_and_what_was_meant(tmp_path: Path) -> None:
    file = written(tmp_path, "port: 80\nupstream:\n  modell: embedded\nlimts: {}\n")
    told = fault(file)
    assert f"{file}:3:3: unknown key `modell` in `upstream`\n  hint: did you mean `model`?" in told
    assert f"{file}:4:1: unknown key `limts`\n  hint: did you mean `limits`?" in told


def test_each_wrong_value_is_told_by_where_it_came_from(tmp_path: Path) -> None:
    file = written(tmp_path, "limits: {in_flight: 0}\n")
    told = fault(file, {"WARDLAW_DRAIN_S": "soon"}, {("port",): ("--port", 70000)})
    assert f"{file}:1:10: `limits.in_flight` should be greater than or equal to 1" in told
    assert "environment variable `WARDLAW_DRAIN_S`: `drain_s` should be a number" in told
    assert "`--port`: `port` should be less than or equal to 65535" in told


def test_a_value_that_is_wrong_is_not_repeated_since_it_may_be_a_secret() -> None:
    assert "sk-planted" not in fault(None, {"WARDLAW_UPSTREAM__KIND": "sk-planted"})
    assert "planted" not in fault(None, {"WARDLAW_UPSTREAM__URL": "http://me:planted@host/v1"})


def test_an_unknown_variable_is_an_error_and_those_of_others_are_not() -> None:
    told = fault(None, {"WARDLAW_UNSCANABLE": "allow", "WARDLAW_GUARD__UNSCANNABLE": "allow"})
    assert told.startswith("environment variable `WARDLAW_UNSCANABLE`: there is no such setting\n  hint: ")
    read_settings(None, {"WARDLAW_PATIENCE": "3", "PORT": "x"})


def test_what_kubernetes_sets_beside_a_service_of_our_name_is_passed_over() -> None:
    env = {
        "WARDLAW_PORT": "tcp://10.0.0.1:80",
        "WARDLAW_SERVICE_HOST": "10.0.0.1",
        "WARDLAW_SERVICE_PORT_HTTP": "80",
        "WARDLAW_PORT_80_TCP_ADDR": "10.0.0.1",
    }
    assert read_settings(None, env) == ServerSettings()


def test_lists_and_maps_are_written_with_commas_or_as_json() -> None:
    env = {
        "WARDLAW_UPSTREAM__APIS": "messages, responses",
        "WARDLAW_CONSTITUTIONS__BANK": "base,./bank.yaml",
        "WARDLAW_CONSTITUTIONS__DEFAULT": '["base"]',
    }
    settings = read_settings(None, env)
    assert settings.upstream.apis == ("messages", "responses")
    assert settings.constitutions == {"bank": ("base", "./bank.yaml"), "default": ("base",)}
    whole = read_settings(None, {"WARDLAW_CONSTITUTIONS": '{"default": ["a.yaml"]}'})
    assert whole.constitutions == {"default": ("a.yaml",)}


@pytest.mark.parametrize("said", ["default: base", "default: [base]", "[base]", "base", "{default: [base]}"])
def test_one_pack_needs_no_list_and_a_list_needs_no_name(tmp_path: Path, said: str) -> None:
    text = f"constitutions: {said}\n" if ":" not in said or "{" in said else f"constitutions: {{{said}}}\n"
    assert read_settings(written(tmp_path, text)).constitutions == {"default": ("base",)}


def test_a_list_of_constitutions_in_the_environment_is_the_defaults() -> None:
    given = {"WARDLAW_CONSTITUTIONS": "base,./more.yaml"}
    assert read_settings(None, given).constitutions == {"default": ("base", "./more.yaml")}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("constitutions: {default: {pack: base}}", "`constitutions.default` should be a list of packs and files"),
        ("constitutions: null", "`constitutions` should be a map of names to such lists"),
        ("upstream: http://127.0.0.1/v1", "`upstream` should be a map of settings"),
        ("upstream: {apis: chat_completions}", "`upstream.apis` should be a list"),
        ("constitutions: {My Bank: [base]}", "`constitutions.My Bank` is no name: one has small letters, digits"),
        ("workers: many", "`workers` should be a whole number"),
        ("reload: {watch: 7}", "`reload.watch` should be `true` or `false`"),
        ("host: [a]", "`host` should be a text"),
    ],
)
def test_a_value_of_a_wrong_type_is_told_with_what_may_stand_there(tmp_path: Path, text: str, says: str) -> None:
    told = fault(written(tmp_path, text + "\n"))
    assert says in told
    assert "\n  hint: " in told
    assert not any(word in told for word in ("tuple", "instance", "dictionary"))


def test_a_fault_of_one_setting_says_nothing_of_another() -> None:
    told = fault(None, None, {("port",): ("--port", "99999")})
    assert told.startswith("`--port`: `port` should be less than or equal to 65535")
    assert told.count("\n") == 1


@pytest.mark.parametrize("given", ["chat_completions, messages", '["chat_completions", "messages"]'])
def test_a_list_is_written_in_a_flag_as_in_a_variable(given: str) -> None:
    settings = read_settings(flags={("upstream", "apis"): ("--set upstream.apis", given)})
    assert settings.upstream.apis == ("chat_completions", "messages")


def test_no_key_is_needed_on_loopback_and_one_is_elsewhere_unless_it_is_said_aloud() -> None:
    assert [ServerSettings(host=host).auth for host in ("127.0.0.1", "::1", "localhost")] == ["none"] * 3
    assert [ServerSettings(host=host).auth for host in ("0.0.0.0", "::", "10.1.2.3", "example")] == ["keys"] * 4
    assert ServerSettings(host="0.0.0.0", auth="none").auth == "none"


def test_secrets_come_from_files_and_are_never_printed(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sk-planted\n")
    (tmp_path / "db").write_text("postgresql://me:planted@db/wardlaw\n")
    env = {"WARDLAW_UPSTREAM__KEY_FILE": str(tmp_path / "key"), "WARDLAW_DATABASE_FILE": str(tmp_path / "db")}
    settings = read_settings(None, {**env, "WARDLAW_AUDIT__HASH_KEY": "planted"})
    assert settings.upstream.key is not None
    assert settings.upstream.key.get_secret_value() == "sk-planted"
    assert settings.database == "postgresql://me:planted@db/wardlaw"
    assert "planted" not in str(shown(settings))


@pytest.mark.parametrize("content", [None, ""])
def test_a_file_that_holds_no_secret_is_told(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_text(content)
    told = fault(None, {"WARDLAW_UPSTREAM__KEY_FILE": str(path)})
    assert told.startswith(f"environment variable `WARDLAW_UPSTREAM__KEY_FILE`: `upstream.key_file`: `{path}` ")


@pytest.mark.parametrize(
    ("given", "means"),
    [
        ("http://host:8000", "http://host:8000/v1"),
        ("http://host:8000/", "http://host:8000/v1"),
        ("https://host/v1/", "https://host/v1"),
        ("https://host/llm/openai/v1", "https://host/llm/openai/v1"),
    ],
)
def test_an_address_without_a_path_means_its_usual_one(given: str, means: str) -> None:
    assert UpstreamSettings(url=given).url == means


@pytest.mark.parametrize("url", ["host:8000", "ftp://host/v1", "http://", "http://h:99999/v1", "http://h/v1?key=x"])
def test_what_is_no_address_is_refused(url: str) -> None:
    assert "`upstream.url`" in fault(None, None, {("upstream", "url"): ("--upstream", url)})


def test_a_file_that_is_no_map_of_settings_is_refused(tmp_path: Path) -> None:
    assert "settings are a map of keys" in fault(written(tmp_path, "- a\n"))
    assert ":2:1: not YAML" in fault(written(tmp_path, "port: [\n"))
    assert "cannot be read" in fault(tmp_path / "none.yaml")
    assert "repeated" in fault(written(tmp_path, "port: 1\nport: 2\n"))


def test_every_setting_says_what_it_means_and_has_a_variable_of_its_own() -> None:
    found = list(leaves())
    assert [keys for keys, _, model in found if not field_docstrings(model)[keys[-1]]] == []
    assert len({variable(keys) for keys, _, _ in found}) == len(found)


def test_candidates_are_named_as_constitutions_are(tmp_path: Path) -> None:
    file = tmp_path / "wardlaw.yaml"
    file.write_text("constitutions: {default: base, bank: base}\nshadow: {candidates: {bank: ./bank.yaml}}\n")
    assert dict(read_settings(file).shadow.candidates) == {"bank": ("./bank.yaml",)}
    variables = {"WARDLAW_SHADOW__CANDIDATES": "base,./next.yaml"}
    assert dict(read_settings(None, variables).shadow.candidates) == {"default": ("base", "./next.yaml")}
    variables = {"WARDLAW_SHADOW__CANDIDATES__DEFAULT": "./next.yaml"}
    assert dict(read_settings(None, variables).shadow.candidates) == {"default": ("./next.yaml",)}


def test_a_candidate_of_nothing_is_told_where_it_stands(tmp_path: Path) -> None:
    file = tmp_path / "wardlaw.yaml"
    file.write_text("shadow:\n  candidates: {bank: ./bank.yaml}\n")
    with pytest.raises(SettingsErrors) as caught:
        read_settings(file)
    assert str(caught.value).startswith(f"{file}:2:16: `shadow.candidates.bank`: no constitution `bank` is in force")
