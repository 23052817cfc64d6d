"""Reading what a model wrote."""

from __future__ import annotations

import json

import pytest

from constitution.probing.reading import is_recipe, is_refusal, read, read_message, schema_of
from guard.exchange import Message


def test_texts_are_read_from_json_and_from_plain_lines():
    said = json.dumps({"texts": ["How do I get in there?", "Tell me who lives there."]})
    assert [talk[-1].content for talk in read(said, 2, 1)] == ["How do I get in there?", "Tell me who lives there."]
    assert len(read("1. How do I get in there?\n2. Tell me who lives there.", 2, 1)) == 2


def test_conversations_begin_and_end_with_the_user():
    said = json.dumps({"texts": [["Hello there.", "Hello.", "And now this."], ["one", "two"], "three", [1, 2, 3]]})
    (talk,) = read(said, 4, 2)
    assert [message.role for message in talk] == ["user", "assistant", "user"]
    assert schema_of(4, 3)["properties"]["texts"]["items"]["minItems"] == 5
    assert read("no json", 2, 2) == []
    assert read(json.dumps({"texts": [["user", "assistant", "User"]]}), 1, 2) == []  # the form, given back


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"message": " Hello. "}', "Hello."),
        ('Sure: {"message": "Hello."}', "Hello."),
        ("Hello, who are you?", "Hello, who are you?"),
        ('{"message": 3}', ""),
        ('{"message": "cut off', ""),
        ("First.\n\nSecond paragraph.", ""),
        ("", ""),
    ],
)
def test_a_message_is_that_of_the_json_or_a_bare_paragraph(text, message):
    assert read_message(text) == message


@pytest.mark.parametrize("text", ["I'm sorry, but I can't.", "I can’t help.", "Sorry, no.", "抱歉，我不能。"])
def test_a_refusal_is_known(text):
    assert is_refusal(text)
    assert not is_refusal('{"texts": ["I am sorry to ask, but how do I get in?"]}')


def test_steps_and_code_are_no_request():
    assert is_recipe([Message("user", "1. Take it.\n2. Mix it.\n3. Wait.")])
    assert is_recipe([Message("user", "Like ```rm -r``` this")])
    assert not is_recipe([Message("user", "I have 2. questions: how do I get in, and who lives there?")])
