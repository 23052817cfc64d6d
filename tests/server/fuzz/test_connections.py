"""HTTP as odd clients speak it, by bytes on a socket: every answer belongs to its request, and none is given twice."""

from __future__ import annotations

import contextlib
import json
import re
import socket
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from tests.server.serving import Served

LIMIT = 20_000


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, fake_upstream_process: Any) -> Iterator[Served]:
    fake_upstream_process.forget()
    limits = ("--set", f"limits.body_bytes={LIMIT}", "--set", "limits.header_bytes=8192", "--set", "limits.header_s=3")
    server = Served(tmp_path_factory.mktemp("wire"), "--upstream", fake_upstream_process.url, *limits).ready()
    yield server
    server.kill()


class Wire:
    """One connection."""

    def __init__(self, served: Served) -> None:
        host, port = served.url.removeprefix("http://").split(":")
        self.socket = socket.create_connection((host, int(port)), timeout=15)
        self.rest = b""

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def more(self) -> bytes:
        try:
            return self.socket.recv(65536)
        except ConnectionResetError:
            return b""

    def answer(self) -> tuple[int, bytes, bytes] | None:
        """Status, head and body of the next answer; None where the connection has ended."""
        while b"\r\n\r\n" not in self.rest:
            data = self.more()
            if not data:
                assert not self.rest
                return None
            self.rest += data
        head, _, self.rest = self.rest.partition(b"\r\n\r\n")
        status = int(head.split(b" ")[1])
        if status == 100:
            return self.answer()
        length = re.search(rb"\r\ncontent-length: (\d+)", head, re.IGNORECASE)
        assert length, head
        size = int(length[1])
        while len(self.rest) < size:
            data = self.more()
            assert data, "the answer is cut"
            self.rest += data
        body, self.rest = self.rest[:size], self.rest[size:]
        return status, head, body

    def said(self) -> str:
        """The text of the next answer, or its status where it is an error."""
        answer = self.answer()
        if answer is None:
            return "closed"
        if answer[0] != 200:
            assert json.loads(answer[2])["error"]["message"]
            return str(answer[0])
        return str(json.loads(answer[2])["choices"][0]["message"]["content"])


def chat(text: str) -> bytes:
    return json.dumps({"model": "fake", "messages": [{"role": "user", "content": f"say: {text}"}]}).encode()


def request(body: bytes, *headers: str, path: str = "/v1/chat/completions", length: int | None = None) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "host: wardlaw", f"content-length: {len(body) if length is None else length}"]
    return "\r\n".join([*lines, *headers, "", ""]).encode("latin-1") + body


def chunked(body: bytes, random: Random, *headers: str) -> bytes:
    head = ["POST /v1/chat/completions HTTP/1.1", "host: wardlaw", "transfer-encoding: chunked", *headers, "", ""]
    pieces = []
    while body:
        size = random.randint(1, 40)
        piece, body = body[:size], body[size:]
        pieces.append(b"%x\r\n%s\r\n" % (len(piece), piece))
    return "\r\n".join(head).encode() + b"".join(pieces) + b"0\r\n\r\n"


BAD: dict[str, tuple[bytes, str]] = {
    "no json": (request(b'{"messages": '), "400"),
    "no object": (request(b"[1]"), "400"),
    "no messages": (request(b"{}"), "400"),
    "no such path": (request(b"{}", path="/v1/nothing"), "404"),
    "no such method": (b"DELETE /v1/chat/completions HTTP/1.1\r\nhost: a\r\n\r\n", "405"),
    "compressed": (request(chat("a"), "content-encoding: gzip"), "400"),
    "too long": (request(b" " * (LIMIT + 1)), "413"),
}


@pytest.mark.parametrize("name", sorted(BAD))
def test_after_an_error_the_connection_goes_on_or_ends_and_never_mixes_answers(served: Served, name: str) -> None:
    bad, status = BAD[name]
    with Wire(served) as wire:
        for turn in range(3):
            wire.send(request(chat(f"before {turn}")))
            assert wire.said() == f"before {turn}"
            wire.send(bad)
            assert wire.said() == status
            wire.send(request(chat(f"after {turn}")))
            told = wire.said()
            assert told in (f"after {turn}", "closed")
            if told == "closed":
                return


