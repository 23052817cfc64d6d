"""What a translator offers."""

from __future__ import annotations

from typing import Any, Protocol

from server.upstreams.base import Event


class Translation(Protocol):
    """One stream on its way from the upstream's dialect to the client's."""

    def feed(self, event: Event) -> list[Event]:
        """What an event of the upstream says, in the client's dialect."""

    def close(self) -> list[Event]:
        """What is left to say after the stream has ended as it should."""


class Translator(Protocol):
    """A module of `server/translating`. All raise ValueError("where: what") for what cannot be translated."""

    SOURCE: str
    """The client's dialect."""
    TARGET: str
    """The upstream's dialect."""

    def request(self, body: dict[str, Any]) -> dict[str, Any]:
        """A request of the client, as the upstream reads it."""

    def answer(self, data: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
        """A whole answer of the upstream, as the client reads it; `asked` is the request in the client's dialect."""

    def Translation(self, asked: dict[str, Any]) -> Translation:  # noqa: N802  # a class of the module
        """The state of one stream that answers `asked`."""
