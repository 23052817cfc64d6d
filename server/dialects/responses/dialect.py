"""The dialect as a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from guard.guarding.incoming import Answer, Incoming
from guard.guarding.rulings import Place, Ruling
from server.dialects.base import Ending, Fault, Json, Streamed
from server.dialects.chat_completions.faults import fault_body
from server.dialects.responses import request
from server.dialects.responses import response as answer
from server.dialects.responses.stream import ResponsesStream


class Responses:
    """See `server.dialects.base.Dialect`."""

    name = "responses"

    def read(self, body: Json) -> Incoming:
        """See `server.dialects.responses.request`."""
        return request.read(body)

    def prepared(self, body: Json) -> Json:
        """The request as the model behind can take it up: itself, but where it follows a reply of the guard."""
        return request.prepared(body)

    def streams(self, body: Json) -> bool:
        """Whether `stream` is true."""
        return body.get("stream") is True

    def edited(self, body: Json, edits: Mapping[Place, str]) -> Json:
        """A copy of a request with some texts replaced."""
        return request.edited(body, edits)

    def answers(self, response: Json) -> list[Answer]:
        """The one choice of an answer."""
        return answer.answers(response)

    def ruled(self, response: Json, rulings: Sequence[Ruling], ending: Ending) -> Json:
        """A copy of an answer with the ruling carried out."""
        return answer.ruled(response, rulings, ending)

    def redrawn(self, body: Json, count: int) -> list[Json]:
        """None where the answer is added to a conversation that stands upstream: each draw would be."""
        if body.get("conversation"):
            return []
        asked = {name: value for name, value in body.items() if name not in ("stream", "stream_options")}
        return [dict(asked) for _ in range(count)]

    def reply(self, body: Json, text: str, ending: Ending) -> Json:
        """A whole answer that is the guard's own."""
        return answer.reply(body, text, ending)

    def fault(self, fault: Fault) -> Json:
        """The body of an error."""
        return fault_body(fault)

    def stream(self, body: Json, ending: Ending) -> Streamed:
        """The state for one stream."""
        return ResponsesStream(body, ending)
