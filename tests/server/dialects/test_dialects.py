"""How dialects are found."""

from __future__ import annotations

import pytest

from server.dialects import DialectError, dialects, open_dialect


def test_dialects_are_found_by_their_folder() -> None:
    assert {"chat_completions", "messages"} <= set(dialects())
    assert "base" not in dialects()
    assert not [name for name in dialects() if name.startswith("_")]


@pytest.mark.parametrize("name", dialects())
def test_each_dialect_bears_its_name(name: str) -> None:
    assert open_dialect(name).name == name


def test_an_unknown_dialect_is_told_with_those_there_are() -> None:
    with pytest.raises(DialectError, match=r"unknown dialect `telegraph`\n  hint: the dialects are chat_completions"):
        open_dialect("telegraph")
