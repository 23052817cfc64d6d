"""Looking decisions up while the database hangs."""

from __future__ import annotations

import asyncio
import threading

import pytest

from server.apis._found import looked_up
from server.audit.errors import Unreachable


async def test_a_database_that_hangs_is_told_as_away_and_holds_up_no_other_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("server.apis._found._LOOK_UP_S", 0.2)
    go_on = threading.Event()
    try:
        asked = [asyncio.create_task(looked_up(go_on.wait, 30)) for _ in range(50)]
        await asyncio.sleep(0)
        async with asyncio.timeout(10):
            assert await asyncio.to_thread(lambda: "read") == "read"
            found = await asyncio.gather(*asked, return_exceptions=True)
        assert {type(each) for each in found} == {Unreachable}
    finally:
        go_on.set()
    assert await looked_up(sum, [1, 2]) == 3
