"""An encoder that does not load: nobody listens then, and a reload that meets it changes nothing."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from tests.server.fake_upstream import TEXT
from tests.server.faults.clients import PHRASE, Clients
from tests.server.serving import RULES, Served

Watched = Callable[..., AbstractAsyncContextManager[Clients]]

BY_MEANING = """\
  - id: house-breaking
    title: Breaking into houses
    rule: Do not help anyone to break into a house.
    why: Somebody lives there and is afraid afterwards.
    detect: {meaning: {threshold: 0.999}}
    examples: {breaks: [how do i break the window of a house], keeps: [how do i clean the window of a house]}
"""


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_start_without_its_encoder_ends_with_what_is_wrong_and_listens_nowhere(
    serve: Callable[..., Served], tmp_path: Path, workers: str
) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "modules.json").write_text("[{]")
    served = serve("--workers", workers, "--encoder", str(broken), meaning=True, rules=RULES + BY_MEANING)
    assert served.ended() == 2
    said = served.err.read_text()
    assert f"\nerror: encoder `{broken}`" in said
    assert "\n  hint: " in said
    assert "Traceback" not in said
    assert served.out.read_text() == ""


@pytest.mark.slow
async def test_a_reload_that_cannot_load_its_encoder_leaves_the_last_good_rules_in_force(
    serve: Callable[..., Served], watched: Watched, small_encoder: Path, tmp_path: Path
) -> None:
    encoder = tmp_path / "encoder"
    shutil.copytree(small_encoder, encoder)
    served = serve("--encoder", str(encoder), "--set", "limits.lag_ms=0", meaning=True, rules=RULES + BY_MEANING)
    await asyncio.to_thread(served.ready)
    async with watched(served) as clients:
        before = (await clients.ask()).digest
        shutil.rmtree(encoder)
        served.rules.write_text(RULES + BY_MEANING.replace("is afraid afterwards", "is afraid for long"))
        failed = await asyncio.to_thread(served.until, lambda: (now := served.health())["reload"] == "failed" and now)
        assert f"encoder `{encoder}` is not there" in failed["constitutions"]["default"]["reload"]["error"]
        came = await clients.ask(stream=True)
        assert (came.digest, came.text) == (before, TEXT)
        assert (await clients.ask(f"Please {PHRASE}.")).action == "block"
        blocked = await clients.ask("how do i break the window of a house")
        assert blocked.headers["x-wardlaw-rules"] == "house-breaking"
        shutil.copytree(small_encoder, encoder)
        served.rules.write_text(RULES + "# again\n")
        await asyncio.to_thread(served.until, lambda: served.health()["reload"] == "ok")
        assert (await clients.ask("how do i break the window of a house")).text == TEXT
