"""The former place of `guard.encoders`, until all that is being written against it has moved."""

from guard.encoders.base import Encoder, EncoderError
from guard.encoders.torch import SentenceEncoder

__all__ = ["Encoder", "EncoderError", "SentenceEncoder"]
