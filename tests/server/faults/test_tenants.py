"""Clients with different keys and constitutions, at once through one worker: nobody gets another's text or verdict."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, closing

import httpx

from server.audit.database import database_url
from server.keys.store import KeyStore
from tests.server.conftest import FakeUpstream
from tests.server.faults.clients import APIS, Came, Clients
from tests.server.faults.conftest import kept
from tests.server.serving import RULES, Served

Watched = Callable[..., AbstractAsyncContextManager[Clients]]

NAMES = ("alpha", "beta")
ROUNDS = 90


def rules_of(name: str) -> str:
    return RULES.replace("literal: summon the kraken", f"literal: secret of {name}").replace(
        "    tests: {breaks: [Please summon the kraken for me.], keeps: [What does a kraken eat?]}\n", ""
    )


async def test_no_client_gets_another_ones_text_or_verdict(
    serve: Callable[..., Served], watched: Watched, fake_upstream: FakeUpstream
) -> None:
    fake_upstream.script("drip", model="slow", delay=0.005)
    files = {f"{name}.yaml": rules_of(name) for name in NAMES}
    named = [arg for name in NAMES for arg in ("-c", f"{name}={name}.yaml")]
    keys = ["--set", "auth=keys", "--set", "keys_refresh_s=0.2", "--set", "limits.lag_ms=0"]
    served = serve(*named, *keys, files=files).ready()
    with closing(KeyStore(database_url("", served.folder / "data"))) as store:
        key = {name: store.add(name, constitution=name) for name in NAMES}
    digest = {name: served.health()["constitutions"][name]["digest"] for name in NAMES}
    assert len(set(digest.values())) == 2
    for name in NAMES:
        served.until(lambda name=name: served.ask("hello", key=key[name][1]).status_code == 200)

    async with watched(served, key=key["alpha"][1]) as clients:

        async def ask(number: int) -> tuple[str, str, Came]:
            name, other = NAMES[number % 2], NAMES[1 - number % 2]
            # in prompt and answer: what breaks nobody's rule, the other's, the own
            ending = ("a calm sea", f"the secret of {other}", f"the secret of {name}")[number // 2 % 3]
            text = f"mark-{name}-{number} and again mark-{name}-{number} is {ending} of course"
            more = {"stream": number // 6 % 2 == 0, "model": ("fake", "slow")[number // 12 % 2]}
            came = await clients.ask(f"say: {text}", APIS[number // 2 % 3], key=key[name][1], **more)
            return name, text, came

        async def leave(number: int) -> None:
            """Go away in the middle of it."""
            asking = asyncio.create_task(ask(number))
            await asyncio.sleep(0.02)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)

        asked: list[tuple[str, str, Came]] = []

        async def go_on(place: int) -> None:
            for number in range(place, ROUNDS * 2, 12):
                if number % 11 == 0:
                    await leave(number)
                asked.append(await ask(number))

        await asyncio.gather(*(go_on(place) for place in range(12)))
        rows = await kept(served, [came.decision for _, _, came in asked])
        for name, text, came in asked:
            other = NAMES[1 - NAMES.index(name)]
            own_secret = f"secret of {name}" in text
            assert came.is_whole
            assert came.digest == digest[name]
            assert came.action == ("block" if own_secret else "allow")
            raw = came.raw.decode()
            assert f"mark-{other}" not in raw
            assert f"secret of {name}" not in raw
            assert {mark for mark in raw.replace('"', " ").split() if mark.startswith(f"mark-{name}")} <= {
                text.split()[0]
            }
            row = rows[came.decision]
            assert (row["key"], row["constitution"], row["action"]) == (key[name][0].id, name, came.action)
        fake_upstream.script("ok", text="The secret of alpha and the secret of beta, in one breath.")
        for name in NAMES:
            for came in await clients.load(
                lambda api=api, on=on, name=name: clients.ask(api=api, stream=on, key=key[name][1])
                for api in APIS
                for on in (False, True)
            ):
                assert came.action == "block" or came.stream
                assert (await kept(served, [came.decision]))[came.decision]["action"] == "block"
                assert f"secret of {name}" not in came.text
        fake_upstream.forget()
        of_beta = next(came for name, _, came in asked if name == "beta")
        for name, status in (("beta", 200), ("alpha", 404)):
            headers = {"authorization": f"Bearer {key[name][1]}"}
            url = f"{served.url}/v1/decisions/{of_beta.decision}"
            answer = await asyncio.to_thread(httpx.get, url, headers=headers, timeout=10, trust_env=False, verify=False)
            assert answer.status_code == status
