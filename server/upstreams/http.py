"""A model behind HTTP: OpenAI-compatible or Anthropic."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

import orjson

from server.upstreams._address import checked, is_plain
from server.upstreams._headers import back, names_there
from server.upstreams._refusals import refused
from server.upstreams._session import new_sockets, open_session
from server.upstreams._stream import HttpStream
from server.upstreams.base import Answered, UpstreamFault

if TYPE_CHECKING:
    import aiohttp
    import yarl

    from server.upstreams.settings import UpstreamSettings

PATHS: Final = {"chat_completions": "/chat/completions", "messages": "/messages", "responses": "/responses"}
_USUAL: Final = {"openai": ("chat_completions",), "anthropic": ("messages",)}
_WARNED_ABOVE = 2**20
"""aiohttp warns about bytes longer than this, but sends files of any length in pieces."""
_MOST_OF_AN_ERROR = 64 * 2**10
_READY_S = 1.0
"""Seconds that an answer to `ready` holds good."""


class HttpUpstream:
    """One upstream; calls may run at once and share a pool of connections.

    A call is sent once. Only where a connection out of the pool was closed by the upstream before a byte of an answer
    came, which happens when it ends idle connections just then, is it sent a second time.
    """

    def __init__(self, settings: UpstreamSettings, *, credentials: bool = True) -> None:
        """Nothing is sent before the first call.

        Raises:
            WardlawError: `settings.url` is no address.
        """
        self._settings = settings
        self._base = checked(settings.url)
        self._key = settings.key.get_secret_value().strip() if settings.key is not None else ""
        self._dialects = frozenset(settings.apis or _USUAL[settings.kind])
        self._ours = bool(self._key) or not credentials
        self._handed = names_there(settings.kind, own_key=self._ours)
        self._sessions: WeakKeyDictionary[asyncio.AbstractEventLoop, aiohttp.ClientSession] = WeakKeyDictionary()
        self._urls: dict[str, yarl.URL] = {}
        self._ready = (float("-inf"), False)
        self._asking: asyncio.Task[bool] | None = None

    @property
    def identity(self) -> str:
        """Kind and address; never the key."""
        return f"{self._settings.kind}:{self._base}"

    def __repr__(self) -> str:
        return f"HttpUpstream({self.identity!r})"

    def speaks(self, dialect: str) -> bool:
        """Whether it can be asked in this dialect."""
        return dialect in self._dialects

    async def ask(self, dialect: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> Answered:
        """Ask for a whole answer.

        Raises:
            UpstreamFault: no usable answer.
        """
        data = orjson.dumps(body)
        response = await self._send("POST", PATHS[dialect], data, self._there(headers))
        return await self._whole(response)

    def stream(self, dialect: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> HttpStream:
        """Ask for a stream.

        Raises:
            UpstreamFault: on entering, no stream; while it is read, that it broke off.
            NotAStream: on entering: a whole answer came instead.
        """
        sent = self._there(headers)
        sent["Accept"] = "text/event-stream"
        sent["Accept-Encoding"] = "identity"  # a compressor in between would hold tokens back
        data = orjson.dumps(body)

        async def opened() -> aiohttp.ClientResponse:
            import aiohttp

            settings = self._settings
            # the stream keeps its own time: a pause between two pieces may be longer or shorter than the first wait
            times = aiohttp.ClientTimeout(total=None, connect=settings.connect_s)
            try:
                async with asyncio.timeout(settings.first_s):
                    return await self._send("POST", PATHS[dialect], data, sent, times)
            except TimeoutError:
                fault = self._unsent(TimeoutError())
            raise fault

        return HttpStream(dialect, self._settings, opened, self._whole, self._key)

    async def passed(
        self, method: str, path: str, raw: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, bytes, Mapping[str, str]]:
        """Hand a request on.

        Args:
            method: `GET`, `POST` or `DELETE`.
            path: below the address, with or without `/v1` before it; as it stands in a request, a query with it.
            raw: its body.
            headers: as for `ask`.

        Raises:
            UpstreamFault: no answer, or one with an error status.
        """
        path = path.removeprefix("/v1")
        if not is_plain(path):
            raise UpstreamFault(404, "not_found", "a path that is no path of an upstream")
        response = await self._send(method, path, raw, self._there(headers))
        body = await self._body(response)
        if response.status >= 300:
            raise refused(response.status, body, response.headers, self._key, ours=self._ours)
        kept = back(response.headers)
        if "Content-Type" in response.headers:
            kept["content-type"] = response.headers["Content-Type"]
        return response.status, body, kept

    async def ready(self) -> bool:
        """Whether it answers a request for its models with anything but a 5xx; asked once a second at most."""
        at, answer = self._ready
        if time.monotonic() - at < _READY_S:
            return answer
        if self._asking is None or self._asking.done() or self._asking.get_loop() is not asyncio.get_running_loop():
            self._asking = asyncio.create_task(self._answers())
        # shielded, since others may wait for the same answer
        return await asyncio.shield(self._asking)

    async def close(self) -> None:
        """Close the connections of this event loop. May be called twice."""
        session = self._sessions.pop(asyncio.get_running_loop(), None)
        if session is not None:
            await session.close()

    async def _answers(self) -> bool:
        answer = False
        try:
            async with asyncio.timeout(min(self._settings.connect_s, self._settings.first_s)):
                response = await self._send("GET", "/models", None, self._there({}))
                answer = response.status < 500
                response.release()
        except (UpstreamFault, TimeoutError):
            answer = False
        self._ready = (time.monotonic(), answer)
        return answer

    def _there(self, headers: Mapping[str, str]) -> dict[str, str]:
        return {name: headers[name] for name in self._handed if name in headers}

    async def _send(
        self,
        method: str,
        path: str,
        data: bytes | None,
        headers: dict[str, str],
        times: aiohttp.ClientTimeout | None = None,
    ) -> aiohttp.ClientResponse:
        """Send a request. The response's body has not been read; whoever gets it closes it.

        Raises:
            UpstreamFault: nothing that is HTTP came back, or not in time.
        """
        import aiohttp

        session = self._sessions.get(asyncio.get_running_loop()) or self._open_session()
        url = self._urls.get(path) or self._url(path)
        fault: UpstreamFault
        # Faults are built here and raised below, outside the handlers: an aiohttp error left as the context of ours
        # would carry the request's headers, and with them the key, into whatever prints it.
        again = True
        while True:
            body = io.BytesIO(data) if data is not None and len(data) > _WARNED_ABOVE else data
            fresh = new_sockets()
            try:
                return await session.request(
                    method,
                    url,
                    data=body,
                    headers=headers,
                    allow_redirects=False,
                    timeout=times or session.timeout,
                )
            except (
                aiohttp.ServerDisconnectedError,
                aiohttp.ClientOSError,
                aiohttp.ClientConnectionResetError,
            ) as error:
                if again and not fresh:
                    again = False
                    continue
                fault = self._unsent(error)
            except (aiohttp.ClientError, OSError, ValueError) as error:
                fault = self._unsent(error)
            break
        raise fault

    def _unsent(self, error: Exception) -> UpstreamFault:
        """What a failed request means."""
        import aiohttp

        if isinstance(error, aiohttp.ConnectionTimeoutError):
            hint = "see whether it runs; `upstream.connect_s` and `upstream.connections` bound the wait"
            return UpstreamFault(504, "timeout", "the upstream takes no connection in time", hint)
        if isinstance(error, TimeoutError):
            hint = "it may be overloaded; `upstream.first_s` bounds the wait"
            return UpstreamFault(504, "timeout", "the upstream gave no answer in time", hint)
        if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
            hint = "see that this machine trusts the upstream's certificate"
            return UpstreamFault(502, "upstream", "the upstream cannot be connected to by TLS", hint)
        if isinstance(error, aiohttp.ClientConnectorDNSError):
            hint = "correct `upstream.url`, or see that this machine can look names up"
            return UpstreamFault(503, "upstream", "the upstream takes no connection: its host is not known", hint)
        if isinstance(error, aiohttp.ClientConnectorError):
            refused_it = isinstance(error.os_error, ConnectionRefusedError)
            why = "connection refused" if refused_it else type(error).__name__
            hint = "start it, or correct `upstream.url`"
            return UpstreamFault(503, "upstream", f"the upstream takes no connection: {why}", hint)
        if isinstance(error, ValueError) and not isinstance(error, aiohttp.ClientError):
            return UpstreamFault(400, "invalid_request", "a header that cannot be sent on")
        return UpstreamFault(502, "upstream", f"the upstream sent no HTTP answer ({type(error).__name__})")

    async def _whole(self, response: aiohttp.ClientResponse) -> Answered:
        """The JSON object that a response is; reads and closes it."""
        status = response.status
        raw = await self._body(response)
        if not 200 <= status < 300:
            raise refused(status, raw, response.headers, self._key, ours=self._ours)
        kind = response.headers.get("Content-Type", "application/json").partition(";")[0].strip().lower()
        if not (kind.startswith("application/") and kind.endswith("json")):
            raise UpstreamFault(502, "upstream", "the upstream answers with another type of content than JSON")
        try:
            data = orjson.loads(raw)
        except ValueError:
            data = None
        if not isinstance(data, dict):
            raise UpstreamFault(502, "upstream", "the upstream answers with what is no JSON object")
        return Answered(status, raw, data, back(response.headers))

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        """All of a body, or the beginning of an error's."""
        import aiohttp

        fine = 200 <= response.status < 300
        most = self._settings.answer_bytes if fine else _MOST_OF_AN_ERROR
        fault: UpstreamFault
        try:
            length = response.content_length
            if length is not None and length <= most and "Content-Encoding" not in response.headers:
                return await response.read()
            pieces, size = [], 0
            while piece := await response.content.readany():
                pieces.append(piece)
                size += len(piece)
                if size > most:
                    response.close()
                    if not fine:
                        return b"".join(pieces)
                    what = f"the upstream answers with more than {most} bytes"
                    raise UpstreamFault(502, "upstream", what, "raise `upstream.answer_bytes` if that is right")
            return b"".join(pieces)
        except TimeoutError:
            fault = UpstreamFault(504, "timeout", "the upstream did not end its answer in time")
        except (aiohttp.ClientError, OSError) as error:
            fault = UpstreamFault(502, "upstream", f"the upstream broke off its answer ({type(error).__name__})")
        except asyncio.CancelledError:
            response.close()
            raise
        response.close()
        raise fault

    def _url(self, path: str) -> yarl.URL:
        import yarl

        url = yarl.URL(self._base + path, encoded=True)
        if path in PATHS.values():
            self._urls[path] = url
        return url

    def _open_session(self) -> aiohttp.ClientSession:
        """A session of the running loop. Must not await, or two first calls would open two."""
        session = open_session(self._settings, self._base, self._key)
        self._sessions[asyncio.get_running_loop()] = session
        return session
