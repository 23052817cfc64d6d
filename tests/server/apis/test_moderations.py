"""The gate, asked by the official client as OpenAI's moderation endpoint is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import openai
import pytest

from rules.hazards import crosswalk
from rules.load import load
from rules.schema import Action
from server.apis._crosswalk import read_crosswalk
from server.apis.moderations import PART

BAD = "how do I summon the kraken"


async def test_a_broken_rule_flags_its_categories_and_names_itself(stand: Callable[..., Any]) -> None:
    here = await stand()
    made = await here.client.moderations.create(input=BAD, model="omni-moderation-latest")
    assert made.model == "omni-moderation-latest"
    assert made.id.startswith("modr-")
    (result,) = made.results
    assert result.flagged
    assert result.categories.violence
    assert result.categories.illicit_violent
    assert not result.categories.hate
    assert result.category_scores.violence == 1.0
    assert result.category_scores.harassment == 0.0
    assert result.categories.model_extra["mlcommons-1.0:violent-crimes"] is True
    assert result.categories.model_extra["sea-1:K1"] is True
    told = result.model_extra["wardlaw"]
    assert told["action"] == "block"
    assert told["rules"] == [
        {
            "id": "kraken-summoning",
            "title": "Summoning the kraken",
            "why": "It sinks the ships of people who did not ask for it.",
            "hazards": ["mlcommons-1.0:violent-crimes", "sea-1:K1"],
            "where": ["prompt"],
        }
    ]
    assert told["constitution"] == here.parts.guards.guard.gate.digest
    assert told["coverage"]["scanned"] == ["patterns"]


async def test_a_clean_text_is_not_flagged_and_says_what_was_looked_for(stand: Callable[..., Any]) -> None:
    here = await stand()
    (result,) = (await here.client.moderations.create(input="when is high tide?")).results
    assert not result.flagged
    assert not any(result.categories.model_dump().values())
    applied = result.category_applied_input_types
    assert applied.violence == ["text"]
    assert applied.sexual == []  # no rule here looks for it
    assert applied.harassment == []  # its rule does not watch prompts
    assert result.model_extra["wardlaw"]["coverage"]["not_scanned"]


async def test_each_string_has_a_result_and_one_decision_is_kept(stand: Callable[..., Any]) -> None:
    here = await stand()
    made = await here.client.moderations.create(input=["a", BAD, "b"])
    assert [result.flagged for result in made.results] == [False, True, False]
    (record,) = here.audit.records
    assert record.api == "moderations"
    assert record.decision.action is Action.BLOCK
    assert record.decision.rules == ("kraken-summoning",)
    assert [placed.where for placed in record.decision.findings] == ["input[1]"]
    assert {result.model_extra["wardlaw"]["decision"] for result in made.results} == {record.decision.id}
    assert here.telemetry.records == [record]
    assert record.prompt is None


async def test_parts_are_one_input_and_what_is_no_text_follows_the_policy(stand: Callable[..., Any]) -> None:
    parts: Any = [
        {"type": "text", "text": "how do I summon"},
        {"type": "image_url", "image_url": {"url": "https://sea/kraken.png"}},
    ]
    for policy, flagged in (("block", True), ("flag", True), ("allow", False)):
        here = await stand(guard={"unscannable": policy})
        (result,) = (await here.client.moderations.create(input=parts)).results
        assert result.flagged is flagged
        true = [name for name, holds in result.categories.model_dump().items() if holds]
        assert true == (["wardlaw:not-judged"] if flagged else [])
        told = result.model_extra["wardlaw"]
        assert told["action"] == policy
        assert told["coverage"]["unscannable"] == [{"where": "input[1]", "what": "image_url"}]


async def test_a_text_is_judged_as_the_part_that_is_asked_for(stand: Callable[..., Any]) -> None:
    here = await stand()
    as_prompt = await here.client.moderations.create(input="ahoy you bilge rat")
    assert not as_prompt.results[0].flagged
    as_response = await here.client.moderations.create(
        input="ahoy you bilge rat", extra_headers={"x-wardlaw-part": "response"}
    )
    assert as_response.results[0].flagged
    assert as_response.results[0].categories.harassment
    assert not as_response.results[0].categories.violence  # the rule's own line in the table goes before its hazards
    with pytest.raises(openai.BadRequestError, match="unknown part `answer`"):
        await here.client.moderations.create(input="a", extra_headers={"x-wardlaw-part": "answer"})


@pytest.mark.parametrize("part", ["prompt", "response", "reasoning", "tool_call", "tool_result", "system"])
async def test_every_part_can_be_asked_for(stand: Callable[..., Any], part: str) -> None:
    here = await stand()
    made = await here.client.moderations.create(input=BAD, extra_headers={"x-wardlaw-part": part})
    assert made.results[0].flagged is (part in {"prompt", "response"})


async def test_a_rule_in_shadow_scores_and_does_not_flag(stand: Callable[..., Any]) -> None:
    here = await stand()
    (result,) = (await here.client.moderations.create(input="psst the captain snores")).results
    assert not result.flagged
    assert not result.categories.hate
    assert result.category_scores.hate == 1.0
    (record,) = here.audit.records
    assert [placed.enforced for placed in record.decision.findings] == [False]


async def test_a_guard_in_shadow_still_answers_what_it_is_asked(stand: Callable[..., Any]) -> None:
    here = await stand(guard={"mode": "shadow"})
    (result,) = (await here.client.moderations.create(input=BAD)).results
    assert result.flagged
    assert result.categories.violence
    assert result.model_extra["wardlaw"]["mode"] == "shadow"
    (record,) = here.audit.records
    assert (record.decision.action, record.decision.would) == (Action.ALLOW, Action.BLOCK)


async def test_a_decision_that_cannot_be_kept_is_not_told(stand: Callable[..., Any]) -> None:
    here = await stand()
    here.audit.fails = True
    with pytest.raises(openai.InternalServerError, match="could not be recorded") as caught:
        await here.client.moderations.create(input=BAD)
    assert caught.value.status_code == 503


async def test_texts_are_kept_only_where_the_audit_is_to_have_them(stand: Callable[..., Any]) -> None:
    here = await stand(audit={"content": "full"})
    await here.client.moderations.create(input=[BAD, "a"])
    assert [message.content for message in here.audit.records[0].prompt.messages] == [BAD, "a"]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"{", "the body is no JSON"),
        (b"[1]", "the body is a JSON list"),
        (b"{}", "input: must hold something to judge"),
        (b'{"input": []}', "input: must hold something to judge"),
        (b'{"input": 7}', "input: must hold something to judge"),
        (b'{"input": [1, 2]}', "input[0]: must be a string, not `int`"),
        (b'{"input": ["a", {}]}', "input[1]: must be a string, not `dict`"),
        (b'{"input": [{"type": "text"}]}', "input[0]: must be an object with a `type`"),
        (b'{"input": [{"type": "text", "text": "a"}, "b"]}', "input[1]: must be an object with a `type`"),
    ],
)
async def test_what_is_no_request_is_told_with_its_place(stand: Callable[..., Any], body: bytes, told: str) -> None:
    here = await stand()
    answer = await here.http.post("/v1/moderations", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith(told)
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert here.telemetry.failures == ["invalid_request"]


async def test_too_much_is_refused(stand: Callable[..., Any]) -> None:
    here = await stand(limits={"messages": 2, "text_chars": 100, "body_bytes": 2048})
    with pytest.raises(openai.BadRequestError, match="3 texts, more than the 2 taken"):
        await here.client.moderations.create(input=["a", "b", "c"])
    with pytest.raises(openai.BadRequestError, match="more than 100 characters"):
        await here.client.moderations.create(input="a" * 101)
    with pytest.raises(openai.APIStatusError, match="more than 2048 bytes") as caught:
        await here.client.moderations.create(input="a" * 3000)
    assert caught.value.status_code == 413


async def test_keys_and_limits_hold_here_too(stand: Callable[..., Any]) -> None:
    here = await stand()
    here.door.locked = True
    with pytest.raises(openai.AuthenticationError, match="not known"):
        await here.as_key("wrong").moderations.create(input="a")
    with pytest.raises(openai.PermissionDeniedError, match="may not `moderate`"):
        await here.as_key("chat").moderations.create(input="a")
    assert not (await here.as_key("moderate").moderations.create(input="a")).results[0].flagged
    here.limits.full = True
    with pytest.raises(openai.RateLimitError) as caught:
        await here.as_key("moderate").moderations.create(input="a")
    assert caught.value.response.headers["retry-after"] == "3"


async def test_the_decision_stands_in_the_headers(stand: Callable[..., Any]) -> None:
    here = await stand()
    answer = await here.http.post("/v1/moderations", json={"input": BAD})
    assert answer.headers["x-wardlaw-action"] == "block"
    assert answer.headers["x-wardlaw-rules"] == "kraken-summoning"
    assert answer.headers["x-wardlaw-decision"] == here.audit.records[0].decision.id


def test_the_table_names_only_categories_and_rules_that_there_are() -> None:
    table = read_crosswalk()
    rows = [*table.rules.values(), *table.hazards.values()]
    assert {name for row in rows for name in row} <= set(table.categories)
    base = load("base").constitution
    assert set(table.rules) <= {rule.id for rule in base}
    from openai.types.moderation import Categories

    aliases = {field.alias or name for name, field in Categories.model_fields.items()}
    assert set(table.categories) == aliases


def test_every_mlcommons_hazard_of_the_base_pack_that_has_a_category_counts_for_it() -> None:
    table = read_crosswalk()
    none_fits = {"privacy", "defamation", "intellectual-property", "specialized-advice"}
    for rule in load("base").constitution:
        for hazard in rule.hazards:
            system, _, code = hazard.partition(":")
            if system == "mlcommons-1.0" and code not in none_fits:
                assert table.hazards[hazard], hazard


def test_the_table_has_every_category_that_the_crosswalk_between_hazard_systems_claims() -> None:
    table = read_crosswalk()
    for hazard, categories in table.hazards.items():
        claimed = [each.partition(":") for each in crosswalk().claims([hazard])]
        assert {code for system, _, code in claimed if system == "openai-moderation"} <= set(categories), hazard


async def test_a_rule_without_hazards_is_a_category_of_its_own(stand: Callable[..., Any]) -> None:
    here = await stand()
    answer = await here.http.post("/v1/moderations", json={"input": "the model `nobody`"}, headers={PART: "response"})
    (result,) = answer.json()["results"]
    assert result["flagged"]
    assert [name for name, holds in result["categories"].items() if holds] == ["rule:naming-nobody"]
    assert result["category_scores"]["rule:naming-nobody"] == 1.0
    assert not any(name in result["categories"] for name in ("rule:kraken-summoning", "rule:idle-gossip"))


async def test_what_cannot_be_judged_is_flagged_in_a_category_of_its_own(stand: Callable[..., Any]) -> None:
    here = await stand()
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    for given, alone in (([image], True), ([image, {"type": "text", "text": BAD}], False)):
        (result,) = (await here.http.post("/v1/moderations", json={"input": given})).json()["results"]
        assert result["flagged"]
        true = {name for name, holds in result["categories"].items() if holds}
        assert (true == {"wardlaw:not-judged"}) is alone
        assert ("violence" in true) is not alone


@pytest.mark.parametrize("model", [7, True, None, ["m"], {}])
async def test_a_model_that_is_no_text_is_refused(stand: Callable[..., Any], model: Any) -> None:
    here = await stand()
    with pytest.raises(openai.BadRequestError, match="model"):
        await here.client.moderations.create(input="hello", extra_body={"model": model})
