"""Anthropic's Messages API: `/v1/messages`."""

from server.dialects.base import Dialect
from server.dialects.messages.dialect import Messages

DIALECT: Dialect = Messages()
