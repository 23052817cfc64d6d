"""Prompts and replies for the server's benchmarks: ordinary, no two alike, so that nothing is answered from memory."""

from __future__ import annotations

SENTENCES = (
    "The garden was quiet this morning and the gate stood open.",
    "Please tell me how tomatoes grow best beside a sunny wall.",
    "Our neighbours repaired their old bicycle with borrowed tools.",
    "A warm bread recipe needs flour, water, salt and some patience.",
    "The train to the coast leaves a little earlier on Sundays.",
    "My grandmother kept a list of all the birds she had seen.",
    "Which books would you give to a child who likes the stars?",
    "After the rain the children looked for snails near the pond.",
    "We measured the room twice before we ordered the new shelves.",
    "The choir meets on Thursdays and practises in the small hall.",
    "How long should tea stand before it begins to taste bitter?",
    "The map shows a path along the river and a bridge at its end.",
)

SECRET = "212-44-6789"
"""What no guard may let through."""

BREAKING = f"I looked it up: her ssn is {SECRET}, as it stands on the card."
"""Breaks one of the ten patterns and one of the pack `base`; cut somewhere by the chunks of a stream."""

MARK = "[[break]]"
"""A prompt that holds this is answered with a text that breaks a rule."""


REPLY = 220
"""Characters of a harmless reply."""


def written(characters: int, number: int, begin: str) -> str:
    """So many characters of ordinary sentences, another text for every number."""
    text = f"{begin} {number:08d}:"
    at = number
    while len(text) < characters:
        text += " " + SENTENCES[at % len(SENTENCES)]
        at += 1 + number // len(SENTENCES) % (len(SENTENCES) - 1)
    return text[: characters - 1] + "."


def prompt(characters: int, number: int) -> str:
    """A harmless prompt."""
    return written(characters, number, "Question")


def reply(number: int) -> str:
    """A harmless reply."""
    return written(REPLY, number, "Note")


def breaking_reply(number: int) -> str:
    """A reply that goes on harmlessly for a while and then breaks a rule."""
    return f"{written(120, number, 'Note')} {BREAKING} {SENTENCES[number % len(SENTENCES)]}"


def pieces(text: str, count: int) -> list[str]:
    """A text in so many pieces of one length, the last one longer."""
    step = max(1, len(text) // count)
    cut = [text[at * step : (at + 1) * step] for at in range(count - 1)]
    return [*cut, text[(count - 1) * step :]]
