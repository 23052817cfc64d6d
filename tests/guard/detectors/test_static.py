from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from guard.detectors.base import NOTHING
from guard.detectors.static import OVERLAP, WINDOW, StaticDetector, _windows
from guard.exchange import Exchange, Message
from guard.trained.folder import HeadsError
from guard.trained.heads import Heads
from guard.trained.scripts import POORLY_READ
from guard.trained.sides import ANSWERED, ASKED, Clear, Side
from rules.schema import Part

ONE = Clear(np.ones((1, 1), np.float32), np.zeros(1, np.float32), np.ones(1, np.float32), 0.0, 0.5)


class Weapons:
    """A static encoder of one number: whether the text speaks of a weapon. Notes what it was given."""

    identity = "weapons/1"

    def __init__(self):
        self.read = []

    def encode(self, texts):
        self.read += texts
        return np.array([[float("weapon" in text)] for text in texts], np.float32).reshape(len(texts), 1)


def heads_for(*rules, sides=(ASKED, ANSWERED)):
    both = dict.fromkeys(
        (ASKED, ANSWERED), Side(np.zeros((len(rules), 1), np.float32), np.zeros(len(rules), np.float32))
    )
    return Heads(rules, dict.fromkeys(rules, "x"), "e", both, {}, dict.fromkeys(sides, ONE), digest="abc")


@pytest.fixture
def tier(make_rule, constitute):
    """The tier over rules with heads, and the texts it encoded."""

    def make(*rules, heads=None):
        rules = rules or (make_rule(detect={}),)
        return StaticDetector(constitute(*rules), Weapons(), heads or heads_for(*(rule.id for rule in rules)))

    return make


def is_clear(tier, *exchanges):
    return [scan.clear for scan in tier.scan(exchanges)]


def test_it_clears_the_harmless_and_says_nothing_of_the_rest(tier):
    found = tier().scan([Exchange.of("a cake"), Exchange.of("a weapon"), Exchange.of("")])
    assert [scan.clear for scan in found] == [True, False, True]
    assert found[1] == NOTHING
    assert not any(scan.findings or scan.scores for scan in found)


def test_what_it_clears_in_a_script_that_its_heads_were_calibrated_apart_for_is_told(tier, make_rule):
    rule = make_rule(detect={})
    heads = heads_for(rule.id)
    apart = {side: replace(each, other=(1.0, 0.0)) for side, each in heads.sides.items()}
    texts = [Exchange.of("a cake"), Exchange.of("一个蛋糕"), Exchange.of("weapon 一个蛋糕一个蛋糕")]
    assert [scan.partial for scan in tier(rule).scan(texts)] == ["", "", ""]
    told = tier(rule, heads=replace(heads, sides=apart)).scan(texts)
    assert [scan.partial for scan in told] == ["", POORLY_READ, ""]
    assert [scan.clear for scan in told] == [True, True, False]


def test_one_window_of_a_long_text_is_enough_to_look(tier):
    for place in (0, WINDOW - 3, WINDOW, 3 * WINDOW, 4_990):
        text = "x " * 2500
        assert is_clear(tier(), Exchange.of(text)) == [True]
        assert is_clear(tier(), Exchange.of(text[:place] + "weapon" + text[place:])) == [False]


@pytest.mark.parametrize("length", [0, 1, WINDOW, WINDOW + 1, WINDOW + OVERLAP, 1049, 1050, 1051, 5000])
def test_windows_cover_the_text_and_overlap(length):
    text = "".join(chr(0x4E00 + place) for place in range(length))
    windows = _windows(text)
    assert windows[0] == text[:WINDOW]
    whole = windows[0]
    for window in windows[1:]:
        assert whole[-OVERLAP:] == window[:OVERLAP]
        whole += window[OVERLAP:]
    assert whole == text
    assert all(len(window) <= WINDOW for window in windows)


def test_every_part_and_every_disguise_is_read(tier):
    made = tier()
    harmless = Message("assistant", "a cake", reasoning="flour", tool_calls=('{"q": "eggs"}',))
    thinks = Message("assistant", "a cake", reasoning="a weapon", tool_calls=())
    calls = Message("assistant", "a cake", tool_calls=('{"q": "weapon"}',))
    asks = Message("user", "help")
    assert is_clear(made, *(Exchange((asks, said)) for said in (harmless, thinks, calls))) == [True, False, False]
    assert is_clear(made, Exchange.of("ｗｅａｐｏｎ"), Exchange.of("d2VhcG9uIHdlYXBvbiB3ZWFwb24gd2VhcG9u")) == [
        False,
        False,
    ]


def test_an_answer_is_read_behind_its_prompt(tier):
    made = tier()
    assert is_clear(made, Exchange.of("a weapon", "Here you are."), Exchange.of("a cake", "Here you are.")) == [
        False,
        True,
    ]
    assert made._encoder.read[1:] == ["a weapon\n\nHere you are.", "a cake\n\nHere you are."]


def test_it_never_clears_where_a_rule_has_no_head(tier, make_rule):
    taught, new = make_rule(detect={}), make_rule("new-rule", detect={}, watches=["response"])
    made = tier(taught, new, heads=heads_for(taught.id))
    assert is_clear(made, Exchange.of("a cake"), Exchange.of("a cake", "Bake it.")) == [True, False]
    assert made.covers(taught, Part.PROMPT).by == "static"
    assert "has no head" in made.covers(taught, Part.RESPONSE).why_not
    assert "no head for the rule" in made.covers(new, Part.RESPONSE).why_not


def test_it_never_clears_where_a_rule_has_a_threshold_of_its_own(tier, make_rule):
    rule = make_rule(detect={"meaning": {"threshold": 0.2}})
    assert is_clear(tier(rule), Exchange.of("a cake")) == [False]


def test_it_never_clears_a_side_that_was_not_taught(tier, make_rule):
    rule = make_rule(detect={})
    made = tier(rule, heads=heads_for(rule.id, sides=(ASKED,)))
    assert is_clear(made, Exchange.of("a cake"), Exchange.of("a cake", "Bake it.")) == [True, False]


def test_rules_that_it_has_nothing_to_do_with_do_not_hold_it_up(tier, make_rule):
    rule = make_rule(detect={})
    patterns = make_rule("patterns-only", detect={"patterns": [{"literal": "bomb"}], "meaning": None})
    principle = make_rule("principle", detect=None)
    assert is_clear(tier(rule, patterns, principle, heads=heads_for(rule.id)), Exchange.of("a cake")) == [True]


def test_its_identity_is_that_of_encoder_and_heads(tier):
    assert tier().identity == "static/1:weapons/1:abc"


def test_heads_on_static_vectors_of_another_size_are_refused(tier, make_rule):
    rule = make_rule(detect={})
    wide = Clear(np.ones((1, 2), np.float32), np.zeros(1, np.float32), np.ones(1, np.float32), 0.0, 0.5)
    heads = heads_for(rule.id)
    object.__setattr__(heads, "static", {ASKED: wide})
    with pytest.raises(HeadsError, match="static tier was taught on vectors of 2 numbers, the encoder gives 1"):
        tier(rule, heads=heads)
