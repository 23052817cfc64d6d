"""One endpoint of a pool: its client, whether it may be asked, and how it has fared."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AsyncExitStack, aclosing, contextmanager
from dataclasses import dataclass
from datetime import datetime

from guard.models._endpoint import Endpoint
from guard.models._patience import Passing
from guard.models._pool_breaker import USABLE, Breaker, State
from guard.models._pool_prefix import Beginnings
from guard.models._responses import BrokeOff, pieces_of
from guard.models.base import Ask, ModelConfigError, ModelError, Piece, Reply
from guard.models.openai import OpenAIModel

_TIMES = 256
"""Answers that the median is of."""


@dataclass(frozen=True, slots=True)
class EndpointTold:
    """How one endpoint of a pool fares, for a display."""

    base: str
    state: State
    why: str
    """Why it is not usable; empty where it is."""
    since: datetime
    """When it came to this state."""
    calls: int
    """Attempts sent."""
    failures: int
    """Of these, those that ended without an answer, so that another had to be sent."""
    in_flight: int
    p50_s: float | None
    """Median seconds of the last answers (of a stream: to its first piece); None where there is none."""
    reused: float | None
    """Share of the text sent that the endpoint had lately, so that its prefix cache may hold it; None before any."""

    @property
    def usable(self) -> bool:
        """Whether calls are sent to it."""
        return self.state in USABLE


class Member:
    """One endpoint."""

    def __init__(self, endpoint: Endpoint, *, most: int, health_s: float, changed: Callable[[Member], None]) -> None:
        """Args: most: calls in flight. health_s: seconds between two checks. changed: told of a change of state."""
        self.endpoint = endpoint
        self.client = OpenAIModel(endpoint, concurrency=most)
        self.beginnings = Beginnings()
        self.breaker = Breaker(health_s, self._turn)
        self.leaving = False
        """It is named no more: calls in flight end, none begins."""
        self.turned = asyncio.Event()
        """Its state is another: the next check is due at another time."""
        self.taken_unlisted = False
        """Whether it took a call for the model without listing it, since it was last out."""
        self._changed = changed
        self._waited_for: set[asyncio.Timeout] = set()
        self._calls = self._failures = self._blocks = self._blocks_known = 0
        self._took: deque[float] = deque(maxlen=_TIMES)

    @property
    def base(self) -> str:
        """Its address."""
        return self.endpoint.base

    @property
    def usable(self) -> bool:
        """Whether calls may be sent to it at all."""
        return self.breaker.usable and not self.leaving

    @property
    def width(self) -> int:
        """Calls in flight that it takes now."""
        return 1 if self.breaker.state == "trial" else self.client.limit.current

    @property
    def in_flight(self) -> int:
        """Calls there now."""
        return self.client.limit.in_flight

    @property
    def free(self) -> bool:
        """Whether a call may be sent this moment."""
        return self.usable and self.in_flight < self.width and not self.breaker.rests_s

    def sends(self, chain: tuple[bytes, ...]) -> None:
        """A call with this beginning is to be sent here."""
        self._blocks += len(chain)
        self._blocks_known += self.beginnings.known(chain).blocks
        self.beginnings.meet(chain)

    async def ask(self, ask: Ask, deadline: float) -> Reply:
        """Ask once.

        Raises:
            Passing, ModelError: as `OpenAIModel.attempt`.
        """
        with self._watched() as scope:
            async with scope:
                return await self.client.attempt(ask, deadline)

    async def begin(self, ask: Ask, deadline: float, stack: AsyncExitStack) -> AsyncGenerator[Piece, None]:
        """Begin a stream, and wait for its first piece; `stack` lets go of what it holds.

        Raises:
            Passing, ModelError: as `OpenAIModel.begin`, also where it broke off before its first piece.
        """
        limit, sent_at = self.client.limit, time.monotonic()
        with self._watched() as scope:
            async with scope:
                await stack.enter_async_context(limit)
                try:
                    response = await self.client.begin(ask, deadline)
                    stack.callback(response.close)
                    pieces = await stack.enter_async_context(aclosing(pieces_of(response, ask, self.endpoint)))
                    first = await anext(pieces)
                except Passing as fault:
                    if fault.overload:
                        limit.overloaded(sent_at)
                    raise
                except BrokeOff as error:
                    raise Passing("broken", error.why) from None
        limit.succeeded()
        return _with(first, pieces)

    def call_off(self) -> None:
        """End the calls in flight whose answers have not begun: each is asked of another endpoint."""
        now = asyncio.get_running_loop().time()
        for scope in tuple(self._waited_for):
            scope.reschedule(now)

    def told(self) -> EndpointTold:
        """How it fares."""
        breaker = self.breaker
        return EndpointTold(
            base=self.base,
            state=breaker.state,
            why=breaker.why,
            since=breaker.since,
            calls=self._calls,
            failures=self._failures,
            in_flight=self.in_flight,
            p50_s=statistics.median(self._took) if self._took else None,
            reused=self._blocks_known / self._blocks if self._blocks else None,
        )

    @contextmanager
    def _watched(self) -> Iterator[asyncio.Timeout]:
        """Counts a call and tells the breaker how it ended. The scope given is ended by `call_off`."""
        scope, began = asyncio.timeout(None), time.monotonic()
        fault: Passing
        self._calls += 1
        self._waited_for.add(scope)
        try:
            yield scope
        except TimeoutError:
            fault = Passing("broken", f"was left out while it was asked: it {self.breaker.why}")
        except Passing as passing:
            fault = passing
            self.breaker.failed(fault)
        except ModelConfigError as error:
            self.breaker.unfit(error)
            raise
        except ModelError:
            self.breaker.answered()  # with a word on this one conversation
            raise
        else:
            self._took.append(time.monotonic() - began)
            self.breaker.answered()
            return
        finally:
            self._waited_for.discard(scope)
        self._failures += 1
        fault.took = time.monotonic() - began
        raise fault

    def _turn(self) -> None:
        if not self.breaker.usable:
            # what comes back may be another process, with an empty cache and another model
            self.beginnings.forget()
            self.taken_unlisted = False
        self.turned.set()
        self._changed(self)


async def _with(first: Piece, rest: AsyncGenerator[Piece, None]) -> AsyncGenerator[Piece, None]:
    yield first
    async for piece in rest:
        yield piece
