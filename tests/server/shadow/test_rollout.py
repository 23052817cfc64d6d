"""Which keys are under the candidate."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import closing

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.audit.database import database_url
from server.keys.store import KeyStore
from server.shadow.rollout import is_under, place
from tests.server.serving import Served
from tests.server.shadow.conftest import CANDIDATE
from tests.server.shadow.test_serving import GOLD, KRAKEN, compared

Serve = Callable[..., Served]

NAMES = st.sampled_from(["default", "bank", "shop-2"])
KEYS = st.text(max_size=40)
PERCENTS = st.floats(0, 100)


@given(NAMES, KEYS, PERCENTS, PERCENTS)
def test_a_larger_percentage_contains_the_keys_of_a_smaller_one(name: str, key: str, one: float, other: float) -> None:
    smaller, larger = sorted((one, other))
    assert is_under(larger, name, key) or not is_under(smaller, name, key)


@given(NAMES, KEYS)
def test_nobody_is_under_at_0_and_everybody_at_100(name: str, key: str) -> None:
    assert not is_under(0, name, key)
    assert is_under(100, name, key)
    assert 0 <= place(name, key) < 100


def test_the_place_of_a_key_is_for_ever() -> None:
    # Were the hash changed, a new version would put other clients under the candidate.
    assert [round(place("default", key), 6) for key in ("", "0a1b2c3d", "ключ")] == [6.048693, 19.57886, 36.197409]


def test_the_share_of_keys_is_what_the_percentage_says() -> None:
    for percent in (1, 10, 50):
        share = sum(is_under(percent, "default", f"{n:08x}") for n in range(20_000)) / 200
        assert abs(share - percent) < 1.5


def keys_of(served: Served, count: int) -> dict[str, str]:
    """Key id -> secret, of new keys."""
    with closing(KeyStore(database_url("", served.folder / "data"))) as store:
        made = [store.add(f"client {n}") for n in range(count)]
    return {key.id: secret for key, secret in made}


def blocks(served: Served, text: str, key: str) -> bool:
    answer = served.ask(text, key=key)
    assert answer.status_code == 200, answer.text
    return bool(answer.headers["x-wardlaw-action"] == "block")


def test_keys_of_the_roll_out_are_under_the_candidate_and_stay_so(serve: Serve) -> None:
    how = ["--shadow", "candidate.yaml", "--rollout", "50", "--set", "auth=keys", "--set", "keys_refresh_s=0.1"]
    served = serve(*how, "--workers", "2", files={"candidate.yaml": CANDIDATE}).ready()
    keys = keys_of(served, 12)
    wanted = {key: is_under(50, "default", key) for key in keys}
    assert set(wanted.values()) == {True, False}
    last = list(keys.values())[-1]
    # a new key is known to each worker a moment later
    served.until(lambda: all(served.ask("hello", key=last).status_code == 200 for _ in range(8)))
    digests: dict[bool, set[str]] = {True: set(), False: set()}
    for key, secret in [*keys.items(), *keys.items()]:  # over both workers
        assert blocks(served, GOLD, secret) is wanted[key]
        assert blocks(served, KRAKEN, secret) is not wanted[key]
        digests[wanted[key]].add(served.ask("hello", key=secret).headers["x-wardlaw-constitution"])
    decision = served.ask(GOLD, key=last).headers["x-wardlaw-decision"]
    own = httpx.get(
        f"{served.url}/v1/decisions/{decision}", headers={"authorization": f"Bearer {last}"}, trust_env=False
    ).json()
    assert own["id"] == decision
    assert "shadow" not in own  # a client without the scope learns nothing of the other rules
    told = served.health()["constitutions"]["default"]
    assert digests == {True: {told["candidate"]["digest"]}, False: {told["digest"]}}
    served.tell(signal.SIGTERM)
    assert served.ended() == 0
    again = serve(*how, "--folder", str(served.folder / "data"), files={"candidate.yaml": CANDIDATE}).ready()
    assert {key: blocks(again, GOLD, secret) for key, secret in keys.items()} == wanted


def test_keys_under_the_candidate_are_judged_by_the_rules_in_force_as_well(serve: Serve) -> None:
    served = serve("--shadow", "candidate.yaml", "--rollout", "100", files={"candidate.yaml": CANDIDATE}).ready()
    blocked = served.ask(GOLD)
    assert blocked.headers["x-wardlaw-action"] == "block"
    decision = blocked.headers["x-wardlaw-decision"]
    told = compared(served, decision)
    assert (told["enforced"], told["flip"]) == ("candidate", "stricter")
    assert told["candidate"]["digest"] == blocked.headers["x-wardlaw-constitution"]
    # the client is told the reason by the rules that judged it
    assert served.get(f"/v1/decisions/{decision}").json()["rules"][0]["title"] == "Digging for gold"


@pytest.mark.parametrize(
    ("args", "what"),
    [
        (["--rollout", "10"], "there is no candidate to roll out"),
        (["--rollout", "10", "--shadow", "candidate.yaml"], "without keys everybody is the same client"),
        (["--rollout", "101", "--shadow", "candidate.yaml"], "less than or equal to 100"),
        (["--shadow", "bank=candidate.yaml"], "no constitution `bank` is in force"),
    ],
)
def test_a_roll_out_that_makes_no_sense_stops_the_start(serve: Serve, args: list[str], what: str) -> None:
    served = serve(*args, files={"candidate.yaml": CANDIDATE})
    assert served.ended() == 2
    assert what in served.err.read_text()


def test_an_edit_that_fails_its_tests_does_not_come_into_force_for_the_keys_of_a_roll_out(serve: Serve) -> None:
    served = serve("--shadow", "candidate.yaml", "--rollout", "100", files={"candidate.yaml": CANDIDATE}).ready()
    assert blocks(served, GOLD, "")
    worse = CANDIDATE.replace("{literal: buried gold}", "{literal: buried golf}")
    (served.folder / "candidate.yaml").write_text(worse)
    served.until(lambda: "candidate" in served.health()["degraded"])
    assert blocks(served, GOLD, "")
    assert "no longer finds its test" in served.health()["degraded"]["candidate"]


def test_a_candidate_without_a_roll_out_may_fail_its_tests_since_it_only_looks(serve: Serve) -> None:
    served = serve("--shadow", "candidate.yaml", files={"candidate.yaml": CANDIDATE}).ready()
    before = served.health()["constitutions"]["default"]["candidate"]["digest"]
    worse = CANDIDATE.replace("{literal: buried gold}", "{literal: buried golf}")
    (served.folder / "candidate.yaml").write_text(worse)
    served.until(lambda: served.health()["constitutions"]["default"]["candidate"]["digest"] != before)
    assert "candidate" not in served.health()["degraded"]
