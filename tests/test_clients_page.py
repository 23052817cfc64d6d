"""docs/clients.md: every snippet runs against a real server, and prints what the page says that it prints.

Blocks run in order and share their names, as in a notebook. A block of `text` or `json` right after one of `python` or
`sh` is what that one prints; ids, digests and times may differ. Comments in the page, which readers do not see, set the
scene for the next block: `<!-- upstream: {...} -->` what the model says, `<!-- server: NAME=VALUE -->` another setting.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from server.keys.store import KeyStore
from tests.server.conftest import FakeUpstream
from tests.server.serving import Served

PAGE = Path(__file__).resolve().parents[1] / "docs" / "clients.md"
USUAL = "http://127.0.0.1:8080"
PIECE = re.compile(
    r"^## (?P<title>.*?)$|^<!-- (?P<scene>upstream|server): (?P<given>.*?) -->$|^```(?P<kind>\w+)\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
VARIES = re.compile(r"[0-9a-f]{12,}|\d{4}-\d\d-\d\dT[\d:.]+(?:Z|\+00:00)?")


@dataclass
class Snippet:
    """A block that runs."""

    title: str
    """Of the section that it stands in."""
    kind: str
    code: str
    upstream: dict[str, Any]
    setting: str
    shown: str | None = None
    """What the page says that it prints; None where it says nothing."""
    printed: str = ""
    failed: str = ""


def read(page: str) -> list[Snippet]:
    """The page's snippets, in order."""
    snippets: list[Snippet] = []
    title, upstream, setting, waits = "", dict[str, Any](), "", False
    for piece in PIECE.finditer(page):
        if piece["title"]:
            title, waits = piece["title"], False
        elif piece["scene"] == "upstream":
            upstream = json.loads(piece["given"])
        elif piece["scene"] == "server":
            setting = piece["given"]
        elif piece["kind"] in ("python", "sh"):
            snippets.append(Snippet(title, piece["kind"], piece["code"], upstream, setting))
            upstream, setting, waits = {}, "", True
        elif piece["kind"] in ("text", "json") and waits:
            snippets[-1].shown, waits = piece["code"], False
    return snippets


def rules_of(page: str) -> str:
    """The rules that the examples are made with."""
    return next(piece["code"] for piece in PIECE.finditer(page) if piece["kind"] == "yaml")


class Scene:
    """Servers by their setting, the model server behind them, and the names that snippets share."""

    def __init__(self, folder: Path, rules: str) -> None:
        self.folder = folder
        self.rules = rules
        self.fake = FakeUpstream()
        self.served: dict[str, Served] = {}
        self.names: dict[str, Any] = {}
        data = folder / "data"
        data.mkdir()
        store = KeyStore(f"sqlite:///{data / 'audit.sqlite'}")
        _, self.key = store.add("reader")
        store.close()

    def url(self, setting: str) -> str:
        """Where a server with a setting listens."""
        self.start(setting)
        return self.served[setting].ready().url

    def start(self, setting: str) -> None:
        """Start a server with a setting, unless it has been."""
        if setting not in self.served:
            apis = "upstream.apis=chat_completions,messages,responses"
            given = [
                "--upstream",
                self.fake.url,
                "--auth",
                "keys",
                "--set",
                apis,
                *(["--set", setting] if setting else []),
            ]
            given += ["--database", f"sqlite:///{self.folder / 'data' / 'audit.sqlite'}"]
            place = self.folder / f"s{len(self.served)}"
            self.served[setting] = Served(place, *given, rules=self.rules)

    def run(self, snippet: Snippet) -> None:
        """Run a snippet; what it prints, or how it fails, is noted in it."""
        code = snippet.code.replace(USUAL, self.url(snippet.setting))
        self.fake.forget()
        self.fake.script(**snippet.upstream)
        out = io.StringIO()
        try:
            if snippet.kind == "sh":
                names = {name.upper(): value for name, value in self.names.items() if isinstance(value, str)}
                ran = subprocess.run(
                    ["bash", "-ec", code],
                    cwd=self.folder,
                    env={**os.environ, **names},
                    capture_output=True,
                    text=True,
                    timeout=60,
                )
                out.write(ran.stdout)
                snippet.failed = ran.stderr if ran.returncode else ""
            else:
                with contextlib.redirect_stdout(out):
                    exec(compile(code, PAGE.name, "exec"), self.names)
        except Exception as error:
            snippet.failed = f"{type(error).__name__}: {error}"
        snippet.printed = out.getvalue()

    def close(self) -> None:
        for value in self.names.values():
            if type(value).__name__ in ("OpenAI", "Anthropic"):
                value.close()
        for served in self.served.values():
            served.kill()
        self.fake.stop()


def ran(folder: Path) -> list[Snippet]:
    """The page's snippets, run."""
    page = PAGE.read_text(encoding="utf-8")
    snippets = read(page)
    scene = Scene(folder, rules_of(page))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WARDLAW_KEY", scene.key)
        patch.setenv("NO_PROXY", "127.0.0.1")
        try:
            for snippet in snippets:  # side by side: each takes a second or two
                scene.start(snippet.setting)
            for snippet in snippets:
                scene.run(snippet)
        finally:
            scene.close()
    return snippets


@pytest.fixture(scope="module")
def snippets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Snippet]]:
    yield ran(tmp_path_factory.mktemp("clients"))


def same(text: str) -> str:
    """A text without what differs from run to run, and without spaces at the ends of lines, which an editor takes."""
    return re.sub(r" +$", "", VARIES.sub("*", text), flags=re.MULTILINE).strip()


COUNT = len(read(PAGE.read_text(encoding="utf-8")))


@pytest.mark.parametrize("place", range(COUNT))
def test_a_snippet_prints_what_the_page_shows(snippets: list[Snippet], place: int) -> None:
    snippet = snippets[place]
    assert snippet.failed == "", f"{snippet.title}: {snippet.code}"
    assert same(snippet.printed) == same(snippet.shown or "")


def test_the_page_has_snippets_of_both_clients_and_of_the_shell(snippets: list[Snippet]) -> None:
    assert COUNT > 15
    assert {snippet.kind for snippet in snippets} == {"python", "sh"}
    assert sum(snippet.shown is not None for snippet in snippets) > 12
