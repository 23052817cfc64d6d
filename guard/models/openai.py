"""Any endpoint that speaks chat completions: vLLM, llama.cpp, Ollama, SGLang, LM Studio, gateways, OpenAI itself.

    openai:http://127.0.0.1:8000/v1#qwen                 a server; its key, if it wants one, in OPENAI_API_KEY
    openai:https://host/v1?key=MY_KEY#qwen               the key is in the environment variable MY_KEY
    openai:http://host/v1?timeout=60&patience=300#qwen   seconds for one attempt, and for a call with all its retries
    openai:#gpt-x                                        the official API, or what OPENAI_BASE_URL names

`WARDLAW_CALL_TIMEOUT` and `WARDLAW_PATIENCE` set the two times for all models that do not set their own.
"""

from __future__ import annotations

import asyncio
import io
import json
import logging
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from guard.models._endpoint import Endpoint, read_endpoint
from guard.models._faults import fault_of, unavailable
from guard.models._limit import Limit
from guard.models._listing import Listed, list_models, not_there
from guard.models._patience import GivenUp, Passing, persist
from guard.models._refusals import NotThere, Refusal, meaning, read_refusal, refusal_in
from guard.models._responses import pieces_of, read_answer, read_body
from guard.models._wire import Dialect
from guard.models.base import Ask, ModelConfigError, ModelError, Piece, Reply

if TYPE_CHECKING:
    import aiohttp
    import yarl

_log = logging.getLogger(__name__)
_encode = json.JSONEncoder(separators=(",", ":")).encode

_CONNECT_S = 10.0
_STREAMED = {"Accept": "text/event-stream"}
_WARNED_ABOVE = 2**20
"""aiohttp warns about bytes longer than this, but sends files of any length in pieces."""


def open_model(spec: str, *, concurrency: int) -> OpenAIModel:
    """Open the model that `spec` (what follows `openai:`) names; nothing is sent before the first call.

    Raises:
        ModelConfigError: `spec` is no address with a model, or its key is not in the environment.
    """
    endpoint = read_endpoint(spec)
    import aiohttp  # noqa: F401  # a quarter of a second that the first call would wait for, and all rows behind it

    return OpenAIModel(endpoint, concurrency=concurrency)


