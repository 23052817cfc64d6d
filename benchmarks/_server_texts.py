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


WORDS = (
    "apple basil beach berry brick bring candy chair chalk chess climb clock dance diary dream dress drink early "
    "earth eight elder empty enjoy equal event every extra field floor fresh front fruit giant globe grain grand "
    "grass green guest happy heart hello honey horse hotel house image jelly juice kayak label laugh learn lemon "
    "level light lunch maple metal month music night novel olive onion opera orbit paint paper party pearl plain "
    "plant plate quiet quilt radio ready roast robin salad scale scarf shelf shore sleep small smile stone story "
    "sugar table tiger toast tower train water whale wheat world"
).split()
"""A hundred, of five letters each."""

REPLY = 220
"""Characters of a harmless reply."""


def words(number: int) -> str:
    """A number below 10**8 as four common words, always of one length.

    Digits would look like a code to a guard, which then tries to read it.
    """
    parts = (number // 1_000_000, number // 10_000, number // 100, number)
    return " ".join(WORDS[part % 100] for part in parts)


def written(characters: int, number: int, begin: str) -> str:
    """So many characters of ordinary sentences, another text for every number."""
    text = f"{begin} {words(number)}:"
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
