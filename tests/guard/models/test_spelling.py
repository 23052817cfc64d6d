"""Text from tokens as they come: joined, it is what would be cut out of the whole."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from guard.models._draw import RowState
from guard.models._spelling import Spelling, Stops, Teller, Thoughts
from guard.models.base import Piece, Sampling
from guard.models.hf import split_reasoning

BITS = st.sampled_from(
    ["<think>", "</think>", "<thi", "nk>", "</", "<", " ", "\n", "so", "ü", "🌊", "stop", "st", "op"]
)
TEXTS = st.lists(BITS, max_size=14)


@given(TEXTS, st.booleans())
def test_any_cutting_parts_reasoning_and_answer_as_the_whole_is_parted(bits: list[str], thinking: bool) -> None:
    thoughts = Thoughts(thinking=thinking)
    given = [thoughts.feed(bit) for bit in bits] + [thoughts.close()]
    reasoning, answer = ("".join(channel) for channel in zip(*given, strict=True))
    assert (reasoning or None, answer) == split_reasoning("".join(bits), thinking=thinking)


@given(TEXTS, st.sets(st.sampled_from(["stop", "sos", "</think>", "\n\n"]), max_size=3))
def test_any_cutting_ends_before_the_first_stop_string(bits: list[str], stops: set[str]) -> None:
    reader, text = Stops(sorted(stops)), "".join(bits)
    given = "".join(reader.feed(bit) for bit in bits) + reader.close()
    assert given == text[: min((at for stop in stops if (at := text.find(stop)) >= 0), default=len(text))]


@given(st.text(max_size=40))
def test_tokens_that_cut_characters_spell_the_same_text(text: str) -> None:
    raw = text.encode()
    read = lambda ids: bytes(ids).decode("utf-8", "replace")  # noqa: E731
    spelling = Spelling(read)
    given = "".join(spelling.next(raw[:n], last=n == len(raw)) for n in range(1, len(raw) + 1))
    assert given == read(list(raw))


def test_bytes_that_never_become_a_character_are_not_waited_for_to_the_end() -> None:
    spelling = Spelling(lambda ids: bytes(ids).decode("utf-8", "replace"))
    given = [spelling.next([0xFF] * n) for n in range(1, 200)]
    assert sum(map(bool, given)) > 5


def test_a_batch_begun_again_tells_nothing_twice() -> None:
    told: list[Piece] = []
    teller = Teller(told.append)
    tokens = [*b"<think>first</think>then this", 0]

    def run(count: int) -> None:
        tell = teller.begin(lambda ids: bytes(ids).decode(), frozenset({0}), (), thinking=False)
        row = RowState(Sampling(), 100, lambda: False)
        for token in tokens[:count]:
            row.ids.append(token)
            row.finish = "stop" if token == 0 else ""
            tell(row)

    run(24)
    run(len(tokens))
    assert "".join(piece.reasoning for piece in told) == "first"
    assert "".join(piece.text for piece in told) == "then this"
