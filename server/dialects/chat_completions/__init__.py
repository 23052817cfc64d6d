"""OpenAI's chat completions: `/v1/chat/completions`.

How a request is seen: its messages in their order, and before them, only where there is such text,

1. a system message with the texts of `tools`, `functions`, `response_format` and the like: what defines things for the
   model (names and descriptions, the strings and property names of schemas), one a line end;
2. a user message with the texts of all other members, unknown ones above all, for who knows which of them the upstream
   shows to the model. `model`, `stop`, `user`, `metadata` and the like never reach it and are left out.

So message i of the request is message i, i + 1 or i + 2 of `Incoming`, and `edited` counts in the same way.

How an answer is seen: each choice has a channel for its text, refusal, reasoning and the arguments of each tool call;
the name of tool call i stands in channel `tool` -1 - i; any other text that nobody knows to be harmless has one too.
"""

from server.dialects.chat_completions.dialect import DIALECT

__all__ = ["DIALECT"]
