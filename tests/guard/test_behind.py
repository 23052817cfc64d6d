"""What nobody waits for is known as such wherever it is carried on."""

from __future__ import annotations

from guard.behind import behind, is_behind
from guard.judging.backstage import Backstage
from guard.portal import Portal


async def told() -> bool:
    return is_behind()


async def nothing() -> None:
    pass


def test_the_mark_goes_along_to_the_loops_that_models_are_asked_on_and_ends_with_its_block():
    portal, backstage = Portal("test"), Backstage("test")

    async def asked_in_turn() -> bool:
        return backstage.submit(told()).result()

    try:
        with behind():
            assert is_behind()
            assert portal.run(asked_in_turn())
        assert not is_behind()
        assert not portal.run(asked_in_turn())
    finally:
        backstage.close(nothing())
        portal.close()
