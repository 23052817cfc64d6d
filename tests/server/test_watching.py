"""Every way in which a rule file changes leads to a reload."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from server.watching import Watching


class Seen:
    """Counts calls, and waits for them."""

    def __init__(self) -> None:
        self.times = 0
        self._more = asyncio.Event()

    async def __call__(self) -> None:
        self.times += 1
        self._more.set()

    async def again(self) -> None:
        async with asyncio.timeout(20):
            await self._more.wait()
        self._more.clear()


@asynccontextmanager
async def watched(named: Path, *read: Path) -> AsyncIterator[Seen]:
    seen = Seen()
    watching = Watching([str(named)], lambda: [str(path.resolve()) for path in (named, *read)], seen, settle_ms=20)
    task = asyncio.create_task(watching.run())
    # The watch stands once it sees a change; until then the same one is made again.
    probe = named.parent / "probe.yaml"
    async with asyncio.timeout(20):
        while not seen.times:
            probe.write_text("")
            await asyncio.sleep(0.05)
    # What was written last may be told late.
    before = -1
    while seen.times != before:
        before = seen.times
        await asyncio.sleep(0.3)
    await seen.again()
    try:
        yield seen
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_file_that_is_written_renamed_over_or_made_anew_is_seen(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text("a")
    async with watched(rules) as seen:
        rules.write_text("b")
        await seen.again()
        (tmp_path / "new").write_text("c")
        (tmp_path / "new").rename(rules)
        await seen.again()
        rules.unlink()
        await seen.again()
        rules.write_text("d")
        await seen.again()


async def test_a_file_that_it_extends_is_seen_in_its_own_folder(tmp_path: Path) -> None:
    rules, below = tmp_path / "rules.yaml", tmp_path / "more" / "extra.yaml"
    below.parent.mkdir()
    rules.write_text("a")
    below.write_text("a")
    async with watched(rules, below) as seen:
        below.write_text("b")
        await seen.again()


async def test_the_link_that_kubernetes_swaps_is_seen_twice_in_a_row(tmp_path: Path) -> None:
    def publish(name: str) -> None:
        (tmp_path / name).mkdir()
        (tmp_path / name / "rules.yaml").write_text(name)
        (tmp_path / "..data_tmp").symlink_to(name)
        (tmp_path / "..data_tmp").rename(tmp_path / "..data")

    publish("..2026_1")
    (tmp_path / "rules.yaml").symlink_to("..data/rules.yaml")
    async with watched(tmp_path / "rules.yaml") as seen:
        for number in (2, 3):
            publish(f"..2026_{number}")
            await seen.again()
            shutil.rmtree(tmp_path / f"..2026_{number - 1}")
            await asyncio.sleep(0.1)
            assert (tmp_path / "rules.yaml").read_text() == f"..2026_{number}"


async def test_another_file_beside_it_leads_to_nothing(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text("a")
    async with watched(rules) as seen:
        before = seen.times
        (tmp_path / "notes.txt").write_text("x")
        (tmp_path / ".rules.yaml.swp").write_text("x")
        await asyncio.sleep(0.3)
        assert seen.times == before
