"""TRL's trainers each take a step on what was written, loaded by the card as a user would load it."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from constitution.preference.card import write_card
from constitution.preference.contest import Outcome
from constitution.preference.figures import gather
from constitution.preference.formats import formats, open_format, write_formats
from constitution.preference.formats.base import Format

from .conftest import Taster, contest

pytestmark = [
    pytest.mark.filterwarnings("ignore:`(is_)?gradient_checkpointing(_disable|_enable)?` is deprecated:FutureWarning"),
]


@pytest.fixture
async def outcomes(matches) -> list[Outcome]:
    held = matches(Taster(lean=0.3))
    return [await held.hold(contest(f"good ** {number}", "bad", f"middling * {number}")) for number in range(3)]


@pytest.fixture
def folder(outcomes, tmp_path):
    determined = {
        "constitution_name": "test", "constitution": "c0ffee", "templates": "7e5t", "principles": 1, "seed": 0,
        "join": "mean", "votes": 8, "form": "pairwise", "scale": 1.0, "cot": False, "samples": None, "min_margin": 0.0,
    }  # fmt: skip
    files = write_formats(lambda: outcomes, tmp_path / "set", parquet=False)
    write_card(tmp_path / "set", gather(outcomes), files, determined, licence="mit")
    return tmp_path / "set"


@pytest.fixture
def load(folder, tmp_path, monkeypatch) -> Any:
    from datasets import load_dataset

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return lambda name: load_dataset(str(folder), name, split="train", cache_dir=str(tmp_path / "cache"))


@pytest.mark.parametrize("name", formats())
def test_every_format_offers_what_a_format_does_and_loads_by_the_card(name, load, outcomes):
    format_ = open_format(name)
    assert isinstance(format_, Format)
    lines = [line for outcome in outcomes for line in format_.project(outcome, None)]
    rows = load(name)
    assert rows.to_list() == lines
    assert list(lines[0]) == format_.schema(None).names


def smallest(kind: Any, smollm2: Any, **more: Any) -> Any:
    import torch
    from transformers import LlamaConfig

    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    tokens = {"pad_token_id": smollm2.pad_token_id, "eos_token_id": smollm2.eos_token_id}
    config = LlamaConfig(vocab_size=len(smollm2), num_key_value_heads=2, **sizes, **tokens, **more)
    return kind(config)


@pytest.fixture
def settings(tmp_path) -> dict[str, Any]:
    fixed = {"max_steps": 1, "per_device_train_batch_size": 2, "use_cpu": True, "report_to": [], "logging_steps": 1}
    return {**fixed, "output_dir": str(tmp_path / "out"), "save_strategy": "no", "disable_tqdm": True, "bf16": False}


@pytest.mark.slow
def test_trl_reads_the_margin_of_a_reward_pair(load, smollm2, settings):
    from transformers import LlamaForSequenceClassification
    from trl import RewardConfig, RewardTrainer

    rows = load("reward")
    model = smallest(LlamaForSequenceClassification, smollm2, num_labels=1)
    trainer = RewardTrainer(model, args=RewardConfig(**settings), train_dataset=rows, processing_class=smollm2)
    batch = next(iter(trainer.get_train_dataloader()))
    written = {round(margin, 5) for margin in rows["margin"]}
    assert {round(margin, 5) for margin in batch["margin"].tolist()} <= written
    assert math.isfinite(float(trainer.train().training_loss))


def turning() -> Any:
    """The function that the card gives a reader for soft labels."""
    code = open_format("preference").HOW.split("```python")[2].split("```")[0]
    found: dict[str, Any] = {}
    exec(code.split("rows = rows.map")[0], found)
    return found["turned"]


def test_the_card_s_way_to_soft_labels_turns_pairs_as_often_as_the_label_leaves_to_the_other(load):
    random.seed(0)
    turned = turning()
    for row in load("preference"):
        share = sum(turned(row)["chosen"] == row["chosen"] for _ in range(4000)) / 4000
        assert share == pytest.approx(row["label"], abs=0.03)
        other = {**row, "chosen": row["rejected"], "rejected": row["chosen"]}
        assert turned(row) in (row, other)


@pytest.mark.slow
@pytest.mark.parametrize("soft", [False, True])
def test_trl_takes_a_dpo_step(soft, load, smollm2, settings, tmp_path):
    from transformers import LlamaForCausalLM
    from trl import DPOConfig, DPOTrainer

    smallest(LlamaForCausalLM, smollm2).save_pretrained(tmp_path / "model")
    model = LlamaForCausalLM.from_pretrained(tmp_path / "model")
    rows = load("preference")
    if soft:
        rows = rows.map(turning(), load_from_cache_file=False)
    trainer = DPOTrainer(model, args=DPOConfig(**settings), train_dataset=rows, processing_class=smollm2)
    assert math.isfinite(float(trainer.train().training_loss))


@pytest.mark.slow
def test_trl_learns_the_best_of_n(load, smollm2, settings):
    from transformers import LlamaForCausalLM
    from trl import SFTConfig, SFTTrainer

    rows = load("best_of_n")
    model = smallest(LlamaForCausalLM, smollm2)
    trainer = SFTTrainer(model, args=SFTConfig(**settings), train_dataset=rows, processing_class=smollm2)
    learnt = smollm2.decode([label for label in trainer.train_dataset[0]["labels"] if label != -100])
    assert rows[0]["completion"][0]["content"] in learnt
    assert not any(answer in learnt for answer in rows[0]["answers"][1:])
    assert math.isfinite(float(trainer.train().training_loss))
