"""One stream: what its events add, what they repeat, and what of it has left."""

from __future__ import annotations

from collections.abc import Mapping, Set

from guard.guarding.incoming import Unscannable
from guard.guarding.rulings import Ruling
from guard.window.outcomes import Channel
from server.dialects.base import Delta, Ending, Fault, Json
from server.dialects.responses.closing import Sending
from server.dialects.responses.events import (
    ADDED,
    DELTA_MEMBERS,
    DELTAS,
    DONE,
    DONES,
    Look,
    is_plain,
    item_of,
    look_at,
    part_of,
    spot_of,
    told,
)
from server.dialects.responses.faults import failure
from server.dialects.responses.items import Group
from server.dialects.responses.lanes import Key, Lanes, Text
from server.dialects.responses.plans import Entry, Plan
from server.dialects.responses.response import ASIDE
from server.dialects.responses.telling import tell
from server.upstreams.base import Event

_SPOKEN = frozenset({"said", "refusal"})


class ResponsesStream:
    """See `Streamed`. All events leave through `settled`, which numbers them anew and keeps account of them."""

    def __init__(self, body: Json, ending: Ending) -> None:
        """A stream of which nothing has come."""
        self._ending: Ending = ending
        self._texts: dict[Key, Text] = {}
        self._of_item: dict[int, list[Text]] = {}
        self._spoken: list[Text] = []  # in messages, those whose channel has not been closed
        self._fast: dict[tuple[object, object, object], Text] = {}
        self._lanes = Lanes()
        self._places: dict[str, int] = {}
        self._plans: dict[int, Plan] = {}
        self._behind: dict[int, Event] = {}  # deltas before which a line end stands in their channel
        self._looked: tuple[Event, Look] | None = None
        self._nth = 0
        self._begun: set[object] = set()
        self._stopping = False
        self._came: list[tuple[object, ...]] = []  # items and parts that were begun, in order
        self._sending = Sending(body, self._texts, ending)

    @property
    def repeats(self) -> bool:
        """True: the events that end a part, an item or the answer say all of it once more."""
        return True

    def choices(self) -> int:
        """One."""
        return 1

    def texts(self, event: Event) -> list[Delta]:
        """See `Streamed.texts`."""
        data = event.data
        if data is None:
            return []
        kind = data.get("type")
        if not is_plain(data):
            return self._planned(event, data)
        spot = DELTAS[kind]
        try:
            text = self._fast.get((kind, data.get("output_index"), data.get(spot.counts)))
        except TypeError:  # a list or an object where a count should stand
            text = None
        if text is None:
            key = (item_of(data) if "output_index" in data or spot.group != "note" else ASIDE, spot.path(data))
            text = self._fast[kind, data.get("output_index"), data.get(spot.counts)] = self._text(key, spot.group)
        delta = data.get("delta")
        if type(delta) is not str:
            raise ValueError("delta: not a string")
        if not delta:
            return []
        channel, before = self._lanes.enter(text)
        text.add(delta)
        if before:
            self._behind[id(event)] = event
            delta = before + delta
        return [(0, channel, delta)]

    def unscannable(self, event: Event) -> Unscannable | None:
        """See `Streamed.unscannable`."""
        data = event.data
        if data is None:
            return Unscannable("stream", "event") if event.kind == "data" else None
        if is_plain(data):
            return None
        opaque = self._look(event, data).seen.opaque
        return opaque[0] if opaque else None

    def closed(self, event: Event) -> list[tuple[int, Channel]]:
        """The channels in which nothing more comes after this event, once its own texts were fed.

        A window that is told of it lets their ends go; else these would wait, and all behind them, for more to follow.
        """
        data = event.data
        kind = data.get("type") if data else None
        if data is None or kind not in (ADDED, DONE):
            return []
        item = item_of(data)
        if kind == DONE:
            over = [text for text in self._of_item.get(item, ()) if text.group not in _SPOKEN]
        elif isinstance(data.get("item"), dict) and data["item"].get("type") == "message":
            return []  # what one message begins, the next may end
        else:
            over = [text for text in self._spoken if not text.open]
            self._spoken = [text for text in self._spoken if text.open]
        closing = []
        for text in over:
            if text.lane is not None and text.lane.owner is text and not text.lane.closed:
                text.lane.closed = True
                closing.append((0, text.lane.channel))
        return closing

    def cut(self, event: Event, texts: Mapping[tuple[int, Channel], str], *, first: bool, last: bool) -> Event | None:
        """See `Streamed.cut`. An event that carries whole texts leaves whole, with its last piece."""
        plan = self._plans.get(id(event))
        if plan is not None:
            plan.edit(texts, first=first, last=last)
            if not last:
                return None
            made = told(plan.filled(leaving=False))
            self._plans[id(made)] = Plan(made, plan.entries)
            return made
        data = event.data
        if data is None or data.get("type") not in DELTAS:
            return event if first and last else None
        text = "".join(texts.values())
        if first and id(event) in self._behind:
            text = text.removeprefix("\n")
        if not text:
            return None
        if first and last and text == data["delta"]:
            return event
        piece = {name: value for name, value in data.items() if name in DELTA_MEMBERS and name != "obfuscation"} | {
            "delta": text
        }
        if "logprobs" in piece:
            piece["logprobs"] = []
        return told(piece)

    def settled(self, event: Event, sent: Mapping[tuple[int, Channel], str]) -> Event:
        """See `Streamed.settled`. To be called for every event that leaves, in the order in which they do."""
        sending = self._sending
        data = event.data
        if data is None:
            return sending.own(event)
        kind = data.get("type")
        spot = DELTAS.get(kind)
        if spot is not None:
            text = self._fast.get((kind, data.get("output_index"), data.get(spot.counts)))
            if text is not None and id(event) not in self._plans:
                if self._lost(data):
                    return sending.nothing()
                text.send(data["delta"])
                return sending.numbered(event, data)
        if sending.is_own(event):
            return event
        plan = self._plans.pop(id(event), None)
        if plan is None:
            # Its texts were never seen, so none of them may leave.
            self._planned(event, data)
            plan = self._plans.pop(id(event))
            plan.forget()
        if kind != ADDED and self._lost(data):
            return sending.nothing()
        filled = plan.filled(leaving=True)
        return sending.numbered(event if filled is data else told(filled), filled)

    def without(self, event: Event, choices: Set[int]) -> Event | None:
        """See `Streamed.without`."""
        if 0 not in choices:
            return event
        self._stopping = True
        return event if event.kind == "comment" else None

    def stopped(self, choice: int, ruling: Ruling) -> list[Event]:
        """See `Streamed.stopped`. What they say is filled in when they leave, from what has left before them."""
        ending = self._ending if ruling.filtered else None
        return self._sending.close(self._came, ruling.text or "", ending)

    def ended(self) -> list[Event]:
        """See `Streamed.ended`."""
        return [] if self._sending.over else self._sending.finish(self._came)

    def fault(self, fault: Fault) -> list[Event]:
        """See `Streamed.fault`: an `error`, and an answer that has failed."""
        return self._sending.tell(failure(fault, self._sending.answer()))

    def whole(self, response: Json) -> list[Event]:
        """See `Streamed.whole`."""
        return self._sending.tell(tell(response))

    def noted(self, event: Event, wardlaw: Json) -> Event:
        """See `Streamed.noted`: the answer that the last event carries gets the object."""
        data = event.data or {}
        response = data.get("response")
        if isinstance(response, dict):
            return told({**data, "response": {**response, "wardlaw": wardlaw}})
        return told({**data, "wardlaw": wardlaw})

    def _lost(self, data: Json) -> bool:
        """Whether an event goes on with an item or a part whose beginning was dropped, since a stop lay before it."""
        place = data.get("output_index")
        if type(place) is not int or place not in self._begun:
            return False
        if not self._sending.has(place):
            return True
        if not self._stopping:
            return False
        spot = spot_of(data.get("type"))
        if spot is None or not spot.last:
            return False
        names, number = spot.path(data)[:2]
        return ("part", place, names, number) in self._came and not self._sending.has(place, (str(names), int(number)))

    def _text(self, key: Key, group: Group) -> Text:
        text = self._texts.get(key)
        if text is None:
            text = self._texts[key] = Text(key, group)
            self._of_item.setdefault(key[0], []).append(text)
            if group in _SPOKEN:
                self._spoken.append(text)
        return text

    def _look(self, event: Event, data: Json) -> Look:
        if self._looked is not None and self._looked[0] is event:
            return self._looked[1]
        self._nth += 1
        look = look_at(data, self._places, self._nth)
        self._looked = (event, look)
        return look

    def _planned(self, event: Event, data: Json) -> list[Delta]:
        """Take in an event that may carry several texts, or repeat some."""
        self._note(data)
        look = self._look(event, data)
        plan = self._plans[id(event)] = Plan(event, [])
        deltas: list[Delta] = []
        for key, group, leaf in look.seen.texts:
            text = self._text(key, group)
            text.open = text.open and look.open
            entry = Entry(text, leaf, "repeats")
            came = text.came
            if look.grows:
                entry.how, entry.fresh = "grows", leaf.text
                text.add(leaf.text)
            elif leaf.text == came or (came.startswith(leaf.text) and look.open):
                pass
            elif leaf.text.startswith(came) and text.goes_on:
                entry.how, entry.fresh = "extends", leaf.text[len(came) :]
                text.add(entry.fresh)
            else:
                entry.how, entry.fresh = "anew", leaf.text
                text.restart(leaf.text)
            plan.entries.append(entry)
            if entry.fresh:
                entry.channel, entry.before = self._lanes.enter(text, anew=entry.how == "anew")
                deltas.append((0, entry.channel, entry.before + entry.fresh))
        return deltas

    def _note(self, data: Json) -> None:
        """Keep account of what is begun, and of what ends."""
        kind = data.get("type")
        if kind == ADDED and isinstance(item := data.get("item"), dict):
            self._came.append(("item", item_of(data)))
            self._begun.add(item_of(data))
            self._places[str(item.get("id", ""))] = item_of(data)
        elif kind == DONE:
            place = item_of(data)
            for text in self._of_item.get(place, ()):
                text.open = False
        elif kind in DONES:
            spot = DONES[kind][0]
            text_ended = self._texts.get((item_of(data), spot.path(data)))
            if text_ended is not None and kind != "response.shell_call_command.added":
                text_ended.open = False
        elif (where := part_of(data)) is not None:
            self._came.append(("part", item_of(data), *where))
