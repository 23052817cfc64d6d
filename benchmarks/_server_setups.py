"""Who is measured by the server's benchmarks: Wardlaw in several settings, and its peers with the same ten patterns."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from benchmarks._bench import HERE
from benchmarks._server_client import KEY
from benchmarks._server_process import Server, free_port, running
from benchmarks.peers_server.patterns import LITERALS, REGEXES

PEERS = HERE / "peers_server"

QUIET = {
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOG": "ERROR",
    "LITELLM_TELEMETRY": "False",
    "NEMO_GUARDRAILS_NO_USAGE_STATS": "1",
    "OPENAI_API_KEY": "none",
    "OTEL_SDK_DISABLED": "true",
}
"""No peer asks a network for anything, nor tells it anything."""


@dataclass(frozen=True)
class Place:
    """What a command may need to know."""

    folder: Path
    port: int
    upstream: str
    """Up to and with `/v1`."""


@dataclass(frozen=True)
class Setup:
    """One server to measure."""

    name: str
    command: Callable[[Place], Sequence[str]]
    """Writes what it needs into the folder."""
    variables: Mapping[str, str] = field(default_factory=dict)
    note: str = ""


@contextmanager
def started(setups: Sequence[Setup], folder: Path, upstream: str, core: int | None) -> Iterator[list[Server]]:
    """All of them running, each standing still until it is told to go on."""
    with ExitStack() as stack:
        servers = []
        for number, setup in enumerate(setups):
            place = Place(folder / str(number), free_port(), upstream)
            place.folder.mkdir()
            command = setup.command(place)
            variables = {**QUIET, "UPSTREAM": upstream, **setup.variables}
            server = stack.enter_context(running(setup.name, command, place.port, place.folder, core, variables))
            server.pause()
            servers.append(server)
        yield servers


def ours(name: str, rules: str, note: str, **settings: str) -> Setup:
    """Wardlaw.

    Args:
        name: in the tables.
        rules: `ten` for the ten patterns, else a pack.
        note: in the table of servers.
        settings: environment variables without `WARDLAW_`, in lower case, over the server's own defaults.
    """

    def command(place: Place) -> list[str]:
        if rules == "ten":
            write_rules(place.folder / "rules.yaml")
        chosen = "rules.yaml" if rules == "ten" else rules
        made = [sys.executable, "-m", "server.cli.main", "serve", "--port", str(place.port)]
        return [*made, "--upstream", place.upstream, "--constitution", chosen]

    variables = {f"WARDLAW_{key.upper()}": value for key, value in settings.items()}
    return Setup(name, command, {"PYTHONPATH": str(HERE.parent), **variables}, note)


def write_rules(path: Path) -> Path:
    """A rule file of the ten patterns, a rule each, watching both ways."""
    patterns = [{"literal": text} for text in LITERALS] + [{"regex": text} for text in REGEXES]
    rules = [
        {
            "id": f"pattern-{number}",
            "title": f"The pattern with number {number}",
            "rule": "Do not say what this pattern finds.",
            "why": "The benchmark needs a rule that ordinary texts never break.",
            "detect": {"patterns": [pattern], "meaning": None},
            "on": {"prompt": "block", "response": "block"},
        }
        for number, pattern in enumerate(patterns)
    ]
    path.write_text(yaml.safe_dump({"constitution": "ten", "rules": rules}, sort_keys=False), encoding="utf-8")
    return path


def floor(python: str, *, patterns: bool) -> Setup:
    """FastAPI with aiohttp's client."""

    def command(place: Place) -> list[str]:
        made = [python, "-m", "uvicorn", "floor:app", "--app-dir", str(PEERS), "--port", str(place.port)]
        return [*made, "--no-access-log", "--log-level", "warning", "--loop", "uvloop", "--http", "httptools"]

    if patterns:
        return Setup("floor, ten patterns", command, {"PATTERNS": "1"}, "FastAPI + aiohttp, ten stdlib patterns")
    return Setup("floor", command, {}, "FastAPI + aiohttp, checks nothing")


def litellm(python: str, guard: str) -> Setup:
    """LiteLLM's proxy with `no guard`, its `content filter`, or an `own guard` of ten patterns."""

    def command(place: Place) -> list[str]:
        params = {"model": "openai/mock", "api_base": place.upstream, "api_key": "none"}
        config: dict[str, Any] = {
            "model_list": [{"model_name": "mock", "litellm_params": params}],
            "litellm_settings": {"num_retries": 0, "telemetry": False},
        }
        if guard != "no guard":
            made = _litellm_filter() if guard == "content filter" else {"guardrail": "litellm_guard.TenPatterns"}
            config["guardrails"] = [
                {"guardrail_name": mode, "litellm_params": {**made, "mode": mode, "default_on": True}}
                for mode in ("pre_call", "post_call")
            ]
        for name in ("litellm_guard.py", "patterns.py"):
            shutil.copy(PEERS / name, place.folder)
        path = place.folder / "config.yaml"
        path.write_text(yaml.safe_dump(config), encoding="utf-8")
        return [_beside(python, "litellm"), "--config", str(path), "--host", "127.0.0.1", "--port", str(place.port)]

    return Setup(f"LiteLLM, {guard}", command, {"LITELLM_MASTER_KEY": KEY})


def _litellm_filter() -> dict[str, Any]:
    patterns = [
        {"pattern_type": "regex", "name": f"pattern-{number}", "pattern": f"(?i){text}", "action": "BLOCK"}
        for number, text in enumerate(REGEXES)
    ]
    words = [{"keyword": text, "action": "BLOCK"} for text in LITERALS]
    return {"guardrail": "litellm_content_filter", "blocked_words": words, "patterns": patterns}


def nemo(python: str) -> Setup:
    """NeMo Guardrails' server, regex rails in and out, streams in chunks as its documentation sets them."""

    def command(place: Place) -> list[str]:
        looked_for = {"case_insensitive": True, "patterns": [*map(re.escape, LITERALS), *REGEXES]}
        endpoint = {"base_url": place.upstream, "api_key": "none"}
        streaming = {"enabled": True, "chunk_size": 200, "context_size": 50}
        config = {
            "models": [{"type": "main", "engine": "openai", "model": "mock", "parameters": endpoint}],
            "rails": {
                "config": {"regex_detection": {"input": looked_for, "output": looked_for}},
                "input": {"flows": ["regex check input"]},
                "output": {"flows": ["regex check output"], "streaming": streaming},
            },
        }
        folder = place.folder / "configs" / "regex"
        folder.mkdir(parents=True)
        (folder / "config.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
        made = [_beside(python, "nemoguardrails"), "server", "--config", str(folder.parent)]
        return [*made, "--default-config-id", "regex", "--disable-chat-ui", "--port", str(place.port)]

    return Setup("NeMo, regex rails", command)


def _beside(python: str, script: str) -> str:
    """A command of the environment that a Python belongs to."""
    return str(Path(python).absolute().parent / script)
