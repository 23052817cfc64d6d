"""What the commands on decisions share: where they are kept, and which are meant."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rules.actions import Action
from rules.errors import WardlawError
from rules.words import quoted

if TYPE_CHECKING:
    from server.audit.database import Database
    from server.audit.query import Filters
    from server.settings import ServerSettings

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_FILE = "wardlaw.database_file"
_SETTINGS = "wardlaw.settings"
_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")

SECTIONS = {
    "Where": ("config", "database", "database_file", "folder"),
    "Which": ("since", "until", "action", "would", "rule", "key", "api", "constitution", "degraded", "flips"),
}
FILTERS = SECTIONS["Which"]


def where_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that say where decisions are kept: as the server was told."""
    config = click.option(
        "--config",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        is_eager=True,
        expose_value=False,
        callback=_note_settings,
        help="The server's settings: folder and database are taken from there.",
    )
    file = click.option(
        "--database-file",
        envvar="WARDLAW_DATABASE_FILE",
        type=click.Path(path_type=Path, dir_okay=False),
        is_eager=True,
        expose_value=False,
        callback=_note_file,
        help="A file with that URL, where there is no --database.",
    )
    database = click.option(
        "--database",
        default="",
        callback=_or_file,
        envvar="WARDLAW_DATABASE",
        metavar="URL",
        help="`sqlite:///FILE` or `postgresql://USER@HOST/NAME`.  [default: `audit.sqlite` in the folder]",
    )
    folder = click.option(
        "--folder",
        default="wardlaw-data",
        envvar="WARDLAW_FOLDER",
        show_default=True,
        callback=_or_setting,
        type=click.Path(path_type=Path, file_okay=False),
        help="The server's folder, with the journals.",
    )
    return config(database(file(folder(command))))


def _note_settings(ctx: click.Context, _: click.Parameter, file: Path | None) -> None:
    if file is not None:
        import os

        from server.configuration import read_settings

        ctx.meta[_SETTINGS] = read_settings(file, os.environ)


def _or_setting(ctx: click.Context, parameter: click.Parameter, folder: Path) -> Path:
    settings = ctx.meta.get(_SETTINGS)
    return folder if settings is None or not _is_left_out(ctx, str(parameter.name)) else Path(settings.folder)


def _is_left_out(ctx: click.Context, name: str) -> bool:
    return ctx.get_parameter_source(name) is click.core.ParameterSource.DEFAULT


def named_settings() -> ServerSettings | None:
    """The server's settings, where the running command was given `--config`."""
    ctx = click.get_current_context(silent=True)
    return None if ctx is None else ctx.meta.get(_SETTINGS)


def is_named(database: str) -> bool:
    """Whether the command was told which database, rather than left to the default."""
    ctx = click.get_current_context(silent=True)
    return bool(database) or ctx is None or _SETTINGS in ctx.meta or not _is_left_out(ctx, "folder")


def rules_of(constitution: str) -> tuple[str, ...]:
    """The packs, files and folders of a constitution by the settings of `--config`; none where these are not given."""
    settings = click.get_current_context().meta.get(_SETTINGS)
    found = () if settings is None else settings.constitutions.get(constitution, ())
    return tuple(map(str, found))


def _note_file(ctx: click.Context, _: click.Parameter, file: Path | None) -> None:
    ctx.meta[_FILE] = file


def _or_file(ctx: click.Context, _: click.Parameter, database: str) -> str:
    file: Path | None = ctx.meta.get(_FILE)
    if database or file is None:
        settings = ctx.meta.get(_SETTINGS)
        return database if database or settings is None else str(settings.database)
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise WardlawError(f"cannot read `{file}`: {error}", "give a file with the database's URL in it") from error


