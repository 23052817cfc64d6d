"""`GET /v1/decisions/{id}`: one decision with its reasons."""

from __future__ import annotations

from typing import Any

import orjson
from pydantic import BaseModel, Field
from starlette.routing import BaseRoute, Route

from guard.guarding.decision import kinds_of
from rules.hazards import by_hazard
from server.apis._found import away, database_of, described, found_for, last_of_path, looked_up, refused, with_scopes
from server.apis._openapi import OPENAI_ERROR, SECURITY, errors, json_of
from server.apis._small import Asked, SmallEndpoint, Told
from server.audit.errors import AuditError
from server.audit.feedback import FeedbackStore
from server.audit.query import Decisions, Found, as_json
from server.parts import Denied, Parts
from server.proxy.telling import broken_where, in_order, withheld_note


class RuleTold(BaseModel):
    """A rule that was found broken."""

    id: str
    title: str | None = Field(None, description="None where the constitution has changed since.")
    why: str | None = None
    where: list[str] = Field(description="`prompt`, `answer` or both: where it was found broken.")
    also: list[str] = Field([], description="Other rules found broken that stand for the same hazard.")


class DecisionTold(BaseModel):
    """A decision, as the key that asked for it may see it."""

    id: str
    time: str = Field(description="ISO 8601, UTC.")
    api: str
    model: str
    action: str = Field(description="What was done.")
    mode: str = Field(description="`enforce` or `shadow`.")
    would: str | None = Field(None, description="What would have been done in enforce mode, where it differs.")
    state: str = Field(description="`complete`; `open` while a stream goes on; `cut` where its worker died.")
    status: int
    streamed: bool
    fault: str
    constitution: str = Field(description="Digest.")
    rules: list[RuleTold]
    coverage: dict[str, Any]
    unscannable: list[dict[str, str]]
    amend: str = Field(description="Why no answer was mended, though a rule wants it; empty where none was to be.")
    withheld: list[str] = Field(description="Places of old turns that the model was not shown.")
    withheld_note: str | None = Field(None, description="What that means, in a sentence; where there are such turns.")
    findings: list[dict[str, Any]] | None = Field(None, description="By setting, or with the scope `audit`.")
    key: str | None = Field(None, description="With the scope `audit`, as all below.")
    faults: dict[str, str] | None = Field(None, description="Degraded detector -> what went wrong with it.")
    seconds: float | None = None
    first_s: float | None = None
    upstream_s: float | None = None
    ms: dict[str, float] | None = None
    content: dict[str, Any] | None = None
    shadow: dict[str, Any] | None = Field(
        None, description="What a candidate and the rules in force say to the same texts, where one was judged."
    )
    feedback: list[dict[str, Any]] | None = None


OPENAPI: dict[str, Any] = {
    "components": described(DecisionTold),
    "paths": {
        "/v1/decisions/{decision}": {
            "get": {
                "summary": "One decision of the guard, with its reasons",
                "description": "For the key whose request it was; for any key with the scope `audit`.",
                "tags": ["audit"],
                "parameters": [{"name": "decision", "in": "path", "required": True, "schema": {"type": "string"}}],
                "responses": {
                    "200": {
                        "description": "The decision",
                        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/DecisionTold"}}},
                    },
                    **errors(OPENAI_ERROR, "400", "401", "403", "408", "413", "429", "500", "504"),
                    "404": json_of(OPENAI_ERROR, "No such decision, or another key's"),
                    "503": json_of(OPENAI_ERROR, "The database is away"),
                },
                "security": SECURITY,
            }
        }
    },
}


def routes(parts: Parts) -> list[BaseRoute]:
    """The route; none where the audit has no database."""
    database = database_of(parts)
    if database is None:
        return []
    decisions, feedback = Decisions(database), FeedbackStore(database)

    async def handle(asked: Asked) -> Told:
        decision = last_of_path(asked)
        try:
            found = await found_for(asked.caller, decisions, decision)
            if found is None:
                return refused(404, "not_found", "there is no such decision, or it is not this key's")
            told = _told(asked, found)
            if "audit" in asked.caller.scopes:
                said = await looked_up(feedback.of, decision)
                told["feedback"] = [{name: getattr(each, name) for name in each.__slots__} for each in said]
        except AuditError:
            return away()
        return Told(200, orjson.dumps(told))

    endpoint = SmallEndpoint(with_scopes(parts, "read", "audit"), "read", handle)
    return [Route("/v1/decisions/{decision}", endpoint, methods=["GET"])]


def _told(asked: Asked, found: Found) -> dict[str, Any]:
    everything = as_json(found)
    shown = {name: everything[name] for name in _FOR_ALL}
    shown["constitution"] = found.digest
    shown["amend"] = found.amend if "audit" in asked.caller.scopes else "; ".join(kinds_of(found.amend))
    shown["rules"] = _rules(asked.parts, found)
    degraded = found.coverage.get("degraded", {})
    shown["coverage"] = {**found.coverage, "degraded": sorted(degraded)}
    if found.withheld:
        shown["withheld_note"] = withheld_note("en")
    if found.would != found.action and found.mode == "shadow":
        shown["would"] = found.would
    if "audit" in asked.caller.scopes:
        shown["faults"] = degraded
        shown |= {name: everything[name] for name in _FOR_AUDITORS}
    elif asked.parts.settings.tell.detail == "finding":
        shown["findings"] = [{name: each[name] for name in _OF_A_FINDING if name in each} for each in found.findings]
    return shown


_FOR_ALL = (
    "id",
    "time",
    "api",
    "model",
    "action",
    "mode",
    "state",
    "status",
    "streamed",
    "fault",
    "unscannable",
    "withheld",
)
_FOR_AUDITORS = ("key", "would", "findings", "seconds", "first_s", "upstream_s", "ms", "content", "shadow")
_OF_A_FINDING = ("rule", "part", "where", "span", "detector", "score", "enforced")


def _rules(parts: Parts, found: Found) -> list[dict[str, Any]]:
    """The rules with title and why, where the constitution in force is the one that was judged by."""
    said = {}
    try:
        with parts.guards.lease(found.constitution, found.key) as guard:
            if guard.gate.digest == found.digest:
                said = {rule.id: rule for rule in guard.gate.constitution}
    except Denied:
        pass
    where = broken_where((each["rule"], each["part"], each["where"]) for each in found.findings)
    if not said:
        return [{"id": rule, "title": None, "why": None, "where": where.get(rule, [])} for rule in found.rules]
    told: list[dict[str, Any]] = []
    for rule, also in by_hazard((said[each] for each in found.rules if each in said), said.values()):
        sides = {side for each in (rule, *also) for side in where.get(each.id, ())}
        one = {"id": rule.id, "title": rule.title.say("en"), "why": rule.why.say("en"), "where": in_order(sides)}
        told.append({**one, "also": [each.id for each in also]} if also else one)
    return told
