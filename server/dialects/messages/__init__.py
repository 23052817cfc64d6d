"""Anthropic's Messages API: `/v1/messages`."""

from server.dialects.messages.dialect import Messages

DIALECT = Messages()
