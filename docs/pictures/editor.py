"""Draw editor.svg: what the real yaml-language-server answers to a rule file with two slips and a half-typed key.

    npm install --prefix /tmp/yls yaml-language-server
    python docs/pictures/editor.py /tmp/yls/node_modules/.bin/yaml-language-server

The file is opened as an editor opens it. Its faults, and what is offered for the half-typed key, are its words.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SCHEMA = HERE.parents[1] / "rules" / "rule_file.schema.json"
FILE = """\
# yaml-language-server: $schema=./rule_file.schema.json
constitution: bakery
rules:
  - id: health-promise
    title: Promising that food is safe for someone
    rule: Do not promise that anything we bake is safe for a person with an allergy or an illness.
    why: All we bake comes from one kitchen, and a wrong promise can send someone to hospital.
    severty: high
    on: {prompt: stop}
    examples:
      breaks:
        - My son is allergic to nuts. Can he eat your almond-free cake?
    de"""
TYPED = "de"
LEFT, TOP, LINE, CHARACTER, WIDTH, MOST = 64, 58, 24, 8.43, 1000, 100
KEY, TEXT, COMMENT, FAULT, DIM = "#7aa2f7", "#c0caf5", "#6b7394", "#f7768e", "#565f89"


class Server:
    """A language server on its standard input and output."""

    def __init__(self, command: str, root: Path) -> None:
        self.process = subprocess.Popen([command, "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.ids = itertools.count(1)
        self.faults: list[dict[str, Any]] | None = None
        self.ask(
            "initialize", processId=None, rootUri=root.as_uri(), capabilities={"workspace": {"configuration": True}}
        )
        self.tell("initialized")

    def tell(self, method: str, **params: Any) -> None:
        self._send({"method": method, "params": params})

    def ask(self, method: str, **params: Any) -> Any:
        number = next(self.ids)
        self._send({"id": number, "method": method, "params": params})
        for message in self._messages():
            if message.get("id") == number and "method" not in message:
                return message.get("result")
        raise RuntimeError(f"the server ended before it answered `{method}`")

    def diagnostics(self) -> list[dict[str, Any]]:
        """What it says of the file that was opened, as soon as it says something."""
        for _ in self._messages():
            if self.faults:
                break
        return self.faults or []

    def _send(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self.process.stdin is not None
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self.process.stdin.flush()

    def _messages(self) -> Iterator[dict[str, Any]]:
        """Messages as they come; what the server asks of an editor is answered."""
        out = self.process.stdout
        assert out is not None
        if self.faults:
            yield {}
        while header := out.readline():
            length = int(header.partition(b":")[2])
            while out.readline().strip():
                pass
            message = json.loads(out.read(length))
            if message.get("method") == "textDocument/publishDiagnostics":
                self.faults = message["params"]["diagnostics"]
            elif "method" in message and "id" in message:
                items = message.get("params", {}).get("items", [])
                settings = {"validate": True, "completion": True, "hover": True, "schemaStore": {"enable": False}}
                answer = [settings if item.get("section") == "yaml" else None for item in items]
                self._send({"id": message["id"], "result": answer})
            yield message


def answers(command: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Diagnostics of the file, and completions at its end."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / SCHEMA.name).write_bytes(SCHEMA.read_bytes())
        path = root / "rules.yaml"
        path.write_text(FILE, encoding="utf-8")
        server = Server(command, root)
        document = {"uri": path.as_uri(), "languageId": "yaml", "version": 1, "text": FILE}
        server.tell("textDocument/didOpen", textDocument=document)
        faults = server.diagnostics()
        lines = FILE.split("\n")
        place = {"line": len(lines) - 1, "character": len(lines[-1])}
        found = server.ask("textDocument/completion", textDocument={"uri": path.as_uri()}, position=place)
        server.process.kill()
        return faults, found["items"] if isinstance(found, dict) else found or []


def offered(items: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Keys that begin as typed, as an editor filters them, each with the first line of what the schema says of it."""
    shown = []
    for item in items:
        said = item.get("documentation") or ""
        said = said.get("value", "") if isinstance(said, dict) else said
        if item["label"].startswith(TYPED):
            shown.append((item["label"], said.strip().split("\n")[0]))
    return sorted(dict(shown).items())


