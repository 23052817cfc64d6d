"""Finding and loading what `hf:` names: a folder, a GGUF file, or a model of the Hugging Face hub."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import io
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from guard.models._spec import missing_hint, weights_mark
from guard.models.base import ModelConfigError


@dataclass(frozen=True, slots=True)
class Place:
    """Where a model is, and how it is to be held."""

    name: str
    """A folder, or an id of the hub."""
    gguf: str | None
    """The GGUF file in that folder or repository."""
    device: str
    dtype: str

    @property
    def shown(self) -> str:
        """What people call it."""
        return f"{self.name}#{self.gguf}" if self.gguf else self.name


@dataclass(slots=True)
class Loaded:
    """A model in memory, ready to generate."""

    model: Any
    tokenizer: Any
    identity: str
    pad: int
    ends: frozenset[int]
    """Tokens that end an answer."""
    context: int | None
    """Tokens of prompt and answer together; None where the model names no limit."""

    def free(self) -> None:
        """Let go of the weights."""
        on_gpu = self.model.device.type == "cuda"
        self.model = self.tokenizer = None
        gc.collect()  # modules refer to each other in circles
        if on_gpu:
            import torch

            torch.cuda.empty_cache()


def find(what: str, *, device: str, dtype: str) -> Place:
    """The place that a name stands for.

    Raises:
        ModelConfigError: no such path and nothing that could be an id, or no such device.
    """
    name, _, gguf = what.partition("#")
    if not name:
        raise ModelConfigError("`hf:` names no model", "write `hf:PATH` or `hf:org/model`")
    path = Path(name).expanduser()
    if path.is_file() and path.suffix == ".gguf" and not gguf:
        path, gguf = path.parent, path.name
    if path.is_dir():
        wanted = gguf or "config.json"
        if not (path / wanted).is_file():
            raise ModelConfigError(f"`{name}` holds no {wanted}", "name the folder that `save_pretrained` wrote")
        name = str(path.resolve())
    elif path.exists():
        raise ModelConfigError(
            f"`{name}` is not a model", "name a folder that `save_pretrained` wrote, or a .gguf file"
        )
    elif path.suffix == ".gguf" or not re.fullmatch(r"[\w-][\w.-]*(/[\w-][\w.-]*)?", name):
        raise ModelConfigError(f"no model at `{name}`", missing_hint(path, "folder"))
    chosen = _device(device)
    if dtype == "auto" and chosen == "cpu":
        dtype = "float32"  # what every CPU computes in; the checkpoint's bfloat16 is emulated on many
    return Place(name, gguf or None, chosen, dtype)


def load(place: Place) -> Loaded:
    """Load what `find` found.

    Raises:
        ModelConfigError: nothing that transformers can load, or a model without a chat template.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

    source: dict[str, Any] = {"gguf_file": place.gguf} if place.gguf else {}
    if not Path(place.name).is_dir():
        source["local_files_only"] = _is_cached(place)
    dtype = "auto" if place.dtype == "auto" else getattr(torch, place.dtype)
    try:
        with _quiet(place):
            tokenizer = AutoTokenizer.from_pretrained(place.name, **source)
            if not tokenizer.chat_template:
                raise ModelConfigError(
                    f"`{place.shown}` has no chat template",
                    "use its instruction-tuned sibling; a base model cannot chat",
                )
            model = AutoModelForCausalLM.from_pretrained(place.name, dtype=dtype, **source)
    except ModelConfigError:
        raise
    except Exception as error:  # torn files fail in safetensors, tokenizers or gguf: their errors share no root
        raise _cannot_load(place, error) from error
    ends = {tokenizer.eos_token_id}
    given = model.generation_config.eos_token_id
    ends |= set(given) if isinstance(given, list) else {given}
    ends.discard(None)
    # A checkpoint's own defaults (a repetition penalty, top-k) would sample otherwise than the ask and the row say.
    model.generation_config = GenerationConfig()
    model.to(place.device).eval()
    pad = next((token for token in (tokenizer.pad_token_id, *sorted(ends)) if token is not None), 0)
    return Loaded(
        model=model,
        tokenizer=tokenizer,
        identity=f"hf:{_mark(place, model)}/{str(model.dtype).removeprefix('torch.')}",
        pad=pad,
        ends=frozenset(ends),
        context=getattr(model.config.get_text_config(), "max_position_embeddings", None),
    )


def _is_cached(place: Place) -> bool:
    """Whether a model of the hub is here already; then it is used as it is, so that a run goes on with its weights.

    The hub is asked once about one that is not: loading would try for a minute, and tell the terminal each time.

    Raises:
        ModelConfigError: it is not here, and the hub does not know it or cannot be reached.
    """
    import huggingface_hub

    if isinstance(huggingface_hub.try_to_load_from_cache(place.name, place.gguf or "config.json"), str):
        return True
    try:
        with _hushed("huggingface_hub"):
            huggingface_hub.HfApi().model_info(place.name, timeout=10)
    except Exception as error:  # the hub's errors, and those of whatever HTTP library it uses, share no root
        raise ModelConfigError(
            f"cannot get `{place.shown}` from the Hugging Face hub: {str(error).strip().partition(chr(10))[0][:300]}",
            "see that the id is right and the network is there (private ones need HF_TOKEN), or name a local folder",
        ) from error
    return False


def _device(wanted: str) -> str:
    import torch

    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if wanted == "cpu":
        return wanted
    if (seen := re.fullmatch(r"cuda(?::(\d+))?", wanted)) is None:
        raise ModelConfigError(f"option `device` cannot be `{wanted}`", "give auto, cpu, cuda or cuda:N")
    if int(seen[1] or 0) >= torch.cuda.device_count():
        raise ModelConfigError(f"there is no device `{wanted}`", f"torch sees {torch.cuda.device_count()} GPUs")
    return wanted


def _mark(place: Place, model: Any) -> str:
    folder = Path(place.name)
    if not folder.is_dir():
        return f"{place.shown}@{str(getattr(model.config, '_commit_hash', None) or 'unknown')[:12]}"
    if place.gguf:
        return f"{place.gguf}@{weights_mark(folder / place.gguf)}"
    # the template and the tokenizer shape answers too
    kinds = (".safetensors", ".bin", ".json", ".jinja", ".model")
    files = sorted(file for file in folder.iterdir() if file.is_file() and file.suffix in kinds)
    whole = hashlib.sha256("".join(f"{file.name} {weights_mark(file)}\n" for file in files).encode())
    return f"{folder.name}@{whole.hexdigest()[:12]}"


def _cannot_load(place: Place, error: Exception) -> ModelConfigError:
    # the first line names the fault, the rest is advice for another program
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    hint = "see that it is whole, and a causal language model in a format that transformers reads"
    return ModelConfigError(f"transformers cannot load `{place.shown}`: {first[:300]}", hint)


@contextlib.contextmanager
def _hushed(name: str) -> Iterator[None]:
    """No warnings of the logger `name`: each of the hub's retries is one, and the error says what came of them."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextlib.contextmanager
def _quiet(place: Place) -> Iterator[None]:
    """Loading without progress bars and reports on the user's terminal."""
    from transformers.utils import logging as notices

    level, bars = notices.get_verbosity(), notices.is_progress_bar_enabled()
    notices.set_verbosity_error()
    notices.disable_progress_bar()
    # the bar of the GGUF reader knows no switch, and writes to what `sys.stderr` is at that moment
    screen = contextlib.redirect_stderr(io.StringIO()) if place.gguf else contextlib.nullcontext()
    try:
        with screen:
            yield
    finally:
        notices.set_verbosity(level)
        if bars:
            notices.enable_progress_bar()
