"""Chat completions in front, an upstream that speaks Anthropic's Messages behind.

Left out, as the upstream has no place for it and the answer is no other without it: names of speakers, reasoning of
earlier turns (the upstream takes it only with a signature, which chat completions cannot carry), `seed`, `store`,
`metadata`, `service_tier`, `prediction`, `verbosity`, cache settings, the detail of images, and fields that are not
known. In the middle of a tool loop no reasoning is asked for, since the upstream would then want that of the turn
before. A temperature above 1 is 1. An empty turn of the assistant goes. Without a bound on tokens it is 4096, as the
upstream has to have one. The answer's reasoning is handed on as `reasoning_content`; citations are left out.

Everything else that cannot be said raises ValueError.
"""

from server.translating.chat_to_messages.answer import answer
from server.translating.chat_to_messages.request import request
from server.translating.chat_to_messages.stream import Translation

__all__ = ["SOURCE", "TARGET", "Translation", "answer", "request"]

SOURCE = "chat_completions"
TARGET = "messages"
