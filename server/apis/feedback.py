"""`POST /v1/feedback`: someone says that a decision was right or wrong."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, Field, StringConstraints, ValidationError
from starlette.routing import BaseRoute, Route

from rules.base import Closed, RuleId
from rules.words import did_you_mean, quoted
from server.apis._found import away, database_of, described, found_for, looked_up, refused, with_scopes
from server.apis._openapi import OPENAI_ERROR, SECURITY, errors, json_of
from server.apis._small import Asked, SmallEndpoint, Told
from server.audit.errors import AuditError
from server.audit.feedback import Feedback, FeedbackStore, Label, TooMuch
from server.audit.query import Decisions, Found
from server.parts import Denied, Parts


class FeedbackGiven(Closed):
    """What is said of a decision."""

    decision: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    """Its id, as in the header `x-wardlaw-decision`."""
    label: Label
    """`correct`; `wrong_block`: something harmless was found; `missed`: something was not; `wrong_rule`: by a rule that
    does not fit."""
    part: Literal["prompt", "response"] | None = None
    """Which text is meant."""
    rule: RuleId | None = None
    """The rule that is meant, or that fits."""
    comment: Annotated[str, Field(max_length=4000)] | None = None
    reviewer: Annotated[str, Field(max_length=200)] | None = None


class FeedbackKept(BaseModel):
    """What was kept."""

    id: str
    decision: str
    label: Label


OPENAPI: dict[str, Any] = {
    "components": described(FeedbackGiven, FeedbackKept),
    "paths": {
        "/v1/feedback": {
            "post": {
                "summary": "Say that a decision was right or wrong",
                "description": "By the key whose request it was; by any key with the scope `audit`.",
                "tags": ["audit"],
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/FeedbackGiven"}}},
                },
                "responses": {
                    "201": {
                        "description": "It is kept",
                        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/FeedbackKept"}}},
                    },
                    **errors(OPENAI_ERROR, "401", "403", "408", "413", "429", "500", "504"),
                    "400": json_of(OPENAI_ERROR, "A field is missing, unknown or wrong"),
                    "404": json_of(OPENAI_ERROR, "No such decision, or another key's"),
                    "409": json_of(OPENAI_ERROR, "Enough has been said of this decision"),
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
    decisions, store = Decisions(database), FeedbackStore(database)

    async def handle(asked: Asked) -> Told:
        try:
            given = FeedbackGiven.model_validate_json(asked.raw)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            where = ".".join(str(each) for each in first["loc"])
            return refused(400, "invalid_request", f"{where or 'the body'}: {first['msg']}", where)
        try:
            found = await found_for(asked.caller, decisions, given.decision)
            if found is None:
                return refused(404, "not_found", "there is no such decision, or it is not this key's")
            if wrong := _wrong_rule(given, found, asked.parts):
                return refused(400, "invalid_request", f"rule: {wrong}", "rule")
            said = await looked_up(_add, store, given, asked.caller.key)
        except TooMuch as error:
            return refused(409, "invalid_request", error.what)
        except AuditError:
            return away()
        return Told(201, orjson.dumps({"id": said.id, "decision": said.decision, "label": said.label}))

    endpoint = SmallEndpoint(with_scopes(parts, "feedback", "audit"), "feedback", handle)
    return [Route("/v1/feedback", endpoint, methods=["POST"])]


def _wrong_rule(given: FeedbackGiven, found: Found, parts: Parts) -> str:
    """What is wrong with the rule that is named, or that none is."""
    if given.rule is None:
        return "name the rule that is meant, or that fits" if given.label == "wrong_rule" else ""
    known = {*found.rules, *(each["rule"] for each in found.findings)}
    try:
        with parts.guards.lease(found.constitution, found.key) as guard:
            known |= {rule.id for rule in guard.gate.constitution}
    except Denied:
        return ""  # its constitution is not in force any more, so nobody can say
    if given.rule in known:
        return ""
    return f"no rule {quoted(given.rule)} ({did_you_mean(given.rule, known, 'give the id of a rule in force')})"


def _add(store: FeedbackStore, given: FeedbackGiven, key: str) -> Feedback:
    return store.add(
        given.decision,
        given.label,
        key=key,
        part=given.part,
        rule=given.rule,
        comment=given.comment,
        reviewer=given.reviewer,
    )
