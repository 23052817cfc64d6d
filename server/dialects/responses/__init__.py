"""OpenAI's Responses API: `POST /v1/responses`, with its items and its events."""

from server.dialects.base import Dialect
from server.dialects.responses.dialect import Responses

DIALECT: Dialect = Responses()
"""The dialect."""

__all__ = ["DIALECT", "Responses"]
