"""The object `wardlaw`: what a client reads of a decision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

TELL = {"x-wardlaw-tell": "body"}
CHAT = "/v1/chat/completions"
BAD = "summon the kraken"
MIXED = """
constitution: mixed
title: Rules that differ by part
rules:
  - id: kraken-summoning
    title: {en: Summoning the kraken, zh: 召唤海怪}
    rule: Do not help anyone to summon the kraken.
    why: {en: It sinks the ships of people who did not ask for it., zh: 它会击沉无辜者的船只，伤害船上的所有人和货物。}
    watches: [prompt, response]
    detect: {patterns: [{literal: summon the kraken}], meaning: null}
  - id: tide-talk
    title: Talk of tides
    rule: Do not tell when the tide comes in.
    why: Whoever relies on a wrong time may drown in the harbour.
    watches: [prompt, response]
    detect: {patterns: [{literal: tide}], meaning: null}
    on: {prompt: allow, response: flag}
  - id: polite-sailors
    title: Politeness
    rule: Be polite to the harbour master.
    why: Nobody helps a sailor who is rude to everybody.
"""


TWO_PACKS = """
constitution: both
rules:
  - id: kraken-summoning
    title: Summoning the kraken
    rule: Do not help anyone to summon the kraken.
    why: It sinks the ships of people who did not ask for it.
    hazards: ['sea:S1', 'llama-guard-3:S9']
    detect: {patterns: [{literal: kraken}], meaning: null}
  - id: weapons-of-the-deep
    title: Weapons of the deep
    rule: Do not help with weapons that come out of the sea.
    why: They drown people who did nothing to deserve it.
    hazards: ['llama-guard-3:S9']
    detect: {patterns: [{literal: summon the kraken}], meaning: null}
  - id: idle-oaths
    title: Idle oaths
    rule: Do not swear by the depths.
    why: Sailors take such oaths in earnest and act on them.
    hazards: ['sea:S2']
    detect: {patterns: [{literal: by the depths}], meaning: null}
"""


def saying(*texts: str) -> dict[str, Any]:
    roles = ("user", "assistant")
    return {"model": "m", "messages": [{"role": roles[n % 2], "content": text} for n, text in enumerate(texts)]}


async def told(here: Any, *texts: str) -> dict[str, Any]:
    answer = await here.ask(CHAT, saying(*texts), **TELL)
    return dict(answer.json()["wardlaw"])


async def test_a_rule_says_whether_it_was_broken_by_the_prompt_or_by_the_answer(
    stand: Callable[..., Any], fake_upstream: Any
) -> None:
    here = await stand(MIXED)
    asked = await told(here, BAD)
    assert asked["where"] == ["prompt"]
    assert [(rule["id"], rule["where"]) for rule in asked["rules"]] == [("kraken-summoning", ["prompt"])]
    fake_upstream.script(text="First summon the kraken.")
    answered = await told(here, "what now?")
    assert answered["where"] == ["answer"]
    assert [(rule["id"], rule["where"]) for rule in answered["rules"]] == [("kraken-summoning", ["answer"])]


async def test_a_finding_that_leads_to_nothing_is_no_place_where_a_rule_was_broken(stand: Callable[..., Any]) -> None:
    here = await stand(MIXED)
    flagged = await told(here, "when is high tide?")
    assert flagged["action"] == "flag"
    assert flagged["where"] == ["answer"]
    assert [rule["where"] for rule in flagged["rules"]] == [["answer"]]


async def test_old_turns_that_were_withheld_are_named_with_a_sentence(
    stand: Callable[..., Any], fake_upstream: Any
) -> None:
    here = await stand(MIXED)
    fake_upstream.script(text="Calm seas.")
    went_on = await told(here, BAD, "I keep away from that.", "what do boats cost?")
    assert went_on["action"] == "redact"
    assert went_on["withheld"]["places"] == ["messages[0]"]
    assert went_on["withheld"]["note"].startswith("The model was not shown these earlier turns")
    assert went_on["where"] == ["prompt"]
    in_chinese = await told(here, BAD, "好的。", "船要多少钱？请用中文回答我。")
    assert in_chinese["withheld"]["note"].startswith("这些较早的内容")
    assert in_chinese["rules"][0]["title"] == "召唤海怪"


async def test_in_shadow_the_rules_that_would_have_acted_are_told_gravest_first(
    stand: Callable[..., Any], fake_upstream: Any
) -> None:
    here = await stand(MIXED, guard={"mode": "shadow"})
    fake_upstream.script(text="At high tide, summon the kraken.")
    shown = await told(here, "what now?")
    assert (shown["action"], shown["would"], shown["mode"]) == ("allow", "block", "shadow")
    assert (shown["where"], shown["rules"]) == ([], [])
    assert [(rule["id"], rule["where"]) for rule in shown["would_rules"]] == [
        ("kraken-summoning", ["answer"]),
        ("tide-talk", ["answer"]),
    ]


async def test_the_coverage_is_short_and_never_absent(stand: Callable[..., Any], fake_upstream: Any) -> None:
    here = await stand(MIXED)
    fake_upstream.script(text="Calm seas.")
    clean = await told(here, "what do boats cost?")
    assert set(clean) == {"decision", "action", "constitution", "where", "rules", "coverage"}
    assert clean["coverage"] == {
        "scanned": ["patterns"],
        "not_scanned": 1,  # nothing here can look for politeness
        "degraded": [],
        "partial": {},
        "unscannable": [],
    }


async def test_what_cannot_be_scanned_is_told_with_its_place(stand: Callable[..., Any]) -> None:
    here = await stand(MIXED)
    picture = {"type": "image_url", "image_url": {"url": "https://sea/kraken.png"}}
    body = {"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": "look"}, picture]}]}
    shown = (await here.ask(CHAT, body, **TELL)).json()["wardlaw"]
    assert (shown["action"], shown["where"], shown["rules"]) == ("block", [], [])
    assert shown["coverage"]["unscannable"] == [{"where": "messages[0].content[1]", "what": "image_url"}]


async def test_findings_name_their_part_and_never_the_words(stand: Callable[..., Any], fake_upstream: Any) -> None:
    here = await stand(MIXED, tell={"detail": "finding", "body": "always"})
    fake_upstream.script(reasoning="tide", text="Summon the KRAKEN tide.")
    answer = await here.ask(CHAT, saying("what now?"))
    findings = answer.json()["wardlaw"]["findings"]
    assert {(each["rule"], each["part"], each["where"]) for each in findings} >= {
        ("kraken-summoning", "response", "choices[0].text")
    }
    assert set(findings[0]) == {"rule", "part", "where", "span", "detector", "score", "enforced"}
    assert "summon the kraken" not in answer.text.lower()


async def test_one_hazard_of_two_packs_is_told_once_and_other_hazards_beside_it(
    stand: Callable[..., Any], fake_upstream: Any
) -> None:
    here = await stand(TWO_PACKS)
    asked = await told(here, "By the depths, summon the kraken")
    (first, second) = asked["rules"]
    assert {first["id"], *first.get("also", [])} == {"kraken-summoning", "weapons-of-the-deep"}
    assert (first["where"], len(first["also"])) == (["prompt"], 1)
    assert (second["id"], "also" in second) == ("idle-oaths", False)
    assert asked["action"] == "block"
