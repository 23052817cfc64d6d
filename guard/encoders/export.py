"""From a torch model to an ONNX file with 8-bit weights. Done once for an encoder; needs torch and `onnx`."""

from __future__ import annotations

import io
import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from guard.encoders._texts import TEXTS
from guard.encoders.base import EncoderError
from guard.encoders.cache import Made
from guard.encoders.torch import transformer

if TYPE_CHECKING:
    from guard.encoders.base import Floats
    from guard.encoders.torch import SentenceEncoder

MODEL, TOKENIZER, REFERENCE = "encoder.onnx", "tokenizer.json", "reference.npy"

_POOLINGS = {"mean", "cls"}
_OPSET = 17


def export(encoder: SentenceEncoder) -> Made:
    """The encoder as an ONNX file that maps one text's token ids to its vector, with tokenizer and reference vectors.

    A text goes through alone: the range of the 8-bit activations is taken over all that is computed at once, so in a
    batch a text's vector, and with it a verdict, would hang on what happens to lie beside it.

    Returns:
        Files by name, and a card with the token limit and the vectors' length.

    Raises:
        EncoderError: the model has parts that cannot be exported, or the export fails.
        OSError: there is no room for the files in between.
    """
    import numpy as np

    pooling = _pooling(encoder.model)
    tokenizer = _tokenizer(encoder.model, encoder.limit)
    reference: Floats = encoder.encode(TEXTS)
    try:
        with tempfile.TemporaryDirectory(prefix="wardlaw-") as place:
            exact = Path(place) / "exact.onnx"
            _trace(encoder.model, pooling, exact)
            model = _quantize(exact)
    except OSError:
        raise  # a full disk is no property of the model, and is not to be remembered as one
    except Exception as error:
        raise EncoderError(f"the export to ONNX fails: {_first_line(error)}") from error
    held = io.BytesIO()
    np.save(held, reference)
    card = {"identity": encoder.identity, "limit": encoder.limit, "dim": encoder.dim, "pooling": pooling}
    return Made(card, {MODEL: model, TOKENIZER: tokenizer.encode(), REFERENCE: held.getvalue()})


def _pooling(model: Any) -> str:
    """`mean` or `cls`.

    Raises:
        EncoderError: the model does more than transformer, pooling, normalise.
    """
    kinds = [type(module).__name__ for module in model]
    if kinds[:2] != ["Transformer", "Pooling"] or any(kind != "Normalize" for kind in kinds[2:]):
        raise EncoderError(
            f"its modules are {', '.join(kinds)}, and ONNX takes Transformer, Pooling and Normalize alone"
        )
    # The name of it has changed between the versions of sentence-transformers.
    mode = getattr(model[1], "pooling_mode", None) or model[1].get_pooling_mode_str()
    if mode not in _POOLINGS:
        raise EncoderError(f"its pooling is `{mode}`, and ONNX takes {' or '.join(sorted(_POOLINGS))} alone")
    if model.default_prompt_name:
        raise EncoderError("it puts a prompt before each text, which ONNX does not do")
    if getattr(model[0], "do_lower_case", False):
        raise EncoderError("it turns texts into small letters outside its tokenizer, which ONNX does not do")
    return str(mode)


def _tokenizer(model: Any, limit: int) -> str:
    fast = getattr(model.tokenizer, "backend_tokenizer", None)
    if fast is None:
        raise EncoderError("its tokenizer is written in Python and cannot be kept in a file")
    from tokenizers import Tokenizer

    own = Tokenizer.from_str(fast.to_str())
    own.no_padding()
    own.enable_truncation(limit)
    text: str = own.to_str()
    return text


def _trace(model: Any, pooling: str, place: Path) -> None:
    import torch

    net = transformer(model).to("cpu")
    net.set_attn_implementation("eager")

    class Pooled(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            hidden = self.net(input_ids=ids).last_hidden_state
            vector = hidden[:, 0] if pooling == "cls" else hidden.mean(1)
            return torch.nn.functional.normalize(vector, dim=1)

    # The exporter without dynamo is the one that needs no further package; it says that it is old, and so do
    # the shape checks that it traces through. The vectors are checked afterwards, which says more than the warnings.
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Pooled().eval(),
            (torch.tensor([model.tokenizer("a few words to trace")["input_ids"]]),),
            str(place),
            input_names=["ids"],
            output_names=["vector"],
            dynamic_axes={"ids": {1: "tokens"}},
            opset_version=_OPSET,
            dynamo=False,
        )


def _quantize(exact: Path) -> bytes:
    """Weights as 8-bit integers with a scale a column; activations are turned at run time."""
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    prepared, small = exact.with_name("prepared.onnx"), exact.with_name("small.onnx")
    with warnings.catch_warnings(), _quiet():
        warnings.simplefilter("ignore")
        quant_pre_process(str(exact), str(prepared), skip_symbolic_shape=True)
        quantize_dynamic(
            str(prepared),
            str(small),
            weight_type=QuantType.QInt8,
            per_channel=True,  # one scale for a whole matrix cost .04 of the lowest cosine
            extra_options={"MatMulConstBOnly": True},
        )
    return small.read_bytes()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep out of a server's log what the library says on the root logger, of each tensor that it leaves as it is."""

    def of_others(record: logging.LogRecord) -> bool:
        return "onnxruntime" not in record.pathname

    root = logging.getLogger()
    root.addFilter(of_others)
    try:
        yield
    finally:
        root.removeFilter(of_others)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), "") or type(error).__name__
