"""OpenAI's Responses API for models that speak chat completions alone."""

from server.translating.responses_to_chat.answer import answer
from server.translating.responses_to_chat.request import request
from server.translating.responses_to_chat.stream import Translation

SOURCE = "responses"
TARGET = "chat_completions"

__all__ = ["SOURCE", "TARGET", "Translation", "answer", "request"]
