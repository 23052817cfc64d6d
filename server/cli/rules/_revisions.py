"""Rule files as they stood at a git revision: `HEAD~1:rules.yaml`, `main:policies`, `v2:./here.yaml`."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from rules.errors import WardlawError
from rules.files import MAX_BYTES
from rules.words import quoted

ENDINGS = (".yaml", ".yml")
_LINK = "120000"
_FILE = ("100644", "100755")
_PATIENCE_S = 120.0


class RevisionError(WardlawError):
    """A revision, or a path at it, that git does not have."""


class MissingPath(RevisionError):
    """A revision that git has, without that path."""


@dataclass(frozen=True, slots=True)
class Revision:
    """A path at a revision, as a person wrote it."""

    name: str
    path: str

    @classmethod
    def read(cls, text: str) -> Revision | None:
        """`REV:PATH` parted; None where the text has not that form, or names something that lies there."""
        name, colon, path = text.partition(":")
        return cls(name, path) if colon and name and not os.path.lexists(text) else None


@contextmanager
def checked_out(revision: Revision) -> Iterator[tuple[Path, Path]]:
    """The rule files of a revision in a temporary folder: those of the named folder, or of the folder of the named
    file, and below; what a rule file may extend lies nowhere else.

    Yields:
        the folder that stands for the top of the repository, and in it the path that was named.

    Raises:
        RevisionError: there is no git, no repository or no such revision; `MissingPath` where it has no such path.
    """
    top = _top()
    commit = _commit(revision)
    path = _from_top(revision, top)
    kind = _kind(commit, path)
    if kind not in ("blob", "tree"):
        raise MissingPath(f"no `{path or '.'}` at revision {quoted(revision.name)}", _hint(revision, commit, top))
    folder = path if kind == "tree" else str(PurePosixPath(path).parent).removeprefix(".").removeprefix("/")
    with tempfile.TemporaryDirectory(prefix="wardlaw-") as made:
        root = Path(made).resolve()
        _write(commit, folder, root)
        named = root / path
        if not named.exists():  # a blob that is no rule file by its ending, or a link that leads out
            _write_one(commit, path, root)
        yield root, named


def _top() -> Path:
    found = _git("rev-parse", "--show-toplevel")
    if found.returncode:
        what = _said(found)
        if "not a git repository" in what:
            hint = "run this in the repository, or name files that lie here in place of `REVISION:PATH`"
            raise RevisionError(f"`{Path.cwd()}` is in no git repository", hint)
        raise RevisionError(f"git says: {what}", "see that `git status` works here")
    return Path(os.fsdecode(found.stdout).rstrip("\n"))


def _commit(revision: Revision) -> str:
    # Past `--end-of-options` a name cannot be taken for an option.
    found = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision.name}^{{commit}}")
    if found.returncode:
        hint = "`git log --oneline` shows what there is; in CI, fetch the whole history (`fetch-depth: 0`)"
        raise RevisionError(f"no revision {quoted(revision.name)} in this repository", hint)
    return found.stdout.decode().strip()


def _from_top(revision: Revision, top: Path) -> str:
    """The path from the top of the repository; as git does, one that begins with a dot counts from here."""
    path = revision.path
    if path.startswith(("./", "../")) or path in (".", ".."):
        path = os.path.relpath(Path.cwd().resolve() / path, top)
    path = os.path.normpath(path).replace(os.sep, "/") if path else ""
    if path == ".." or path.startswith(("../", "/")):
        raise RevisionError(f"{quoted(revision.path)} lies outside the repository `{top}`", "name a path in it")
    return "" if path == "." else path


def _kind(commit: str, path: str) -> str:
    found = _git("cat-file", "-t", f"{commit}:{path}")
    return "" if found.returncode else found.stdout.decode().strip()


def _hint(revision: Revision, commit: str, top: Path) -> str:
    here = os.path.relpath(Path.cwd().resolve() / revision.path, top).replace(os.sep, "/")
    if not here.startswith("..") and _kind(commit, here):
        return f"paths count from the top of the repository: did you mean `{revision.name}:{here}`?"
    return f"`git ls-tree -r --name-only {revision.name}` lists the files that it has"


def _write(commit: str, folder: str, root: Path) -> None:
    """Put the rule files of a folder, and of those in it, under `root`."""
    listed = _git("ls-tree", "-r", "-z", "--full-tree", commit, "--", *([f"{folder}/"] if folder else []))
    if listed.returncode:
        raise RevisionError(f"git says: {_said(listed)}", "see that `git fsck` finds nothing")
    entries = [_entry(line) for line in listed.stdout.split(b"\0") if line]
    _put([(mode, blob, path) for mode, blob, path in entries if path.endswith(ENDINGS) or mode == _LINK], root)
    (root / folder).mkdir(parents=True, exist_ok=True)


def _write_one(commit: str, path: str, root: Path) -> None:
    listed = _git("--literal-pathspecs", "ls-tree", "-z", "--full-tree", commit, "--", path)
    _put([entry for line in listed.stdout.split(b"\0") if line and (entry := _entry(line))[0] in _FILE], root)


def _entry(line: bytes) -> tuple[str, str, str]:
    head, _, path = line.partition(b"\t")
    mode, _, blob = head.decode().split()
    return mode, blob, os.fsdecode(path)


def _put(entries: Sequence[tuple[str, str, str]], root: Path) -> None:
    """Write blobs as the files and links that they are; a link that leads out of the folder is left out."""
    links = []
    wanted = [entry for entry in entries if entry[0] in (*_FILE, _LINK)]
    for (mode, _, path), content in zip(wanted, _blobs([blob for _, blob, _ in wanted]), strict=True):
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if mode == _LINK:
            links.append((file, os.fsdecode(content)))
        else:
            file.write_bytes(content[: MAX_BYTES + 1])  # what is beyond is refused when it is read
    for file, target in links:
        if not Path(target).is_absolute() and "\0" not in target and not os.path.lexists(file):
            file.symlink_to(target)
    for file, _ in links:
        # Followed once all are there: a link may lead out by way of another.
        if file.is_symlink() and not _stays(file, root):
            file.unlink()


def _stays(file: Path, root: Path) -> bool:
    try:
        return file.resolve().is_relative_to(root)
    except (OSError, RuntimeError):  # links in a circle
        return False


def _blobs(names: Sequence[str]) -> Iterator[bytes]:
    """The contents of blobs, in order, by one process."""
    if not names:
        return
    found = _git("cat-file", "--batch", given="".join(f"{name}\n" for name in names).encode())
    at = 0
    for name in names:
        end = found.stdout.find(b"\n", at)
        head = found.stdout[at:end].split()
        if found.returncode or end < 0 or len(head) != 3:
            raise RevisionError(f"git cannot read the object `{name}`", "see that `git fsck` finds nothing")
        size = int(head[2])
        yield found.stdout[end + 1 : end + 1 + size]
        at = end + size + 2


def _git(*arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    env = {**os.environ, "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0"}
    try:
        return subprocess.run(  # noqa: S603  # no shell, and what a user named stands where git takes no option
            ["git", *arguments],  # noqa: S607  # the git that the user's own shell would run
            input=given,
            capture_output=True,
            env=env,
            check=False,
            timeout=_PATIENCE_S,
        )
    except FileNotFoundError as error:
        raise RevisionError("there is no `git` here", "install it, or name files in place of revisions") from error
    except subprocess.TimeoutExpired as error:
        raise RevisionError(f"git took more than {_PATIENCE_S:.0f} s", "see that `git status` works here") from error


def _said(found: subprocess.CompletedProcess[bytes]) -> str:
    return " ".join(found.stderr.decode("utf-8", "replace").split()).removeprefix("fatal: ")[:300]
