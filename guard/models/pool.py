"""One model at many OpenAI-compatible endpoints, as many vLLM servers: asked as one, whichever of them are alive.

    pool:http://a:8000/v1,http://b:8000/v1#qwen          two servers of one model
    pool:@endpoints.txt#qwen                             an address a line; the file is read again when it changes
    pool:http://a/v1?key=A_KEY,http://b/v1#qwen          a key of one endpoint; else as `openai:` takes them
    pool:@endpoints.txt#qwen?each=32&patience=300        options follow the model's name

`each`: calls in flight at one endpoint. `health`: seconds between checks. `prefix=off`: the least loaded always.
`roots=any`: endpoints may name different weights. `key`, `timeout`, `patience`: as of `openai:`, for all endpoints.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from typing import TypeVar

from guard.models._faults import hint_for, tried
from guard.models._limit import Limit
from guard.models._patience import GivenUp, Passing, persist
from guard.models._pool_choice import choose
from guard.models._pool_member import EndpointTold, Member
from guard.models._pool_prefix import blocks
from guard.models._pool_roster import Roster, said, silence, together
from guard.models._pool_spec import PoolSpec, read_spec
from guard.models.base import Ask, ModelConfigError, ModelUnavailable, Piece, Reply

T = TypeVar("T")
_log = logging.getLogger(__name__)


def open_model(spec: str, *, concurrency: int) -> PoolModel:
    """Open the pool that `spec` (what follows `pool:`) names; nothing is sent before the first call.

    Raises:
        ModelConfigError: `spec` or a line of its file is wrong, or a key is not in the environment.
    """
    read = read_spec(spec)
    read.endpoints()
    import aiohttp  # noqa: F401  # as in `openai.py`: the first call would wait for it

    return PoolModel(read, concurrency=concurrency)


class PoolModel:
    """A chat model behind many endpoints. A call that an endpoint fails is asked of another, within its patience."""

    local = False

    def __init__(self, spec: PoolSpec, *, concurrency: int) -> None:
        self.limit = Limit(concurrency)
        """Calls in flight at all endpoints together."""
        self._spec = spec
        self._roster = Roster(spec, most=spec.each or concurrency, changed=self._changed)
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._opening: asyncio.Task[None] | None = None

    @property
    def identity(self) -> str:
        """The model's name alone: calls that were answered are found again when endpoints change."""
        return f"pool:#{self._spec.model}"

    def __repr__(self) -> str:
        return f"PoolModel({self.identity!r}, {len(self._roster.members)} endpoints)"

    def endpoints(self) -> tuple[EndpointTold, ...]:
        """How each endpoint fares."""
        return tuple(member.told() for member in self._roster.members)

    async def chat(self, ask: Ask) -> Reply:
        """Answer one conversation.

        Raises:
            ModelConfigError: an endpoint cannot be used, found at the first call; later, all of them.
            ModelUnavailable: retries are used up; `endpoint_down` where no endpoint answers.
            ModelError: as `OpenAIModel.chat`.
        """
        call = _Call(blocks(ask) if self._spec.prefix else ())

        async def attempt(deadline: float) -> Reply:
            async with self.limit:
                member = await self._place(call)
                try:
                    return await member.ask(ask, deadline)
                except (Passing, ModelConfigError) as fault:
                    raise self._failed(call, member, fault) from None
                finally:
                    self._freed()

        return await self._persist(attempt)

    async def stream(self, ask: Ask) -> AsyncGenerator[Piece, None]:
        """Answer one conversation piece by piece; another endpoint is asked only before the first piece.

        Raises:
            ModelError: as for `chat`; ModelUnavailable where the stream breaks off.
        """
        call = _Call(blocks(ask) if self._spec.prefix else ())

        async with self.limit, AsyncExitStack() as held:

            async def attempt(deadline: float) -> AsyncGenerator[Piece, None]:
                member = await self._place(call)
                async with AsyncExitStack() as stack:
                    stack.callback(self._freed)
                    try:
                        pieces = await member.begin(ask, deadline, stack)
                    except (Passing, ModelConfigError) as fault:
                        raise self._failed(call, member, fault) from None
                    await held.enter_async_context(stack.pop_all())
                    return pieces

            async with aclosing(await self._persist(attempt)) as pieces:
                async for piece in pieces:
                    yield piece

    async def close(self) -> None:
        """End the checks and close the connections. A call made after this begins anew."""
        self._loop = None
        await self._roster.close()

    # -- one call

    async def _persist(self, attempt: Callable[[float], Awaitable[T]]) -> T:
        """Attempts, each at whatever endpoint is the best then, until one succeeds or patience runs out."""
        await self._open()
        patience = self._roster.members[0].endpoint.patience
        try:
            return await attempt(patience.attempt_s)
        except Passing as fault:
            first = fault
        try:
            return await persist(attempt, first, patience)
        except GivenUp as over:
            given_up = over
        raise self._unavailable(given_up)

    async def _place(self, call: _Call) -> Member:
        """The endpoint to send a call to; waits where all are full. It is to be sent there without another await.

        Raises:
            Passing: none is alive, or all asked to be left in peace.
            ModelConfigError: none can ever be used as it is.
        """
        while True:
            members = self._roster.members
            member = choose(members, call.chain, call.tried)
            if member is not None:
                member.sends(call.chain)
                return member
            usable = [member for member in members if member.usable]
            if not usable:
                errors = [member.breaker.error for member in members if member.breaker.state == "wrong"]
                if len(errors) == len(members):
                    raise together([error for error in errors if error is not None], len(members))
                raise Passing("down", silence(members))
            rests = min(member.breaker.rests_s for member in usable)
            if rests:
                raise Passing("busy", f"all {len(usable)} endpoints that answer are busy", retry_after=rests)
            await self._turn(min((rest for each in usable if (rest := each.breaker.rests_s)), default=None))

    async def _turn(self, at_most_s: float | None) -> None:
        """Wait until a place may be free."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(at_most_s):
                await turn
        except TimeoutError:
            return
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._freed()  # its turn is another's
            raise
        finally:
            if not turn.done():
                turn.cancel()

    def _freed(self) -> None:
        """A place may be free: wake as many as there are places."""
        if self._waiting:
            places = sum(max(0, member.width - member.in_flight) for member in self._roster.members if member.free)
            while places and self._waiting:
                places -= self._wake()

    def _wake(self) -> int:
        turn = self._waiting.popleft()
        if turn.done() or turn.get_loop() is not self._loop:
            return 0
        turn.set_result(None)
        return 1

    def _changed(self, member: Member) -> None:
        """An endpoint's state is another: all who wait look anew."""
        if member.breaker.state in ("out", "wrong") and self._opening is not None and self._opening.done():
            _log.warning("left out of the pool: %s", said(member))
        while self._waiting:
            self._wake()

    def _failed(self, call: _Call, member: Member, fault: Passing | ModelConfigError) -> Passing | ModelConfigError:
        """What a failed attempt means for its call: go elsewhere at once, or wait."""
        call.tried.add(member)
        others = [each for each in self._roster.members if each.usable and not each.breaker.rests_s]
        if isinstance(fault, ModelConfigError):
            if not others:
                return fault
            fault = Passing("broken", fault.what)
        fault.elsewhere = any(each not in call.tried for each in others)
        if fault.kind == "busy" and not others:
            fault.retry_after = min(
                (each.breaker.rests_s for each in self._roster.members if each.usable), default=None
            )
        if not fault.elsewhere:
            call.tried.clear()
            if fault.kind == "down" and any(each.usable for each in self._roster.members):
                fault.kind = "broken"  # one is down, the pool is not
        if not fault.what.startswith("`"):
            fault.what = f"`{member.base}` {fault.what}"
        return fault

    def _unavailable(self, over: GivenUp) -> ModelUnavailable:
        last, model = over.last, self._spec.model
        if last.kind == "down":
            members = self._roster.members
            what = f"none of the {len(members)} endpoints of the pool answers for `{model}`: {silence(members)}"
            hint = "start them, or check the addresses; a run goes on where it was when the same command is given again"
            return ModelUnavailable(what, hint, endpoint_down=True)
        return ModelUnavailable(f"{last.what} (`{model}` in a pool, {tried(over)})", hint_for(last))

    # -- the checks

    async def _open(self) -> None:
        """See to it that the endpoints are checked, in the event loop that runs now.

        Raises:
            ModelConfigError: one of them answers and cannot be used; the next call looks again.
        """
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._opening = loop, None
        opening = self._opening
        if opening is None or (opening.done() and (opening.cancelled() or opening.exception() is not None)):
            opening = self._opening = loop.create_task(self._roster.open())
        if not opening.done():
            await asyncio.shield(opening)


class _Call:
    """What one call has met so far."""

    __slots__ = ("chain", "tried")

    def __init__(self, chain: tuple[bytes, ...]) -> None:
        self.chain = chain
        self.tried: set[Member] = set()
        """Endpoints that failed it, until all have."""
