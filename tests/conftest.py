"""Small real things that several folders share: an encoder with weights drawn by a seed, since the real one takes
minutes to teach with, and a Ray cluster of this machine."""

from __future__ import annotations

import os
import secrets
import shutil
import string
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

WORDS = """
how do i the a in and near to of my me tell what is with for who where make hurt steal burn break poison mend clean
paint wash kettle ladder basket candle mirror pencil saddle blanket window bridge kitchen garden station library
harbour museum bakery stable neighbour teacher house car money please weapon knife sorry sure here help no first then
""".split()
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]

settings.register_profile("search", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same", settings.get_profile("search"), derandomize=True)


def pytest_configure(config: pytest.Config) -> None:
    """Fast tests try their properties on the same examples each time: neither chance nor a busy machine turns a change
    down. Slow ones search for new examples, and so does `pytest --hypothesis-profile=search`."""
    settings.load_profile("same" if "not slow" in config.option.markexpr else "search")


@pytest.fixture(scope="session", autouse=True)
def _width_of_nobodys_terminal() -> Iterator[None]:
    """What is printed is as wide as a command's own choice: a shell, or workers of pytest, may have set a width."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("COLUMNS", raising=False)
        yield


@pytest.fixture
def quiet_torch() -> Iterator[None]:
    """Lets torch's own C extensions announce themselves with types that lack `__module__`."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="builtin type .* has no __module__ attribute")
        yield


@pytest.fixture(scope="module")
def cache_of_the_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is made of encoders goes to a folder of this run, once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def small_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a sentence-transformers model of one layer and some two hundred tokens."""
    folder = tmp_path_factory.mktemp("small-encoder")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torch
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.models import Pooling, Transformer
        from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
        from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

        letters = string.ascii_lowercase + string.digits
        tokens = [*SPECIAL, *letters, *(f"##{letter}" for letter in letters), *string.punctuation, *WORDS]
        vocabulary = {token: place for place, token in enumerate(dict.fromkeys(tokens))}
        plain = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
        plain.normalizer = normalizers.BertNormalizer()
        plain.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        plain.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[(name, vocabulary[name]) for name in ("[CLS]", "[SEP]")]
        )
        names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=plain, **dict(zip(names, SPECIAL, strict=True)))
        torch.manual_seed(7)
        sizes = {"hidden_size": 256, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 128}
        net = BertModel(BertConfig(vocab_size=len(vocabulary), max_position_embeddings=128, **sizes))
        net.save_pretrained(folder / "net")
        tokenizer.save_pretrained(folder / "net")
        part = Transformer(str(folder / "net"), max_seq_length=64)
        SentenceTransformer(modules=[part, Pooling(256)], device="cpu").save(str(folder / "whole"))
    return folder / "whole"


@dataclass(frozen=True)
class RayCluster:
    """A Ray cluster of two CPUs in processes of its own: it outlives a driver that is killed."""

    address: str
    """For `--address`. Its token stands in the environment of this process, and so of those it starts."""
    process: int
    """The process over all of its own."""

    def workers(self, name: str) -> list[int]:
        """Process ids of the actors and tasks at work whose title (`ray::Pool.work`) has `name` in it."""
        import psutil

        found = []
        for each in psutil.Process(self.process).children(recursive=True):
            try:
                title = " ".join(each.cmdline())
            except psutil.Error:  # gone between the two calls
                continue
            if title.startswith("ray::") and name in title:
                found.append(each.pid)
        return found


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[RayCluster]:
    """A real cluster, started once: 4 to 10 seconds."""
    import psutil

    # Not below tmp_path: the path of a socket may have 107 characters.
    folder = Path(tempfile.mkdtemp(prefix="ray-"))
    ours = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
        # A machine that runs tests has little room, and Ray warns of every disk that is nearly full.
        "RAY_local_fs_capacity_threshold": "1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ours.items():
            patch.setenv(name, value)
        options = {
            "--port": 0,
            "--num-cpus": 2,
            "--object-store-memory": 100_000_000,
            "--include-dashboard": "false",
            "--temp-dir": folder,
        }
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--disable-usage-stats"]
        command += [f"{name}={value}" for name, value in options.items()]
        log = folder / "start.log"
        with log.open("wb") as told:
            process = subprocess.Popen(command, stdout=told, stderr=told, env=os.environ.copy())
        try:
            deadline = time.monotonic() + 100
            while b"--block" not in log.read_bytes():  # its last words before it waits
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"Ray did not start: {log.read_text()}")
                time.sleep(0.1)
            yield RayCluster((folder / "ray_current_cluster").read_text().strip(), process.pid)
        finally:
            every = psutil.Process(process.pid).children(recursive=True)
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:  # on a busy machine; its processes would stay without it
                process.kill()
                process.wait()
            for each in every:
                with suppress(psutil.NoSuchProcess):
                    each.kill()
            shutil.rmtree(folder, ignore_errors=True)
