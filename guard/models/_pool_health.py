"""Checks of a pool's endpoints: does it answer, does it serve the model, and from the same weights as the others."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass

from guard.exchange import Message
from guard.models._listing import Listed
from guard.models._patience import Passing
from guard.models._pool_member import Member
from guard.models.base import Ask, ModelConfigError, ModelError, Sampling

_log = logging.getLogger(__name__)

_TRIED_S = 60.0
"""Seconds for one new token, the deadline of the call that finds out whether a server takes a name it does not list."""


@dataclass(slots=True)
class Weights:
    """Which weights the pool's answers come from, as the first endpoint that says so names them."""

    any: bool
    """Whether endpoints may name different ones."""
    root: str = ""
    said_by: str = ""

    def check(self, served: Iterable[Listed], member: Member) -> None:
        """Take note of the weights that an endpoint names.

        Raises:
            ModelConfigError: they are not those of the others.
        """
        model = member.endpoint.model
        root = next((listed.root for listed in served if listed.name == model), "")
        if self.any or not root or root == self.root:
            return
        if not self.root:
            self.root, self.said_by = root, member.base
            return
        clean = member.endpoint.scrub
        raise ModelConfigError(
            f"`{member.base}` serves `{model}` from `{clean(root)}`, and `{self.said_by}` from `{clean(self.root)}`",
            "serve other weights under another name; where they are the same under another path, add `?roots=any`"
            " after the pool's model",
        )


async def look(member: Member, deadline: float) -> tuple[Listed, ...] | Passing | ModelConfigError:
    """What an endpoint says of the models it serves; empty where it does not say, and takes calls for this one."""
    try:
        served = await member.client.served(deadline)
        if served and all(listed.name != member.endpoint.model for listed in served) and not member.taken_unlisted:
            # Some list a path or another alias and take any name: only a call tells.
            await _try_out(member)
            names = member.endpoint.scrub(", ".join(listed.name for listed in served))
            _log.warning("%s takes calls for `%s`, and lists: %s", member.base, member.endpoint.model, names)
    except (Passing, ModelConfigError) as fault:
        return fault
    return served or ()


def settle(member: Member, seen: tuple[Listed, ...] | Passing | ModelConfigError, weights: Weights) -> None:
    """Let what was seen move the endpoint's breaker."""
    breaker, before = member.breaker, member.breaker.state
    if isinstance(seen, Passing):
        if breaker.unheard(seen):
            member.call_off()
    else:
        try:
            if isinstance(seen, ModelConfigError):
                raise seen
            weights.check(seen, member)
        except ModelConfigError as error:
            breaker.unfit(error)
        else:
            breaker.heard()
    if breaker.state == "trial" and before != "trial":
        _log.warning("back in the pool: `%s` answers again", member.base)


async def watch(member: Member, health_s: float, weights: Weights) -> None:
    """Check an endpoint for as long as it is named; then wait for the end of its calls and close it."""
    while not member.leaving:
        member.turned.clear()
        try:
            async with asyncio.timeout(member.breaker.next_check_s):
                await member.turned.wait()
        except TimeoutError:
            # A call that was answered meanwhile has put the check off.
            if not member.breaker.usable or not member.breaker.next_check_s:
                settle(member, await look(member, health_s), weights)
    while member.in_flight:  # noqa: ASYNC110  # once in an endpoint's life
        await asyncio.sleep(health_s)
    await member.client.close()


async def _try_out(member: Member) -> None:
    ask = Ask((Message("user", "Hello"),), Sampling(temperature=0.0, max_tokens=1))
    try:
        await member.client.attempt(ask, min(_TRIED_S, member.endpoint.patience.attempt_s))
    except ModelConfigError:
        raise
    except ModelError:
        pass  # refused for what was in it, by a model that is there
    member.taken_unlisted = True
