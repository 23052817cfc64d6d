"""`wardlaw keys list`: all keys, without their secrets."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from server.cli.audit._options import where_options
from server.cli.keys import _options

if TYPE_CHECKING:
    from server.keys.key import Key

_WIDTH = 150
_COLUMNS = ("id", "name", "constitution", "scopes", "a minute", "at once", "made", "state")


@click.command("list", short_help="list the keys")
@where_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def command(database: str, folder: Path, as_json: bool) -> None:
    """List all keys, also those that were revoked or have expired."""
    with _options.opened(database, folder) as store:
        keys = store.all()
    if as_json:
        import orjson

        for key in keys:
            click.echo(orjson.dumps(_told(key)).decode())
    elif keys:
        _table(keys)
    else:
        click.echo("there is no key", err=True)


def _told(key: Key) -> dict[str, Any]:
    told: dict[str, Any] = {name: getattr(key, name) for name in key.__slots__ if name != "digest"}
    return {**told, "scopes": sorted(key.scopes), "state": _state(key)}


def _state(key: Key) -> str:
    if key.revoked is not None:
        return "revoked"
    return "valid" if key.valid(time.time()) else "expired"


def _table(keys: list[Key]) -> None:
    from datetime import datetime

    from rich.console import Console
    from rich.table import Table

    def day(at: float) -> str:
        return datetime.fromtimestamp(at).date().isoformat()

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in _COLUMNS:
        table.add_column(name, no_wrap=name in ("id", "made", "state"))
    for key in keys:
        state = _state(key)
        if state == "valid" and key.expires is not None:
            state = f"until {day(key.expires)}"
        limits = ("" if limit is None else f"{limit:,}" for limit in (key.requests_per_minute, key.concurrent))
        table.add_row(
            key.id, key.name, key.constitution, ", ".join(sorted(key.scopes)), *limits, day(key.created), state
        )
    width = None if sys.stdout.isatty() else _WIDTH
    Console(highlight=False, markup=False, emoji=False, width=width).print(table)
