"""Opening an encoder with the backend that suits the machine."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Literal

from guard.encoders.adapter import Adapter
from guard.encoders.base import Encoder, EncoderError
from guard.encoders.onnx import OnnxEncoder
from guard.encoders.source import find
from guard.encoders.torch import SentenceEncoder

_log = logging.getLogger(__name__)

_DEVICES = ("/dev/nvidia0", "/dev/nvidiactl", "/dev/dxg", "/dev/kfd")
"""Of drivers of GPUs that torch computes on. Asking torch itself would load it, which is what ONNX saves."""


def open_encoder(
    name: str = "default",
    *,
    adapter: Adapter | None = None,
    backend: Literal["auto", "torch", "onnx"] = "auto",
    threads: int | None = None,
    cache: Path | None = None,
) -> Encoder:
    """Load an encoder. Half a minute the first time that ONNX takes a model, and then well under a second.

    Args:
        name: a folder, a hub id, or `default` for all-MiniLM-L6-v2.
        adapter: differences of the weights.
        backend: `auto` is torch where there is a GPU, else ONNX with 8-bit weights where the model can be exported
            and its vectors hold against torch's, else torch, with the reason in `notes` and in the log.
        threads: cores to use; all that this process may where left out.
        cache: folder for what is made of the model; the user's cache folder where left out.

    Raises:
        EncoderError: the model or the adapter does not load, or `onnx` was asked for and cannot take it.
    """
    if backend == "torch" or (backend == "auto" and _has_gpu()):
        return SentenceEncoder(name, adapter=adapter, threads=threads)
    source = find(name)
    if adapter:
        adapter.check(source.weights)
    try:
        return OnnxEncoder(source, adapter=adapter, threads=threads, cache=cache)
    except (EncoderError, OSError) as error:
        if backend == "onnx":
            if isinstance(error, EncoderError):
                raise
            raise EncoderError(f"encoder `{name}` is not exported: {error}", "make room on the disk") from error
        why = f"torch is used: {error.what if isinstance(error, EncoderError) else error}"
        _log.warning("%s", why)
        return SentenceEncoder(name, adapter=adapter, threads=threads, notes=[why])


def _has_gpu() -> bool:
    if not any(Path(device).exists() for device in _DEVICES) and shutil.which("nvidia-smi") is None:
        return False
    import torch

    return torch.cuda.is_available()
