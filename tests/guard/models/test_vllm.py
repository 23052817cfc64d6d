"""vLLM begun and ended with its model. The command is a stand-in, its process and its HTTP are real."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from guard.exchange import Message
from guard.models import open_model
from guard.models.base import Ask, ModelConfigError, ModelUnavailable, Sampling

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A command `vllm` on the path."""
    script = tmp_path / "bin" / "vllm"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nexec {sys.executable} {HERE / "fake_vllm.py"} "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}{os.pathsep}{os.environ['PATH']}")
    return script


def ask(text: str) -> Ask:
    return Ask((Message("user", text),), Sampling(max_tokens=5))


def servers() -> list[psutil.Process]:
    """Those of this process: other tests may run theirs at the same time."""
    found = []
    for each in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # gone between the two calls
            if "fake_vllm.py" in " ".join(each.cmdline()):
                found.append(each)
    return found


def gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


async def test_it_is_begun_with_its_options_asked_and_ended_with_the_model():
    before = {each.pid for each in servers()}
    model = open_model("vllm:house/model?max_model_len=64&enforce_eager")
    (server,) = [each for each in servers() if each.pid not in before]
    reply = await model.chat(ask("Hello."))
    assert reply.text == "house/model at 64: Hello."
    assert model.identity == "vllm:house/model?enforce_eager&max_model_len=64"
    assert model.local
    await model.close()
    await model.close()
    assert gone(server)


async def test_a_server_that_dies_is_told_with_its_last_words(monkeypatch):
    monkeypatch.setattr("guard.models.vllm._PATIENCE", 2)
    model = open_model("vllm:house/model")
    try:
        with pytest.raises(ModelUnavailable, match="engine core died") as told:
            await model.chat(ask("die"))
        assert told.value.endpoint_down
    finally:
        await model.close()


def test_a_server_that_ends_while_it_loads_says_why():
    with pytest.raises(ModelConfigError, match="the weights of `broken` are not there"):
        open_model("vllm:broken")


def test_a_server_does_not_outlive_a_process_that_is_killed(tmp_path):
    program = (
        "import time; from guard.models import open_model;"
        "m = open_model('vllm:x'); print(1, flush=True); time.sleep(60)"
    )
    before = {each.pid for each in servers()}
    env = {**os.environ, "PYTHONPATH": str(HERE.parents[2])}
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=env) as process:
        assert process.stdout is not None
        process.stdout.readline()
        (server,) = [each for each in servers() if each.pid not in before]
        process.kill()
    deadline = time.monotonic() + 20
    while not gone(server):
        assert time.monotonic() < deadline, "it lives on"
        time.sleep(0.05)


@pytest.mark.parametrize("spec", ["vllm:", "vllm:m?port=80", "vllm:m?--trust=1"])
def test_what_is_no_model_or_no_option_for_its_server_is_refused(spec):
    with pytest.raises(ModelConfigError):
        open_model(spec)


def test_without_the_command_it_says_what_to_install(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ModelConfigError, match="needs the command `vllm`"):
        open_model("vllm:m")
