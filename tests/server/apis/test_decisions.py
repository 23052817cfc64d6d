"""`/v1/decisions` and `/v1/feedback`, with a real audit, real keys and the door that reads them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from guard.exchange import Message
from guard.gate import Gate
from guard.guard import Guard
from guard.guarding.decision import Decision, Placed, decision_id
from guard.guarding.incoming import Incoming
from guard.verdict import Coverage, Finding
from rules.load import load
from rules.schema import Action, Part
from server.apis import decisions as decisions_api
from server.apis import feedback as feedback_api
from server.audit.database import database_url
from server.audit.open import open_audit
from server.audit.settings import AuditSettings
from server.auth import KeyDoor
from server.keys.store import KeyStore
from server.parts import Parts
from server.record import Caller, Record
from server.settings import ServerSettings

RULES = """
constitution: words
title: Words
rules:
  - id: pass-word-out
    title: Passes the word on
    rule: Do not say the word.
    why: The word is a secret, and whoever hears it can enter.
    watches: [prompt, response]
    detect:
      meaning: null
      patterns:
        - literal: tangerine-4711
"""


class Stand:
    """The two APIs, an audit behind them, and keys by the names of their owners."""

    def __init__(self, client: httpx.AsyncClient, audit: Any, guard: Guard, keys: dict[str, tuple[str, str]]) -> None:
        self.client = client
        self.audit = audit
        self.guard = guard
        self.keys = keys

    async def keep(self, owner: str, **given: Any) -> str:
        """Keep a blocked decision of a key; its id."""
        found = Finding("pass-word-out", Part.PROMPT, (0, 14), "patterns", 1.0, 1.0, excerpt="tangerine-4711")
        usual: dict[str, Any] = {
            "id": decision_id(),
            "at": time.time(),
            "action": Action.BLOCK,
            "would": Action.BLOCK,
            "findings": (Placed(found, "messages[0]"),),
            "coverage": Coverage({"patterns": ("pass-word-out",)}, degraded={"meaning": "no such file: /srv/x"}),
            "constitution": self.guard.gate.digest,
            "mode": "enforce",
            "ms": {},
            "rules": ("pass-word-out",),
        }
        decision = Decision(**{**usual, **given})
        prompt = Incoming((Message("user", "tangerine-4711"),))
        caller = Caller(self.keys[owner][0])
        await self.audit.keep(Record(decision, caller, "chat_completions", "m", prompt=prompt))
        return decision.id

    async def get(self, decision: str, owner: str | None) -> httpx.Response:
        return await self.client.get(f"/v1/decisions/{decision}", headers=self._headers(owner))

    async def say(self, owner: str | None, **body: Any) -> httpx.Response:
        return await self.client.post("/v1/feedback", json=body, headers=self._headers(owner))

    def _headers(self, owner: str | None) -> dict[str, str]:
        return {"authorization": f"Bearer {self.keys[owner][1]}"} if owner else {}


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    """Opens the APIs: `await stand(tell={...})`."""
    closing: list[Callable[[], Any]] = []

    async def opened(kept_in: str = "", **more: Any) -> Stand:
        (tmp_path / "rules.yaml").write_text(RULES)
        guard = Guard(Gate.build(load(tmp_path / "rules.yaml").constitution, encoder=None))
        url = database_url("", tmp_path)
        audit = open_audit(AuditSettings(content="full"), url=kept_in or url, folder=tmp_path, worker="w")
        store = KeyStore(url)
        keys = {}
        scopes = {"ann": ("read", "feedback"), "bob": ("read", "feedback"), "auditor": ("audit",), "chatter": ("chat",)}
        for name, each in scopes.items():
            key, secret = store.add(name, scopes=each)
            keys[name] = (key.id, secret)
        door = KeyDoor(store)
        door.load()
        settings: Any = ServerSettings.model_validate(more)
        telemetry: Any = SimpleNamespace(failed=lambda kind: None)
        guards: Any = SimpleNamespace(lease=lambda name, key="": nullcontext(guard))
        limits: Any = SimpleNamespace(enter=lambda caller: nullcontext())
        upstream: Any = None
        parts = Parts(settings, guards, upstream, audit, door, limits, telemetry)
        app = Starlette(routes=[*decisions_api.routes(parts), *feedback_api.routes(parts)])
        client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here", timeout=20)

        async def close() -> None:
            await client.aclose()
            await audit.close(deadline_s=0.1 if kept_in else 10)
            store.close()
            guard.close()

        closing.append(close)
        return Stand(client, audit, guard, keys)

    yield opened
    for close in closing:
        await close()


async def test_a_client_reads_why_nothing_was_mended_and_an_auditor_the_error_too(stand: Callable[..., Any]) -> None:
    at = await stand()
    decision = await at.keep("ann", amend="the reviser did not answer: ModelUnavailable")
    assert (await at.get(decision, "ann")).json()["amend"] == "the reviser did not answer"
    assert (await at.get(decision, "auditor")).json()["amend"] == "the reviser did not answer: ModelUnavailable"


async def test_a_client_sees_its_own_decision_with_the_reason_and_not_the_finding(stand: Callable[..., Any]) -> None:
    at = await stand()
    decision = await at.keep("ann")
    told = await at.get(decision, "ann")  # at once: it is waited for
    assert told.status_code == 200
    body = told.json()
    assert body["id"] == decision
    assert body["action"] == "block"
    assert body["constitution"] == at.guard.gate.digest
    assert body["rules"] == [
        {
            "id": "pass-word-out",
            "title": "Passes the word on",
            "why": "The word is a secret, and whoever hears it can enter.",
            "where": ["prompt"],
        }
    ]
    assert body["coverage"]["degraded"] == ["meaning"]
    assert "tangerine" not in told.text
    assert "/srv" not in told.text
    assert not {"findings", "content", "key", "ms"} & set(body)


async def test_where_findings_are_told_the_place_is_and_the_words_are_not(stand: Callable[..., Any]) -> None:
    at = await stand(tell={"detail": "finding"})
    body = (await at.get(await at.keep("ann"), "ann")).json()
    assert body["findings"] == [
        {
            "rule": "pass-word-out",
            "part": "prompt",
            "where": "messages[0]",
            "span": [0, 14],
            "detector": "patterns",
            "score": 1.0,
            "enforced": True,
        }
    ]


async def test_an_auditor_sees_everything(stand: Callable[..., Any]) -> None:
    at = await stand()
    decision = await at.keep("ann")
    assert (await at.say("ann", decision=decision, label="wrong_block", comment="it is a fruit")).status_code == 201
    body = (await at.get(decision, "auditor")).json()
    assert body["key"] == at.keys["ann"][0]
    assert body["content"]["prompt"][0]["text"] == "tangerine-4711"
    assert body["findings"][0]["excerpt"] == "tangerine-4711"
    assert body["coverage"]["degraded"] == ["meaning"]
    assert body["faults"] == {"meaning": "no such file: /srv/x"}
    (said,) = body["feedback"]
    assert (said["label"], said["comment"], said["key"]) == ("wrong_block", "it is a fruit", at.keys["ann"][0])


async def test_another_clients_decision_is_as_good_as_not_there(stand: Callable[..., Any]) -> None:
    at = await stand()
    decision = await at.keep("ann")
    await at.get(decision, "ann")
    anothers = await at.get(decision, "bob")
    none = await at.get("d_none", "bob")
    assert anothers.status_code == none.status_code == 404
    assert anothers.json() == none.json()
    assert anothers.json()["error"]["code"] == "not_found"
    assert (await at.say("bob", decision=decision, label="correct")).status_code == 404


@pytest.mark.parametrize(("owner", "status"), [(None, 401), ("chatter", 403)])
async def test_without_key_or_scope_nothing_is_told(stand: Callable[..., Any], owner: str | None, status: int) -> None:
    at = await stand()
    decision = await at.keep("chatter")
    assert (await at.get(decision, owner)).status_code == status
    said = await at.say(owner, decision=decision, label="correct")
    assert said.status_code == status
    assert set(said.json()["error"]) == {"message", "type", "param", "code"}


async def test_titles_of_rules_that_have_changed_since_are_not_told(stand: Callable[..., Any]) -> None:
    at = await stand()
    body = (await at.get(await at.keep("ann", constitution="f" * 16), "ann")).json()
    assert body["rules"] == [{"id": "pass-word-out", "title": None, "why": None, "where": ["prompt"]}]


async def test_what_is_only_recorded_is_told_in_shadow_mode(stand: Callable[..., Any]) -> None:
    at = await stand()
    shadow = await at.keep("ann", action=Action.ALLOW, mode="shadow")
    plain = await at.keep("ann", action=Action.ALLOW)
    assert (await at.get(shadow, "ann")).json()["would"] == "block"
    assert "would" not in (await at.get(plain, "ann")).json()


async def test_an_id_of_a_moment_ago_that_is_not_there_is_answered_all_the_same(stand: Callable[..., Any]) -> None:
    at = await stand()
    assert (await at.get(decision_id(), "ann")).status_code == 404
    for odd in ("d_", "x", "d_zzzzzzzzzzzz", "%00", "d_" + "f" * 500):
        assert (await at.get(odd, "ann")).status_code == 404


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"label": "correct"}, "decision"),
        ({"decision": "d_1", "label": "wrong"}, "label"),
        ({"decision": "d_1", "label": "correct", "coment": "x"}, "coment"),
        ({"decision": "d_1", "label": "correct", "rule": "Not An Id"}, "rule"),
        ({"decision": "d_1", "label": "correct", "comment": "x" * 5000}, "comment"),
    ],
)
async def test_feedback_that_cannot_be_read_is_told_where(
    stand: Callable[..., Any], body: dict[str, str], where: str
) -> None:
    at = await stand()
    told = await at.say("ann", **body)
    assert told.status_code == 400
    assert told.json()["error"]["param"] == where


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"label": "wrong_rule"}, "rule: name the rule that is meant"),
        ({"label": "missed", "rule": "pass-word-ut"}, "rule: no rule `pass-word-ut` (did you mean `pass-word-out`?)"),
        ({"label": "wrong_rule", "rule": "zebra"}, "rule: no rule `zebra` (give the id of a rule in force)"),
    ],
)
async def test_feedback_names_a_rule_that_there_is(stand: Callable[..., Any], given: dict[str, str], says: str) -> None:
    at = await stand()
    decision = await at.keep("ann")
    told = await at.say("ann", decision=decision, **given)
    assert told.status_code == 400
    assert told.json()["error"]["message"].startswith(says)
    assert told.json()["error"]["param"] == "rule"
    assert (await at.say("ann", decision=decision, label="wrong_rule", rule="pass-word-out")).status_code == 201


async def test_feedback_that_is_no_json_is_refused(stand: Callable[..., Any]) -> None:
    at = await stand()
    headers = {"authorization": f"Bearer {at.keys['ann'][1]}"}
    told = await at.client.post("/v1/feedback", content=b"{", headers=headers)
    assert told.status_code == 400


async def test_a_database_that_is_away_is_said(stand: Callable[..., Any], tmp_path: Path) -> None:
    at = await stand(f"postgresql://u@/x?host={tmp_path}")
    decision = await at.keep("ann")
    for told in (await at.get(decision, "ann"), await at.say("ann", decision=decision, label="correct")):
        assert told.status_code == 503
        assert "database" in told.json()["error"]["message"]
        assert str(tmp_path) not in told.text


def test_both_are_in_the_openapi_document_with_their_fields() -> None:
    for module, path, model in (
        (decisions_api, "/v1/decisions/{decision}", "DecisionTold"),
        (feedback_api, "/v1/feedback", "FeedbackGiven"),
    ):
        assert path in module.OPENAPI["paths"]
        assert model in module.OPENAPI["components"]["schemas"]
    assert "RuleTold" in decisions_api.OPENAPI["components"]["schemas"]
