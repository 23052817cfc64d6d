"""The name of a pool: `http://a:8000/v1,http://b:8000/v1#model?each=32`, or `@endpoints.txt#model`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import parse_qsl, urlencode

from guard.models._endpoint import Endpoint, read_endpoint
from guard.models._spec import at_least, one_of
from guard.models.base import ModelConfigError

T = TypeVar("T")

_EXAMPLE = "write it as `pool:http://a:8000/v1,http://b:8000/v1#model`, or `pool:@FILE#model` with an address a line"
_ENDPOINT_OPTIONS = ("key", "timeout", "patience")
"""Of the pool too: they go to every endpoint. An endpoint has a `key` of its own where its address names one."""


@dataclass(frozen=True, slots=True)
class PoolSpec:
    """What a pool's name says."""

    model: str
    """The model's name, the same at every endpoint."""
    addresses: tuple[str, ...]
    """As they stand in the name; empty where there is a file."""
    file: Path | None
    """Where the addresses stand, one a line."""
    shared: Mapping[str, str]
    """The options of `openai:` that hold for every endpoint."""
    each: int | None
    """Most calls in flight at one endpoint; None for as many as at all of them."""
    health_s: float
    """Seconds between two checks of an endpoint that is not heard of, and the deadline of a check."""
    prefix: bool
    """Whether calls that begin alike go to the endpoint that had that beginning lately."""
    roots: str
    """`same`: endpoints must name the same weights; `any`: they may lie under different paths."""

    def endpoints(self) -> tuple[Endpoint, ...]:
        """The endpoints as they are named now; a file is read anew.

        Raises:
            ModelConfigError: the file cannot be read or names none, an address is none, or stands twice.
        """
        lines = [("", address) for address in self.addresses] if self.file is None else _lines(self.file)
        found: dict[str, Endpoint] = {}
        for place, line in lines:
            try:
                endpoint = self._endpoint(line)
                if endpoint.base in found:
                    raise ModelConfigError(f"`{endpoint.base}` stands twice in the pool", "leave one of them")
            except ModelConfigError as error:
                raise ModelConfigError(f"{place}{error.what}", error.hint) from None
            found[endpoint.base] = endpoint
        return tuple(found.values())

    def _endpoint(self, line: str) -> Endpoint:
        address, _, query = line.partition("?")
        if not address:
            raise ModelConfigError("an address of the pool is empty", _EXAMPLE)
        if "#" in line:
            raise ModelConfigError(
                f"`{address.rpartition('@')[2]}` names a model of its own", "a pool has one, named after all addresses"
            )
        own = dict(parse_qsl(query, keep_blank_values=True))
        if set(own) - {"key"}:
            hint = f"an address takes `?key=NAME` alone; other options follow the pool's model: `#{self.model}?each=32`"
            raise ModelConfigError(f"an option at the address `{address.rpartition('@')[2]}`", hint)
        return read_endpoint(f"{address}?{urlencode({**self.shared, **own})}#{self.model}")


def read_spec(spec: str) -> PoolSpec:
    """Parse what stands after `pool:`; the file, where there is one, is not read.

    Raises:
        ModelConfigError: no address, no model, or an option that is unknown or cannot be so.
    """
    where, _, tail = spec.partition("#")
    model, _, query = tail.partition("?")
    where = where.strip()
    if not model.strip():
        raise ModelConfigError("a pool's name names no model", f"{_EXAMPLE}: the model follows `#`")
    if not where:
        raise ModelConfigError("a pool's name has no address", _EXAMPLE)
    given = _options(query)
    file = Path(where[1:]).expanduser() if where.startswith("@") else None
    return PoolSpec(
        model=model.strip(),
        addresses=() if file else tuple(part.strip() for part in where.split(",")),
        file=file,
        shared={name: given[name] for name in _ENDPOINT_OPTIONS if name in given},
        each=_read(given, "each", _bound, None),
        health_s=_read(given, "health", _seconds, 5.0),
        prefix=_read(given, "prefix", one_of("on", "off"), "on") == "on",
        roots=_read(given, "roots", one_of("same", "any"), "same"),
    )


def _lines(file: Path) -> list[tuple[str, str]]:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ModelConfigError(f"the endpoints in `{file}` cannot be read: {why}", _EXAMPLE) from None
    # what follows a `#` at the beginning or after white space is a comment
    stripped = ((number, re.split(r"(?:^|\s)#", line)[0].strip()) for number, line in enumerate(text.splitlines(), 1))
    found = [(f"{file}:{number}: ", line) for number, line in stripped if line]
    if not found:
        raise ModelConfigError(f"`{file}` names no endpoint", "write an address a line, as `http://a:8000/v1`")
    return found


def _options(query: str) -> dict[str, str]:
    known = (*_ENDPOINT_OPTIONS, "each", "health", "prefix", "roots")
    options: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            meant = f"did you mean `{near[0]}`?" if near else f"the options are {', '.join(known)}"
            # The value stays out of the message: someone may have put a key there.
            raise ModelConfigError(f"unknown option `{name[:40]}` in the name of a pool", meant)
        if name in options:
            raise ModelConfigError(f"the option `{name}` of a pool is given twice", "give it once")
        options[name] = value
    return options


def _read(given: Mapping[str, str], name: str, reader: Callable[[str], T], otherwise: T) -> T:
    if name not in given:
        return otherwise
    try:
        return reader(given[name])
    except ValueError as error:
        raise ModelConfigError(f"the option `{name}` of a pool cannot be `{given[name][:40]}`", str(error)) from None


def _bound(text: str) -> int | None:
    return at_least(1)(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e5:
        raise ValueError("give a number of seconds, as `5`")
    return seconds
