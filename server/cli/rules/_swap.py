"""One rule file in the place of another: in one step, with the old one kept, and put back where the new one fails."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rules.errors import WardlawError
from rules.words import quoted
from server.disk import sync_folder


@dataclass(frozen=True, slots=True)
class Pair:
    """The two files."""

    candidate: Path
    rules: Path
    """The file itself, links followed: a link goes on pointing where it did."""
    new: bytes
    """What the candidate says."""
    old: bytes
    """What the rules said when they were read."""


def read_pair(candidate: str, rules: str) -> Pair:
    """Both files' content.

    Raises:
        WardlawError: one is no file, or they are the same one.
    """
    paths = [_file(candidate, "CANDIDATE"), _file(rules, "--over")]
    if paths[0].resolve() == paths[1].resolve():
        raise WardlawError(f"`{candidate}` and `{rules}` are the same file", "name the candidate, then the rules")
    try:
        new, old = (path.read_bytes() for path in paths)
    except OSError as error:
        raise WardlawError(f"`{error.filename}` cannot be read: {error.strerror}", "see whose it is") from None
    return Pair(paths[0], paths[1].resolve(), new, old)


@contextlib.contextmanager
def staged(pair: Pair) -> Iterator[Path]:
    """The candidate's content in the folder of the rules, under a name that no server reads; gone when the block ends.

    Raises:
        WardlawError: the folder cannot be written.
    """
    import tempfile

    # not `.yaml`: a folder of rules is read, and watched, by that ending
    prefix = f".{pair.rules.name}."
    try:
        fd, name = tempfile.mkstemp(".promoting", prefix, pair.rules.parent)
        os.close(fd)
    except OSError as error:
        what = f"nothing can be written beside `{pair.rules}`: {error.strerror or error}"
        raise WardlawError(what, _HINT) from None
    path = Path(name)
    try:
        try:
            _write(path, pair.new, pair.rules.stat())
        except OSError as error:
            raise WardlawError(f"`{path}` cannot be written: {error.strerror or error}", _HINT) from None
        yield path
    finally:
        with contextlib.suppress(OSError):
            path.unlink()


def swap(pair: Pair, new: Path, digest: str, is_right: Callable[[], bool]) -> Path:
    """Put a staged file in the place of the rules.

    Args:
        pair: the two files.
        new: what `staged` gave.
        digest: of the rules that go, for the name under which they are kept.
        is_right: whether what stands there now is what was meant; asked after the swap.

    Returns:
        where the old rules are kept.

    Raises:
        WardlawError: the rules were changed meanwhile, the folder cannot be written, or what stands there is not what
            was meant. The old rules stand there then.
    """
    try:
        if pair.rules.read_bytes() != pair.old:
            hint = "look at them again, and promote anew"
            raise WardlawError(f"`{pair.rules}` was changed while this command ran", hint)
        kept = _keep(pair, digest)
        new.replace(pair.rules)
        sync_folder(pair.rules.parent)
    except OSError as error:
        raise WardlawError(f"`{pair.rules}` cannot be replaced: {error.strerror or error}", _HINT) from None
    try:
        right = is_right()
    except WardlawError as error:
        put_back(pair, kept)
        raise WardlawError(
            f"the candidate does not load as `{pair.rules}`, and the old rules are back: {error}"
        ) from None
    except BaseException:
        put_back(pair, kept)
        raise
    if not right:
        put_back(pair, kept)
        what = f"`{pair.rules}` does not come to the digest of the candidate, and the old rules are back"
        raise WardlawError(what, "a file that it extends was changed meanwhile: promote anew")
    return kept


def put_back(pair: Pair, kept: Path) -> None:
    """Put the old rules in their place again; they stay under the other name, too."""
    path = pair.rules.with_name(f".{pair.rules.name}.returning")
    try:
        _write(path, pair.old, kept.stat())
        path.replace(pair.rules)
        sync_folder(pair.rules.parent)
    except OSError as error:
        what = f"the old rules cannot be put back: {error.strerror or error}"
        raise WardlawError(what, f"copy `{kept}` over `{pair.rules}`") from None


_HINT = "see that you may write in its folder, and that the disk has room"


def _file(name: str, what: str) -> Path:
    path = Path(name)
    if os.path.isfile(name):  # noqa: PTH113  # Path would raise on a name that is too long
        return path
    if name and os.path.isdir(name):  # noqa: PTH112
        raise WardlawError(
            f"{what}: `{name}` is a folder", "name one rule file: a folder cannot be swapped in one step"
        )
    raise WardlawError(
        f"{what}: no rule file {quoted(name)}", "name a YAML file; packs of the project cannot be replaced"
    )


def _keep(pair: Pair, digest: str) -> Path:
    """The old rules under a name of their own beside them: not `.yaml`, so that no folder of rules takes them in."""
    number, part = 1, pair.rules.with_name(f".{pair.rules.name}.keeping")
    while True:
        path = pair.rules.with_name(f"{pair.rules.name}.{digest}{'' if number == 1 else f'.{number}'}")
        try:
            if path.read_bytes() == pair.old:
                return path
        except FileNotFoundError:
            # never half of itself under a name that says these are the old rules, also where the disk is full
            try:
                _write(part, pair.old, pair.rules.stat())
                part.replace(path)
            finally:
                part.unlink(missing_ok=True)
            return path
        number += 1  # the same digest in other words


def _write(path: Path, content: bytes, like: os.stat_result) -> None:
    """A file that is on the disk when this returns, with the owner and the mode of another: what takes another's place
    must never be half of itself, nor one that its server may not read."""
    fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "wb") as file:
        with contextlib.suppress(PermissionError):  # only the superuser gives files away, and nobody else has to
            os.fchown(file.fileno(), like.st_uid, like.st_gid)
        os.fchmod(file.fileno(), like.st_mode & 0o777)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
