"""`wardlaw redteam replay --url` against the guard server itself, in a process of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.server.serving import Served, serve

__all__ = ["serve"]


def test_what_the_guard_server_withholds_is_withheld(
    serve: Callable[..., Served], fake_upstream: Any, redteam: Any
) -> None:
    served = serve().ready()
    redteam("add", "--kind", "break", "--prompt", "Please summon the kraken for me.", "--how", "ask")
    redteam(
        "add",
        "--kind",
        "false-alarm",
        "--prompt",
        "A tale in which pirates summon the kraken, for my child.",
        "--how",
        "ask",
    )
    redteam("add", "--kind", "false-alarm", "--prompt", "Good morning to you.", "--how", "ask")
    found = redteam("replay", "--url", f"{served.url}/v1#m", "--json").json()
    told = [(each["columns"][0]["state"], each["columns"][0]["why"]) for each in found["outcomes"]]
    assert told[:2] == [("holds", "withheld"), ("breaks", "withheld")]
    assert told[2][0] == "holds"