@pytest.mark.parametrize("seed", range(6))
def test_requests_that_follow_one_another_unasked_are_answered_in_order(served: Served, seed: int) -> None:
    random = Random(seed)
    sent, wanted = b"", []
    for number in range(12):
        kind = random.choice(("plain", "chunked", *(name for name in BAD if name != "too long")))
        if kind in BAD:
            sent, wanted = sent + BAD[kind][0], [*wanted, BAD[kind][1]]
        else:
            body = chat(f"number {number}")
            sent += request(body) if kind == "plain" else chunked(body, random)
            wanted.append(f"number {number}")
    with Wire(served) as wire:
        while sent:
            size = random.randint(1, 900)
            wire.send(sent[:size])
            sent = sent[size:]
        assert [wire.said() for _ in wanted] == wanted


@pytest.mark.parametrize("seed", range(4))
def test_a_body_that_says_its_length_too_small_begins_no_request_of_another(served: Served, seed: int) -> None:
    hidden = request(chat("smuggled"))
    with Wire(served) as wire:
        body = chat("first") + hidden
        wire.send(request(body, "transfer-encoding: chunked", length=len(chat("first")) + seed))
        told = wire.answer()
        assert told is None or told[0] == 400
        assert wire.answer() is None


def test_a_body_may_come_in_chunks_of_any_size(served: Served) -> None:
    random = Random(0)
    with Wire(served) as wire:
        for turn in range(5):
            wire.send(chunked(chat(f"turn {turn}"), random))
            assert wire.said() == f"turn {turn}"


def test_a_chunked_body_that_is_too_long_is_refused(served: Served) -> None:
    with Wire(served) as wire:
        with contextlib.suppress(ConnectionError):
            wire.send(chunked(b" " * (LIMIT * 3), Random(0)))
        assert wire.said() in ("413", "closed")


def test_a_client_that_waits_to_be_asked_for_its_body_is_asked(served: Served) -> None:
    body = chat("waited")
    with Wire(served) as wire:
        wire.send(request(b"", "expect: 100-continue", length=len(body)))
        while b"100 Continue" not in wire.rest:
            wire.rest += wire.more()
        wire.send(body)
        assert wire.said() == "waited"


def test_a_body_that_is_said_to_be_too_long_is_refused_before_it_comes(served: Served) -> None:
    with Wire(served) as wire:
        wire.send(request(b"", "expect: 100-continue", length=10**12))
        assert wire.said() == "413"


@pytest.mark.parametrize("head", ["x-a: " + "a" * 9000, "\r\n".join(f"x-{n}: b" for n in range(2000))])
def test_a_head_that_is_too_long_is_refused(served: Served, head: str) -> None:
    with Wire(served) as wire:
        wire.send(request(chat("a"), head))
        answer = wire.answer()
        assert answer is None or answer[0] == 431
        assert wire.answer() is None


def test_a_head_that_never_ends_is_given_up(served: Served) -> None:
    with Wire(served) as wire:
        wire.send(b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nx-a: ")
        answer = wire.answer()
        assert answer is None or answer[0] == 408


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=a", "", "\xff/\xfe"]
)
def test_json_is_read_as_json_whatever_it_is_called(served: Served, kind: str) -> None:
    with Wire(served) as wire:
        wire.send(request(chat("typed"), f"content-type: {kind}"))
        assert wire.said() == "typed"
        wire.send(request(chat("summon the kraken"), f"content-type: {kind}"))
        assert wire.said().startswith("This is where I stop")


def test_garbage_is_answered_with_an_error_and_the_end(served: Served) -> None:
    random = Random(1)
    for _ in range(30):
        with Wire(served) as wire:
            wire.send(random.randbytes(random.randint(1, 300)) + b"\r\n\r\n")
            wire.socket.shutdown(socket.SHUT_WR)
            got = b""
            while data := wire.more():
                got += data
            assert not got or b" 400 " in got.split(b"\r\n")[0]
    assert served.ask("still there").status_code == 200
