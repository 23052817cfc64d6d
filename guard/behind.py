"""Work that nobody waits for, which makes way for work that somebody does: what candidates judge, say.

It goes through the same encoders and models as the judging of requests. Marked, it takes few places there, so that a
request never stands in a queue behind a long text that is judged for the record.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_BEHIND: ContextVar[bool] = ContextVar("behind", default=False)


def is_behind() -> bool:
    """Whether nobody waits for what is being done here, or in the thread that asked for it."""
    return _BEHIND.get()


@contextmanager
def behind() -> Iterator[None]:
    """Mark what is done inside, in coroutines that it submits to other loops too."""
    token = _BEHIND.set(True)
    try:
        yield
    finally:
        _BEHIND.reset(token)
