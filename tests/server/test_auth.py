"""Who is let in."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from server.auth import KeyDoor, OpenDoor
from server.keys.key import Key
from server.keys.store import KeyStore
from server.parts import Denied


@pytest.fixture
def store(tmp_path: Path) -> KeyStore:
    return KeyStore(f"sqlite:///{tmp_path / 'keys.sqlite'}")


def opened(store: KeyStore) -> KeyDoor:
    door = KeyDoor(store, refresh_s=0.02)
    door.load()
    return door


def refused(door: KeyDoor, headers: dict[str, str], scope: str = "chat") -> int:
    with pytest.raises(Denied) as raised:
        door.caller(headers, scope)
    return raised.value.status


def test_a_key_is_known_by_either_header(store: KeyStore) -> None:
    key, secret = store.add("a client", constitution="bank")
    door = opened(store)
    for headers in (
        {"authorization": f"Bearer {secret}"},
        {"authorization": f"bearer  {secret} "},
        {"x-api-key": secret},
    ):
        caller = door.caller(headers, "chat")
        assert (caller.key, caller.constitution) == (key.id, "bank")
    assert door.key(key.id) == key


def test_no_key_an_almost_right_one_and_another_kind_of_credentials_are_refused(store: KeyStore) -> None:
    _, secret = store.add("a client")
    door = opened(store)
    almost = secret[:-1] + ("a" if secret[-1] != "a" else "b")
    assert refused(door, {}) == 401
    assert refused(door, {"authorization": f"Bearer {almost}"}) == 401
    assert refused(door, {"authorization": f"Basic {secret}"}) == 401
    assert refused(door, {"x-api-key": ""}) == 401
    assert refused(door, {"x-api-key": "ü" * 10_000}) == 401


def test_a_key_may_do_what_its_scopes_say_and_no_more(store: KeyStore) -> None:
    _, secret = store.add("a reader", scopes=["read"])
    door = opened(store)
    assert door.caller({"x-api-key": secret}, "read").scopes == frozenset({"read"})
    assert refused(door, {"x-api-key": secret}, "chat") == 403
    assert refused(door, {"x-api-key": secret}, "admin") == 403


async def test_new_keys_are_known_and_revoked_ones_forgotten_within_a_refresh(store: KeyStore) -> None:
    old, old_secret = store.add("old")
    door = opened(store)
    task = asyncio.create_task(door.refresh())
    store.revoke(old.id)
    _, new_secret = store.add("new")
    async with asyncio.timeout(10):
        while True:
            await asyncio.sleep(0.01)
            try:
                door.caller({"x-api-key": new_secret}, "chat")
                break
            except Denied:
                continue
    task.cancel()
    assert refused(door, {"x-api-key": old_secret}) == 401
    assert door.key(old.id) is None


def test_a_key_ends_when_it_expires_though_nothing_was_read_anew(
    store: KeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    _, secret = store.add("short", expires=now + 100)
    door = opened(store)
    door.caller({"x-api-key": secret}, "chat")
    monkeypatch.setattr(time, "time", lambda: now + 101)
    assert refused(door, {"x-api-key": secret}) == 401


async def test_a_database_that_is_gone_leaves_the_last_keys_in_force_and_says_so() -> None:
    class Failing:
        def __init__(self) -> None:
            self.fails = False
            self.keys: list[Key] = []

        def all(self) -> list[Key]:
            if self.fails:
                raise OSError("the database is gone")
            return self.keys

    from server.keys.key import digest

    store = Failing()
    store.keys = [Key("0a0a0a0a", "a", digest("wlk_0a0a0a0a_x"))]
    door = KeyDoor(store, refresh_s=0.01)
    door.load()
    store.fails = True
    task = asyncio.create_task(door.refresh())
    async with asyncio.timeout(10):
        while not door.fault:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert door.caller({"x-api-key": "wlk_0a0a0a0a_x"}, "chat").key == "0a0a0a0a"
        store.fails = False
        while door.fault:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    task.cancel()


def test_without_keys_everybody_is_the_same_caller_and_nobody_an_administrator() -> None:
    door = OpenDoor()
    caller = door.caller({"authorization": "Bearer whatever", "x-constitution": "bank"}, "chat")
    assert (caller.key, caller.constitution) == ("", "default")
    with pytest.raises(Denied):
        door.caller({}, "admin")


async def test_a_key_of_a_constitution_that_is_not_in_force_is_warned_of_once(
    store: KeyStore, caplog: pytest.LogCaptureFixture
) -> None:
    store.add("fine", constitution="bank")
    lost, _ = store.add("lost", constitution="nosuch")
    door = KeyDoor(store, refresh_s=0.01, constitutions=["default", "bank"])
    door.load()
    assert f"the key {lost.id} names the constitution `nosuch`, which is not in force" in caplog.text
    assert len(caplog.records) == 1
    later, _ = store.add("later", constitution="neither")
    door.load()
    door.load()
    assert [record.getMessage().split()[2] for record in caplog.records] == [lost.id, later.id]


def test_a_door_that_nobody_has_a_key_to_says_so_when_it_is_set_up(
    store: KeyStore, caplog: pytest.LogCaptureFixture
) -> None:
    door = KeyDoor(store)
    door.load()
    door.load()
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "there is no valid key, so nobody is let in"
    ]