def drawn(faults: list[dict[str, Any]], keys: list[tuple[str, str]]) -> Iterator[str]:
    """The picture, element by element."""
    lines = FILE.split("\n")
    bottom = TOP + LINE * len(lines)
    list_top = bottom - LINE + 10
    problems = list_top + LINE * len(keys) + 44
    height = problems + LINE * len(faults) + 20
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-size="14"'
        ' font-family="ui-monospace, Menlo, Consolas, monospace">'
    )
    yield "<title>A rule file in an editor: two faults underlined, and a list of keys for the one half typed</title>"
    yield f'<rect width="{WIDTH}" height="{height}" rx="10" fill="#1a1b26"/>'
    yield f'<text x="{WIDTH / 2}" y="26" text-anchor="middle" fill="{DIM}">rules.yaml</text>'
    for index, line in enumerate(lines):
        y = TOP + LINE * index
        yield f'<text x="{LEFT - 18}" y="{y}" text-anchor="end" fill="{DIM}">{index + 1}</text>'
        # the length is said, so that the squiggles fit whichever font the reader has
        size = f'textLength="{CHARACTER * min(len(line), MOST):.0f}" xml:space="preserve"'
        yield f'<text x="{LEFT}" y="{y}" {size}>{_coloured(line)}</text>'
    for fault in faults:
        yield _squiggle(fault["range"], lines)
    x = LEFT + CHARACTER * (len(lines[-1]) - len(TYPED))
    yield f'<rect x="{x + CHARACTER * len(TYPED)}" y="{bottom - LINE - 13}" width="1.5" height="17" fill="{TEXT}"/>'
    yield f'<rect x="{x - 8}" y="{list_top - 2}" width="780" height="{LINE * len(keys) + 8}" rx="4" fill="#24283b"/>'
    for index, (key, said) in enumerate(keys):
        y = list_top + LINE * index + 18
        yield f'<text x="{x}" y="{y}" fill="{TEXT}">{escape(key)}</text>'
        said = said if len(said) <= 68 else f"{said[:67]}…"
        yield f'<text x="{x + 150}" y="{y}" fill="{COMMENT}">{escape(said)}</text>'
    yield f'<text x="24" y="{problems - 10}" fill="{DIM}">PROBLEMS {len(faults)}</text>'
    for index, fault in enumerate(faults):
        start = fault["range"]["start"]
        said = f"{' '.join(fault['message'].split())}  [{start['line'] + 1}:{start['character'] + 1}]"
        yield f'<text x="24" y="{problems + LINE * index + 14}" fill="{FAULT}">{escape(said[:112])}</text>'
    yield "</svg>"


def _coloured(line: str) -> str:
    if line.startswith("#"):
        return f'<tspan fill="{COMMENT}">{escape(line)}</tspan>'
    key, colon, value = line.partition(":")
    if not colon or "?" in key:
        return f'<tspan fill="{TEXT}">{escape(line)}</tspan>'
    room = MOST - len(key) - len(colon)
    value = value if len(value) <= room else value[: room - 1] + "…"
    return f'<tspan fill="{KEY}">{escape(key)}</tspan><tspan fill="{TEXT}">{escape(colon + value)}</tspan>'


def _squiggle(where: dict[str, Any], lines: list[str]) -> str:
    row, first = where["start"]["line"], where["start"]["character"]
    last = where["end"]["character"] if where["end"]["line"] == row else len(lines[row])
    x, y = LEFT + CHARACTER * first, TOP + LINE * row + 5
    waves = " ".join(f"q 2 {4 if n % 2 else -4} 4 0" for n in range(max(2, int(CHARACTER * (last - first) / 4))))
    return f'<path d="M {x:.1f} {y} {waves}" fill="none" stroke="{FAULT}" stroke-width="1.4"/>'


def main() -> None:
    """Ask the server, and write the picture beside this file."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    faults, items = answers(sys.argv[1])
    keys = offered(items)
    if not faults or not keys:
        sys.exit(f"the server named {len(faults)} faults and offered {len(keys)} keys: the picture stays as it is")
    (HERE / "editor.svg").write_text("\n".join(drawn(faults, keys)) + "\n", encoding="utf-8")
    print(f"{len(faults)} faults, {len(keys)} keys offered")


if __name__ == "__main__":
    main()
