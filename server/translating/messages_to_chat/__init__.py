"""Anthropic's Messages in front, an upstream that speaks chat completions behind.

Left out, as the upstream has no place for it and the answer is no other without it: reasoning of earlier turns and its
signatures, citations, cache marks, `metadata` but for the user's id, `service_tier`, `speed`,
`context_management`, examples of tools' inputs, and fields that are not known. A tool result that is an error begins
with `Error: `. Images in a tool result follow it in the user's turn. The answer's reasoning is handed on where the
request asks for thinking, without a signature, and annotations are left out.

Everything else that cannot be said raises ValueError.
"""

from server.translating.messages_to_chat.answer import answer
from server.translating.messages_to_chat.request import request
from server.translating.messages_to_chat.stream import Translation

__all__ = ["SOURCE", "TARGET", "Translation", "answer", "request"]

SOURCE = "messages"
TARGET = "chat_completions"