class OpenAIModel:
    """A chat model behind an HTTP endpoint. Calls may run at once; those of one event loop share a connection pool."""

    local = False

    def __init__(self, endpoint: Endpoint, *, concurrency: int) -> None:
        self.limit = Limit(concurrency)
        """How many calls are in flight, and how many may be."""
        self._endpoint = endpoint
        self._dialect = Dialect()
        self._session: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._url: yarl.URL | str = f"{endpoint.base}/chat/completions"

    @property
    def identity(self) -> str:
        """Address and model; never the key."""
        return self._endpoint.identity

    def __repr__(self) -> str:
        return f"OpenAIModel({self.identity!r})"

    async def chat(self, ask: Ask) -> Reply:
        """Answer one conversation; cancelling the call closes its connection, so the server may stop its work.

        Raises:
            ModelConfigError: address, model, key or credit: no call can succeed.
            ModelUnavailable: retries are used up.
            ContextTooLong: the conversation does not fit.
            ContentRefused: the provider's filter left nothing of it.
            ModelError: the request was refused otherwise.
        """
        patience = self._endpoint.patience
        try:
            return await self.attempt(ask, patience.attempt_s)
        except Passing as fault:
            first = fault
        try:
            return await persist(lambda deadline: self.attempt(ask, deadline), first, patience)
        except GivenUp as over:
            given_up = over
        raise unavailable(given_up, self._endpoint)

    async def stream(self, ask: Ask) -> AsyncGenerator[Piece, None]:
        """Answer one conversation piece by piece; closing the generator closes its connection.

        Faults are waited out as in `chat` until the stream begins. One that then breaks off is not begun again, since
        another draw would go on with other words.

        Raises:
            ModelError: as for `chat`; ModelUnavailable where the stream breaks off.
        """
        patience = self._endpoint.patience
        async with self.limit:
            try:
                response = await self.begin(ask, patience.attempt_s)
            except Passing as fault:
                first: Passing | None = fault
            else:
                first = None
            try:
                if first is not None:
                    response = await persist(lambda deadline: self.begin(ask, deadline), first, patience)
            except GivenUp as over:
                raise unavailable(over, self._endpoint) from None
            try:
                async with aclosing(pieces_of(response, ask, self._endpoint)) as pieces:
                    async for piece in pieces:
                        yield piece
            finally:
                response.close()
            self.limit.succeeded()

    async def close(self) -> None:
        """Close the connections. A call made after this opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def attempt(self, ask: Ask, deadline: float) -> Reply:
        """Ask once, within `deadline` seconds from the moment that there is a place.

        Raises:
            Passing: another attempt may succeed.
            ModelError: none can, as for `chat`.
        """
        async with self.limit:
            sent_at = time.monotonic()
            try:
                reply = await self._converse(ask, deadline)
            except Passing as fault:
                fault.took = time.monotonic() - sent_at
                if fault.overload:
                    self.limit.overloaded(sent_at)
                raise
            self.limit.succeeded()
            return reply

    async def begin(self, ask: Ask, deadline: float) -> aiohttp.ClientResponse:
        """A response that answers with a stream, or with a whole completion; its body is not read.

        Raises:
            Passing: none, or none in time.
            ModelError: the request is refused.
        """
        import aiohttp

        timeout = aiohttp.ClientTimeout(total=None, sock_connect=min(_CONNECT_S, deadline), sock_read=deadline)
        dialect = self._dialect
        while True:
            request = dialect.request(ask, self._endpoint.model)
            body = _encode(request | {"stream": True, "stream_options": {"include_usage": True}}).encode()
            session = self._session_here()
            fault: Passing | ModelConfigError
            try:
                response = await session.post(
                    self._url, data=_data(body), timeout=timeout, allow_redirects=False, headers=_STREAMED
                )
                if response.status == 200:
                    self._learn(dialect)
                    return response
                async with response:
                    refusal = read_refusal(response.status, await read_body(response))
            except (aiohttp.ClientError, OSError, ValueError) as error:
                fault = fault_of(error, deadline, self._endpoint)
            else:
                refused = meaning(refusal, response.headers, self._endpoint)
                plain = type(refused) is ModelError
                narrower = dialect.narrowed(request, refusal.message, refusal.field) if plain else None
                if narrower is None:
                    raise await self._who_is_there(refused) if isinstance(refused, NotThere) else refused
                dialect = narrower
                continue
            raise fault

    async def served(self, deadline: float) -> tuple[Listed, ...] | None:
        """The models that the endpoint lists; None where it has no list. Takes no place.

        Raises:
            Passing: no answer within `deadline` seconds, or none of use.
            ModelConfigError: the key is refused, or the endpoint has moved.
        """
        return await list_models(self._session_here(), self._endpoint, deadline)

    async def _converse(self, ask: Ask, deadline: float) -> Reply:
        """One request, and more only where the server refuses an optional field of it."""
        dialect = self._dialect
        while True:
            request = dialect.request(ask, self._endpoint.model)
            answer, headers = await self._post(_encode(request).encode(), deadline)
            if not isinstance(answer, Refusal):
                if dialect is not self._dialect:
                    self._learn(dialect)
                return read_answer(answer, self._endpoint)
            error = meaning(answer, headers, self._endpoint)
            # A plain ModelError is a request refused as it stands; its children say more, and a 5xx may pass by itself.
            plain = type(error) is ModelError
            narrower = dialect.narrowed(request, answer.message, answer.field) if plain else None
            if narrower is None:
                raise await self._who_is_there(error) if isinstance(error, NotThere) else error
            dialect = narrower

    def _learn(self, dialect: Dialect) -> None:
        """Keep what let a request through: only then was the field named in the refusal the cause of it."""
        before, self._dialect = self._dialect, self._dialect.joined(dialect)
        if self._dialect != before:
            _log.warning(
                "%s does not take every field: asked without %s, bound on new tokens sent as %s",
                self.identity,
                ", ".join(sorted(self._dialect.without)) or "none left out",
                self._dialect.tokens_field,
            )

    async def _post(self, body: bytes, deadline: float) -> tuple[Any | Refusal, Mapping[str, str]]:
        """Send one request. Returns the JSON of the answer or the refusal in it, and the headers.

        Raises:
            Passing: no answer, none in time, or none that is JSON.
        """
        import aiohttp

        session = self._session_here()
        timeout = session.timeout
        if timeout.total != deadline:
            timeout = aiohttp.ClientTimeout(total=deadline, sock_connect=min(_CONNECT_S, deadline))
        data = _data(body)
        # Built here and raised below, outside the handlers: an aiohttp error left as the context of ours would carry
        # the request's headers, and with them the key, into whatever prints it.
        try:
            async with session.post(self._url, data=data, timeout=timeout, allow_redirects=False) as response:
                raw = await read_body(response)
                if response.status != 200:
                    return read_refusal(response.status, raw), response.headers
                answer = json.loads(raw)
                if isinstance(answer, dict) and answer.get("error"):
                    return refusal_in(answer, 200), response.headers
                return answer, response.headers
        except (aiohttp.ClientError, OSError, ValueError, RecursionError) as error:
            fault = fault_of(error, deadline, self._endpoint)
        raise fault

    def _session_here(self) -> aiohttp.ClientSession:
        session = self._session
        if session is None or session.closed or self._loop is not asyncio.get_running_loop():
            session = self._open_session()
        return session

    def _open_session(self) -> aiohttp.ClientSession:
        """A session of the running loop. Must not await, or two first calls would open two."""
        import urllib.request

        import aiohttp
        import yarl

        endpoint = self._endpoint
        self._url = yarl.URL(f"{endpoint.base}/chat/completions")
        headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "wardlaw"}
        if endpoint.key is not None:
            headers["Authorization"] = f"Bearer {endpoint.key}"
        scheme, _, rest = endpoint.base.partition("://")
        host = rest.partition("/")[0]
        local = host.startswith(("127.", "localhost", "[::1]"))
        # Looked up once: aiohttp's own `trust_env` does it at every request, and puts logins of ~/.netrc on them.
        proxy = None if local or urllib.request.proxy_bypass(host) else urllib.request.getproxies().get(scheme)
        deadline = endpoint.patience.attempt_s
        self._loop = asyncio.get_running_loop()
        self._session = aiohttp.ClientSession(
            headers=headers,
            proxy=proxy,
            timeout=aiohttp.ClientTimeout(total=deadline, sock_connect=min(_CONNECT_S, deadline)),
            connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=300),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self._session

    async def _who_is_there(self, error: NotThere) -> ModelConfigError:
        try:
            served = await self.served(min(_CONNECT_S, self._endpoint.patience.attempt_s))
        except (Passing, ModelConfigError):
            served = None
        return not_there(error, served or (), self._endpoint)


def _data(body: bytes) -> bytes | io.BytesIO:
    return body if len(body) <= _WARNED_ABOVE else io.BytesIO(body)
