"""Ports for tests that name one before anything listens there, while other tests run beside them.

A port that was bound and let go of may be handed to any process that asks for a free one a moment later.
"""

from __future__ import annotations

import errno
import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager

_BELOW = 20_000, 30_000
"""Not in the ranges from which Linux (32768 and up) and others (49152 and up) hand out ports."""


@contextmanager
def refusing() -> Iterator[int]:
    """A port that refuses connections, and that nobody else gets, until the block ends."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound, and not listening
        yield held.getsockname()[1]


def unused() -> int:
    """A port for a server that is begun later."""
    for port in random.SystemRandom().sample(range(*_BELOW), 100):
        with socket.socket() as tried:
            try:
                tried.bind(("127.0.0.1", port))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
            else:
                return port
    raise RuntimeError("100 ports were tried, and all are in use")
