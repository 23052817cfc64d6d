"""HTTP/1.1 by uvicorn's httptools, with what it lacks: bounds on the size of a request's head and on its time."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from server.settings import LimitSettings

_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


def protocol(limits: LimitSettings) -> type[HttpToolsProtocol]:
    """uvicorn's protocol, bounded."""

    class Bounded(HttpToolsProtocol):
        """A connection whose heads may be so long and take so long, and no more."""

        def __init__(self, *args: Any, **more: Any) -> None:
            super().__init__(*args, **more)
            self._in_head = False
            self._head_bytes = 0
            self._too_large = False
            self._head_timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            # One that connects and says nothing holds a file descriptor as well.
            self._head_timer = self.loop.call_later(limits.header_s, self._refuse, _TOO_SLOW)

        def connection_lost(self, exc: Exception | None) -> None:
            self._calm()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self._in_head:
                self._head_bytes += len(data)
                if self._head_bytes > limits.header_bytes:
                    self._refuse(_TOO_LARGE)

        def on_message_begin(self) -> None:
            self._in_head = True
            self._head_bytes = 0
            if self._head_timer is None:
                self._head_timer = self.loop.call_later(limits.header_s, self._refuse, _TOO_SLOW)
            super().on_message_begin()

        def on_headers_complete(self) -> None:
            self._in_head = False
            self._calm()
            size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            if size > limits.header_bytes:
                self._too_large = True
                raise ValueError("the head is too large")  # ends the parsing; answered below
            super().on_headers_complete()

        def send_400_response(self, msg: str) -> None:
            if self._too_large:
                self._refuse(_TOO_LARGE)
            else:
                super().send_400_response(msg)

        def _refuse(self, answer: bytes) -> None:
            self._calm()
            if self.transport is not None and not self.transport.is_closing():
                self.transport.write(answer)
                self.transport.close()

        def _calm(self) -> None:
            if self._head_timer is not None:
                self._head_timer.cancel()
                self._head_timer = None

    return Bounded
