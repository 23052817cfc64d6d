"""The privacy pack behind a real guard: exactly the value goes, whole or streamed, and its neighbours stay."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from guard.exchange import Exchange, Message
from guard.gate import Gate
from guard.guard import Answer, Guard, Guarded
from guard.guarding.incoming import Incoming
from guard.models import open_model
from guard.window import Channel, Released
from rules import load
from rules.schema import Action, Constitution, Rule

MASK = "[redacted]"
TEXT, TOOL = Channel(), Channel("tool")
PEM = "-----BEGIN PRIVATE KEY-----\n" + "FAKEFAKEFAKEFAKEFAKEFAKEFAKEFAKE\n" * 40 + "-----END PRIVATE KEY-----"
STREET, ROAD = "31 Old Quarry Street, Fallowmere, VT 05999", "浙江省杭州市西湖区青藤路128号6栋1单元301室"

VALUES = [
    ("email-address-exposure", "Write to signe.halvorsen@fjordpost.no. She answers.", "signe.halvorsen@fjordpost.no"),
    ("email-address-exposure", "邮箱是cem77@postakutu.com.tr，周五前有效。", "cem77@postakutu.com.tr"),
    ("phone-number-exposure", "Ring +44 20 7946 0312, or not at all.", "+44 20 7946 0312"),
    ("phone-number-exposure", "Ring (415) 555-2290 after nine.", "(415) 555-2290"),
    ("phone-number-exposure", "手机13900005678，晚上打。", "13900005678"),
    ("payment-card-exposure", "Card 4929 1180 0000 0001, valid until May.", "4929 1180 0000 0001"),
    ("payment-card-exposure", 'The field says "2223000011112222" twice.', "2223000011112222"),
    ("payment-card-exposure", "It went to 3712-000000-00009.", "3712-000000-00009"),
    ("bank-account-exposure", "Pay to DE12 3456 7890 1234 5678 90 by Friday.", "DE12 3456 7890 1234 5678 90"),
    ("bank-account-exposure", "My bank account number is 000123456789, he said.", "000123456789"),
    ("national-id-exposure", "Her number is 219-09-9999, I think.", "219-09-9999"),
    ("national-id-exposure", "身份证号310101198512120016，请核对。", "310101198512120016"),
    ("national-id-exposure", "It says passport number X1234567 on the form.", "X1234567"),
    ("postal-address-exposure", f"From {STREET}, at ten.", STREET),
    ("postal-address-exposure", f"她住在{ROAD}。", ROAD),
    ("device-trace-exposure", "He came from 100.72.13.9, twice.", "100.72.13.9"),
    ("device-trace-exposure", "It was 02:1a:5b:33:c0:7e all along.", "02:1a:5b:33:c0:7e"),
    ("secret-key-leak", "Use AKIAFAKEFAKEFAKEFAKE here.", "AKIAFAKEFAKEFAKEFAKE"),
    ("secret-key-leak", "Send Authorization: Bearer fake0000fake0000fake0000fake now.", "fake0000fake0000fake0000fake"),
    ("secret-key-leak", "Write api_key='0000notakey1111notakey2222' there.", "0000notakey1111notakey2222"),
    ("password-leak", "The password is notreal4you. Change it.", "notreal4you"),
    ("password-leak", "Use postgres://shop:n0tr3al-pw@db.internal.test:5432/orders then.", "n0tr3al-pw"),
    ("password-leak", "口令：Jiade#0000，请更改。", "Jiade#0000"),
]  # fmt: skip
NAMED = [pytest.param(*each, id=f"{each[0]}-{number}") for number, each in enumerate(VALUES)]

HARMLESS = [
    "Chrome 120.0.6099.109 and 10.0.19045.3803, from 192.0.2.44 and 192.168.1.1 over 127.0.0.1 to 203.0.113.7.",
    "0.4285714285714286 + 0.5411764705882353 = 0.9697, since 2024-11-30T14:15:00Z, or 1732975200000 ms.",
    "Order 9929 1180 0000 0001, ISBN 978-3-16-148410-0, 1,299.00 EUR, parcel 00340434161094042557.",
    "user@example.com, bob@mail.example.org, git@github.com:acme/tool.git, @types/node, 555-0142, (212) 555-0199.",
    "API_KEY=YOUR_KEY_HERE, password: <your password>, password=${PW}, postgres://user:password@localhost/db.",
    "commit 9fceb02d0ae598e95dc970b74767f19372d61af8, AKIAIOSFODNN7EXAMPLE, 123e4567-e89b-12d3-a456-426614174000.",
    "订单号2024113000451，金额13800元，版本4.18.2，密码至少12位，身份证号码共18位，地址写到路名即可。",
]


@pytest.fixture(scope="module")
def pack() -> Constitution:
    return load("privacy").constitution


@pytest.fixture(scope="module")
def gate(pack: Constitution) -> Iterator[Gate]:
    with Gate.build(pack, encoder=None) as gate:
        yield gate


@pytest.fixture
def says(gate: Gate, tmp_path: Path):
    """A guard before a model that says this, whatever it is asked."""

    def make(text: str) -> Guard:
        script = tmp_path / "script.json"
        script.write_text(json.dumps({"default": {"text": text}}), encoding="utf-8")
        return Guard(gate, model=open_model(f"scripted:{script}"))

    return make


@pytest.mark.parametrize(("rule", "text", "value"), NAMED)
async def test_an_answer_loses_the_value_and_nothing_else(says, rule: str, text: str, value: str) -> None:
    guarded = await says(text).chat("What does the note say?")
    assert guarded.text == text.replace(value, MASK)
    assert guarded.decision.action is Action.REDACT
    assert guarded.decision.rules == (rule,)


@pytest.mark.parametrize(("rule", "text", "value"), NAMED)
async def test_a_streamed_answer_loses_the_same(says, rule: str, text: str, value: str) -> None:
    pieces = [piece async for piece in _stream(says(text))]
    *said, whole = pieces
    assert isinstance(whole, Guarded)
    assert "".join(str(piece) for piece in said) == whole.text == text.replace(value, MASK)
    assert whole.decision.rules == (rule,)


@pytest.mark.parametrize("size", [1, 7])
@pytest.mark.parametrize(("rule", "text", "value"), NAMED)
async def test_no_cut_of_a_stream_lets_a_part_of_the_value_out(
    gate: Gate, rule: str, text: str, value: str, size: int
) -> None:
    watch = Guard(gate).watch(Incoming((Message("user", "What does the note say?"),)))
    await watch.admit()
    window = watch.window()
    places = [*range(0, len(text), size), len(text)]
    outcomes = [window.feed(0, TEXT, text[start:end]) for start, end in pairwise(places)] + [window.end(0, TEXT)]
    assert "".join(each.text for each in outcomes if isinstance(each, Released)) == text.replace(value, MASK)


async def test_a_private_key_stops_an_answer_however_long_it_is(says, pack: Constitution) -> None:
    reply = pack.rule("private-key-leak").reply
    assert reply is not None
    guard = says(f"The file says:\n{PEM}\nKeep it safe.")
    assert (await guard.chat("What does the file say?")).text == reply.say("en")
    *said, whole = [piece async for piece in _stream(guard)]
    assert isinstance(whole, Guarded)
    assert "FAKE" not in "".join(str(piece) for piece in said) + whole.text
    assert whole.decision.action is Action.BLOCK
    assert whole.decision.rules == ("private-key-leak",)


@pytest.mark.parametrize(("rule", "text", "value"), NAMED)
async def test_the_model_never_sees_the_value_of_a_prompt(gate: Gate, rule: str, text: str, value: str) -> None:
    watch = Guard(gate).watch(Incoming((Message("user", text),)))
    admission = await watch.admit()
    assert admission.edits == {(0, TEXT): text.replace(value, MASK)}


@pytest.mark.parametrize(("rule", "text", "value"), NAMED)
async def test_a_call_of_a_tool_is_blocked_masked_or_flagged_as_its_rule_says(
    gate: Gate, pack: Constitution, rule: str, text: str, value: str
) -> None:
    from rules.schema import Part

    watch = Guard(gate).watch(Incoming((Message("user", "Go on."),)))
    await watch.admit()
    arguments = json.dumps({"note": text}, ensure_ascii=False)
    [ruling] = await watch.rule([Answer({TOOL: arguments})])
    action = pack.rule(rule).action(Part.TOOL_CALL)
    assert ruling.action is action
    if action is Action.REDACT:
        assert json.loads(ruling.edits[TOOL]) == {"note": text.replace(value, MASK)}
    elif action is Action.FLAG:
        assert ruling.untouched
    else:
        assert ruling.filtered


@pytest.mark.parametrize("text", HARMLESS)
@pytest.mark.parametrize("role", ["user", "assistant", "tool"])
def test_what_only_looks_like_a_value_stays(gate: Gate, text: str, role: str) -> None:
    verdict = gate.judge(Exchange((Message("user", "Go on."), Message(role, text))))
    assert [(finding.rule, finding.excerpt) for finding in verdict.findings] == []


def _found_by_shape() -> Iterator[object]:
    for rule in load("privacy").constitution:
        if rule.detect is not None and rule.detect.meaning is None:
            yield pytest.param(rule, id=rule.id)


@pytest.mark.parametrize("rule", list(_found_by_shape()))
def test_a_rule_of_shapes_finds_every_text_that_breaks_it(gate: Gate, rule: Rule) -> None:
    missed = [
        example.text
        for example in (*rule.examples.breaks, *rule.tests.breaks)
        if rule.id not in gate.judge(Exchange.of_example(example)).broken
    ]
    assert missed == []


def test_no_card_or_account_in_the_pack_could_be_real(gate: Gate, pack: Constitution) -> None:
    shown = {"payment-card-exposure": _luhn, "bank-account-exposure": _mod97}
    for rule_id, could_be_real in shown.items():
        rule = pack.rule(rule_id)
        for example in (*rule.examples.breaks, *rule.tests.breaks):
            found = [each for each in gate.judge(Exchange.of_example(example)).findings if each.rule == rule_id]
            values = [example.text[slice(*each.span)] for each in found]
            assert values
            assert not any(could_be_real(value) for value in values), values


async def _stream(guard: Guard) -> AsyncIterator[str | Guarded]:
    async for piece in guard.stream("What does the note say?"):
        yield piece


def _luhn(number: str) -> bool:
    digits = [int(char) for char in number if char.isdigit()]
    doubled = [digit if place % 2 == 0 else sum(divmod(2 * digit, 10)) for place, digit in enumerate(digits[::-1])]
    return sum(doubled) % 10 == 0


def _mod97(iban: str) -> bool:
    plain = "".join(char for char in iban.upper() if char.isalnum())
    return plain[:2].isalpha() and int("".join(str(int(char, 36)) for char in plain[4:] + plain[:4])) % 97 == 1