def filter_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that say which decisions are meant."""
    actions = click.Choice([action.value for action in Action])
    options = (
        click.option("--since", metavar="TIME", help="From then on: `2h`, `7d`, or as `2026-05-01T12:00`, local time."),
        click.option("--until", metavar="TIME", help="Before then."),
        click.option("--action", type=actions, help="What was done."),
        click.option("--would", type=actions, help="What would have been done with everything enforced."),
        click.option("--rule", metavar="ID", help="A rule that was found broken."),
        click.option("--key", metavar="ID", help="Id of a client's key."),
        click.option("--api", metavar="NAME", help="`chat_completions`, `messages`, `responses`, `moderations`."),
        click.option("--constitution", metavar="NAME|DIGEST", help="A name, or the beginning of a digest."),
        click.option("--degraded", is_flag=True, help="Only those in which a detector failed."),
        click.option(
            "--flips",
            is_flag=False,
            flag_value="any",
            type=click.Choice(["any", "stricter", "milder", "other"]),
            help="Only those that a candidate judges otherwise; `--flips milder`: that it lets pass more of.",
        ),
    )
    for option in reversed(options):  # decorators stack: the last one applied is shown first
        command = option(command)
    return command


def filters(given: dict[str, Any]) -> Filters:
    """The filters among a command's parameters, which are taken out.

    Raises:
        WardlawError: a time cannot be read.
    """
    from server.audit.query import Filters

    asked = {name: given.pop(name) for name in FILTERS}
    for name in ("since", "until"):
        asked[name] = None if asked[name] is None else moment(asked[name], f"--{name}")
    return Filters(**asked)


def moment(text: str, option: str) -> float:
    """A time, as seconds since the epoch: so long ago, or an ISO time.

    Raises:
        WardlawError: it is neither.
    """
    from datetime import datetime

    if (seconds := _span(text)) is not None:
        return time.time() - seconds
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        hint = "give `30m`, `2h`, `7d` for so long ago, or a time as `2026-05-01T12:00` or `2026-05-01T12:00Z`"
        raise WardlawError(f"`{option}` is no time: {quoted(text)}", hint) from None


def span(text: str, option: str) -> float:
    """So many seconds, from `30d`.

    Raises:
        WardlawError: it is no span of time.
    """
    seconds = _span(text)
    if seconds is None:
        raise WardlawError(f"`{option}` is no span of time: {quoted(text)}", "give `30m`, `2h`, `90d` or `4w`")
    return seconds


def _span(text: str) -> float | None:
    read = _SPAN.fullmatch(text.strip().lower())
    return float(read[1]) * _SECONDS[read[2]] if read else None


@contextlib.contextmanager
def opened(database: str, folder: Path) -> Iterator[Database]:
    """The database, with what dead workers left in their journals drained into it.

    Raises:
        AuditError: there is none, or it cannot be used.
    """
    from server.audit.database import Database, database_url
    from server.audit.drain import adopt
    from server.audit.errors import AuditError
    from server.audit.open import JOURNALS
    from server.audit.writer import Writer

    journals = folder / JOURNALS
    if not journals.is_dir():
        must_exist(database, folder)
    found = Database(database_url(database, folder))
    tell_default(database, folder)
    try:
        try:
            adopt(journals, Writer(found, journals))
        except OSError as error:
            raise AuditError(
                f"cannot read the journals in `{journals}`: {error.strerror or error}",
                "run this as the user that the server runs as",
            ) from error
        yield found
    finally:
        found.close()


def must_exist(database: str, folder: Path) -> None:
    """Refuse a SQLite file that is not there: who only looks must not make one.

    Raises:
        AuditError: it is not there.
    """
    from server.audit.database import Database, database_url
    from server.audit.errors import AuditError

    found = Database(database_url(database, folder))
    file = Path(found.url.database or "")
    found.close()
    if found.is_sqlite and not file.exists():
        hint = "name the server's settings with `--config`, its `--folder`, or its `--database`"
        raise AuditError(f"no database `{file}`", hint)


def tell_default(database: str, folder: Path) -> None:
    """Say which database is used where nobody has named one: it may not be the server's."""
    if not is_named(database):
        click.echo(f"database: {folder / 'audit.sqlite'}, by default", err=True)
