"""The dialect itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from guard.guarding.incoming import Answer, Incoming
from guard.guarding.rulings import Place, Ruling
from server.dialects.base import Dialect, Ending, Fault, Json
from server.dialects.chat_completions import answer, request
from server.dialects.chat_completions.faults import fault_body
from server.dialects.chat_completions.stream import ChatStream


class ChatCompletions:
    """See `server.dialects.base.Dialect` for what each method does."""

    name = "chat_completions"

    def read(self, body: Json) -> Incoming:
        """The package's head says which message stands where."""
        return request.read(body)

    def prepared(self, body: Json) -> Json:
        """The request itself."""
        return body

    def streams(self, body: Json) -> bool:
        return request.streams(body)

    def edited(self, body: Json, edits: Mapping[Place, str]) -> Json:
        """A message's text that is made of several pieces gets the edited one line by line, as far as that goes."""
        return request.edited(body, edits)

    def answers(self, response: Json) -> list[Answer]:
        return answer.answers(response)

    def ruled(self, response: Json, rulings: Sequence[Ruling], ending: Ending) -> Json:
        return answer.ruled(response, rulings, ending)

    def redrawn(self, body: Json, count: int) -> list[Json]:
        return answer.redrawn(body, count)

    def reply(self, body: Json, text: str, ending: Ending) -> Json:
        return answer.reply(body, text, ending)

    def fault(self, fault: Fault) -> Json:
        return fault_body(fault)

    def stream(self, body: Json, ending: Ending) -> ChatStream:
        return ChatStream(body, ending)


DIALECT: Dialect = ChatCompletions()
