"""Text encoders: any sentence-transformers model, by id or by path, tuned or not, by torch or by ONNX, or static."""

from guard.encoders.adapter import Adapter
from guard.encoders.base import Encoder, EncoderError
from guard.encoders.open import open_encoder
from guard.encoders.static import StaticEncoder

__all__ = ["Adapter", "Encoder", "EncoderError", "StaticEncoder", "open_encoder"]
