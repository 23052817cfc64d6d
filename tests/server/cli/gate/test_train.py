from __future__ import annotations

import pytest

from server.cli.main import main


@pytest.mark.parametrize(
    ("rows", "arguments", "what"),
    [
        (({"prompt": "x", "label": "rude"},), (), "my.jsonl:1: the label `rude`"),
        (({"prompt": "x", "label": "safe"},), ("-o", "."), "`.` is there already"),
        (({"prompt": "x", "label": "safe"},), ("--budget", "2"), "`2` is no share between 0% and 100%"),
        (({"prompt": "x", "label": "safe"},), ("--recipe", "nowhere.yaml"), "recipe `nowhere.yaml` cannot be read"),
        (({"prompt": "x", "label": "safe"},), ("--check", "nowhere"), "no file `nowhere`"),
    ],
)
def test_what_cannot_be_taught_is_told_before_a_model_is_loaded(folder, write, capsys, rows, arguments, what):
    write("my.jsonl", *rows)
    code = main(["gate", "train", "my.jsonl", "-r", "rules.yaml", "--no-bank", "-o", "new", *arguments])
    captured = capsys.readouterr()
    assert (code, captured.out) == (2, "")
    assert what in captured.err
    assert "hint: " in captured.err
    assert not (folder / "new").exists()
