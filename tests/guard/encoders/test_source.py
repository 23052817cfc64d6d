"""Where models are found, on disk and in a hub's local cache."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from guard.encoders import EncoderError, open_encoder
from guard.encoders.source import find

Tiny = Callable[..., Path]
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_a_folder_that_is_not_there_is_said(tmp_path: Path):
    with pytest.raises(EncoderError, match="is not there"):
        open_encoder(str(tmp_path / "none"))
    (tmp_path / "file").write_text("no model")
    with pytest.raises(EncoderError, match="is not a folder"):
        open_encoder(str(tmp_path / "file"))


@pytest.mark.parametrize("backend", ["auto", "torch", "onnx"])
def test_a_folder_without_a_model_is_an_error_of_ours(tmp_path: Path, backend: str):
    (tmp_path / "empty").mkdir()
    with pytest.raises(EncoderError, match="does not load"):
        open_encoder(str(tmp_path / "empty"), backend=backend, cache=tmp_path / "cache")  # type: ignore[arg-type]


def test_the_identity_changes_with_a_file_of_the_model(tiny: Tiny, tmp_path: Path):
    import shutil

    shutil.copytree(tiny(), tmp_path / "copy")
    assert find(str(tmp_path / "copy")).identity == find(str(tiny())).identity
    (tmp_path / "copy" / "modules.json").write_text("[]")
    assert find(str(tmp_path / "copy")).identity != find(str(tiny())).identity


def test_a_hubs_model_that_is_here_is_found_without_the_hub(tiny: Tiny, tmp_path: Path):
    place = tmp_path / "hub" / "models--some--tiny"
    (place / "snapshots").mkdir(parents=True)
    (place / "snapshots" / COMMIT).symlink_to(tiny(), target_is_directory=True)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text(COMMIT)
    code = (
        "from guard.encoders.source import find\n"
        "from guard.encoders import EncoderError\n"
        "print(find('some/tiny').identity)\n"
        f"print(find('some/tiny@{COMMIT}').identity)\n"
        "try:\n    find('some/other')\nexcept EncoderError as error:\n    print('refused', error.what)\n"
    )
    # The hub's library reads its settings when it is imported.
    env = {**os.environ, "HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env, timeout=60)
    lines = ran.stdout.splitlines()
    assert lines[:2] == [f"some/tiny@{COMMIT}"] * 2
    assert lines[2].startswith("refused encoder `some/other` does not load")
