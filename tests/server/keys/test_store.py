from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.keys.key import USUAL, Key, digest
from server.keys.store import KeyFault, KeyStore


@pytest.fixture
def store(tmp_path: Path) -> Iterator[KeyStore]:
    opened = KeyStore(f"sqlite:///{tmp_path}/keys.sqlite")
    yield opened
    opened.close()


def test_a_key_is_stored_as_its_hash_and_nothing_of_its_secret_is(store: KeyStore, tmp_path: Path) -> None:
    key, secret = store.add("shop")
    assert re.fullmatch(r"wlk_[0-9a-f]{8}_[A-Za-z0-9_-]{43}", secret)
    assert secret.split("_")[1] == key.id
    assert key.digest == digest(secret)
    store.close()
    assert secret.split("_", 2)[2].encode() not in (tmp_path / "keys.sqlite").read_bytes()


def test_a_key_comes_back_as_it_was_made(store: KeyStore) -> None:
    made, _ = store.add(
        "audit bot",
        constitution="strict",
        scopes=["audit", "read"],
        requests_per_minute=60,
        concurrent=4,
        expires=time.time() + 100,
    )
    plain, _ = store.add("shop")
    assert store.all() == [made, plain]
    assert made.scopes == {"audit", "read"}
    assert (plain.scopes, plain.constitution, plain.requests_per_minute, plain.expires) == (
        USUAL,
        "default",
        None,
        None,
    )


def test_secrets_differ(store: KeyStore) -> None:
    assert len({store.add("same")[1] for _ in range(20)}) == 20


def test_a_revoked_key_stays_revoked_since_then(store: KeyStore) -> None:
    key, _ = store.add("shop")
    revoked = store.revoke(key.id)
    assert revoked.revoked is not None
    assert not revoked.valid(time.time())
    assert store.revoke(key.id) == revoked
    assert store.all() == [revoked]


def test_a_key_ends_when_it_expires() -> None:
    key = Key("0" * 8, "n", "d", expires=100.0)
    assert key.valid(99.9)
    assert not key.valid(100.0)


@pytest.mark.parametrize(
    ("given", "what", "hint"),
    [
        ({"scopes": ["chta"]}, "unknown scope `chta`", "did you mean `chat`"),
        ({"name": "  "}, "cannot be named", "1 to 200"),
        ({"name": "a\x1b[2J"}, "cannot be named", "1 to 200"),
        ({"concurrent": 0}, "lets nothing through", "1 or more"),
    ],
)
def test_a_key_that_makes_no_sense_is_refused(store: KeyStore, given: dict[str, object], what: str, hint: str) -> None:
    with pytest.raises(KeyFault) as caught:
        store.add(**{"name": "n", **given})  # type: ignore[arg-type]
    assert what in caught.value.what
    assert hint in caught.value.hint
    assert store.all() == []


def test_revoking_what_is_not_there_names_the_nearest(store: KeyStore) -> None:
    key, secret = store.add("shop")
    near = key.id[:-1] + ("0" if key.id[-1] != "0" else "1")
    with pytest.raises(KeyFault) as caught:
        store.revoke(near)
    assert key.id in caught.value.hint
    with pytest.raises(KeyFault) as caught:
        store.revoke(secret)
    assert "eight characters" in caught.value.hint


def test_no_two_keys_may_have_one_hash(store: KeyStore, tmp_path: Path) -> None:
    key, _ = store.add("shop")
    store.close()
    with sqlite3.connect(tmp_path / "keys.sqlite") as connection, pytest.raises(sqlite3.IntegrityError):
        connection.execute(
            "insert into keys (id, name, digest, constitution, scopes, created) values ('x', 'y', ?, 'z', '', 0)",
            (key.digest,),
        )
    connection.close()
