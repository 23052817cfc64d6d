"""Encoders that several gates of this process use: loaded once, closed when the last gate lets go.

A reload builds the new gate while the old one still judges; without this, each reload would load the model again, and
hold it twice until the last request under the old rules has ended.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from guard.encoders.base import Encoder

if TYPE_CHECKING:
    from guard.encoders.base import Floats


@dataclass(slots=True)
class _Open:
    encoder: Encoder
    users: int


_OPEN: dict[Hashable, _Open] = {}
_LOCK = threading.Lock()


class SharedEncoder:
    """One user's hold on an encoder that others may use too. An `Encoder`."""

    def __init__(self, key: Hashable, encoder: Encoder) -> None:
        """Made by `shared`."""
        self._key = key
        self._encoder: Encoder | None = encoder
        self.identity = encoder.identity
        self.backend = encoder.backend
        self.dim = encoder.dim
        self.notes = encoder.notes
        # Bound once: this stands on the path of every text.
        self._encode = encoder.encode
        self._windows = encoder.windows

    def encode(self, texts: Sequence[str]) -> Floats:
        """See `Encoder.encode`."""
        return self._encode(texts)

    def windows(self, text: str, beside: str = "") -> list[tuple[int, int]]:
        """See `Encoder.windows`."""
        return self._windows(text, beside)

    def close(self) -> None:
        """Let go of it; the last one to let go closes the model. May be called twice."""
        with _LOCK:
            encoder, self._encoder = self._encoder, None
            if encoder is None:
                return
            held = _OPEN[self._key]
            held.users -= 1
            if held.users:
                return
            del _OPEN[self._key]
        encoder.close()


def shared(key: Hashable, open_: Callable[[], Encoder]) -> SharedEncoder:
    """A hold on the encoder that is open under a key; it is opened where none is.

    Args:
        key: all that determines the encoder.
        open_: opens it. Called under a lock: two gates that are built at once do not load the model twice.

    Raises:
        EncoderError: what `open_` raises.
    """
    with _LOCK:
        held = _OPEN.get(key)
        if held is None:
            held = _OPEN[key] = _Open(open_(), 0)
        held.users += 1
        return SharedEncoder(key, held.encoder)
