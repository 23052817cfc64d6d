"""TRL's trainers each take a real step on a set that was written and loaded as a user would load it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from constitution.card import Card
from constitution.formats import Options, write_formats
from constitution.statistics import gather

# The trainers' own libraries deprecate one another's parts; nothing of it is ours to mend.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:`(is_)?gradient_checkpointing(_disable|_enable)?` is deprecated:FutureWarning"),
]


@pytest.fixture
def produced(sample_rows, sample_constitution, tmp_path, monkeypatch) -> Any:
    """Writes a set by the given options and loads one format of it."""
    from datasets import load_dataset

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    def load(name: str, **more: Any) -> Any:
        options = Options(constitutions={"c0ffee": sample_constitution}, **more)
        written = write_formats(["sft", "preference", "kto"], lambda: sample_rows, tmp_path / "set", options=options)
        Card(gather(sample_rows), written).write(tmp_path / "set")
        folder = str(tmp_path / "set")
        return load_dataset(folder, name, split="train", cache_dir=str(tmp_path / "cache"))

    return load


@pytest.fixture
def tiny(smollm2, tmp_path) -> Any:
    """A Llama of two narrow layers with random weights, over SmolLM2's vocabulary; on disk, since the preference
    trainers load their reference from where the model came from."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(smollm2),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
            max_position_embeddings=1024,
            pad_token_id=smollm2.pad_token_id,
            eos_token_id=smollm2.eos_token_id,
        )
    )
    model.save_pretrained(tmp_path / "model")
    return LlamaForCausalLM.from_pretrained(tmp_path / "model")


def settings(tmp_path: Path) -> dict[str, Any]:
    return {
        "output_dir": str(tmp_path / "out"),
        "max_steps": 1,
        "per_device_train_batch_size": 2,
        "use_cpu": True,
        "report_to": [],
        "logging_steps": 1,
        "save_strategy": "no",
        "disable_tqdm": True,
        "bf16": False,
    }


def loss_of(trainer: Any) -> float:
    return float(trainer.train().training_loss)


def test_sft_learns_answer_and_reasoning_of_messages(produced, tiny, smollm2, bundled_template, tmp_path):
    from trl import SFTConfig, SFTTrainer

    rows = produced("sft", sft="messages")
    smollm2.chat_template, plain = bundled_template("qwen3"), smollm2.chat_template
    try:
        config = SFTConfig(**settings(tmp_path), assistant_only_loss=True)
        trainer = SFTTrainer(tiny, args=config, train_dataset=rows, processing_class=smollm2)
        for line, row in zip(trainer.train_dataset, rows, strict=True):
            learnt = smollm2.decode([label for label in line["labels"] if label != -100])
            assert row["messages"][-1]["content"] in learnt
            assert row["messages"][-1]["reasoning_content"] in learnt
        assert math.isfinite(loss_of(trainer))
    finally:
        smollm2.chat_template = plain


def test_sft_learns_the_completion_alone(produced, tiny, smollm2, tmp_path):
    from trl import SFTConfig, SFTTrainer

    rows = produced("sft", reasoning="think")
    trainer = SFTTrainer(tiny, args=SFTConfig(**settings(tmp_path)), train_dataset=rows, processing_class=smollm2)
    for line, row in zip(trainer.train_dataset, rows, strict=True):
        learnt = smollm2.decode([label for label in line["labels"] if label != -100])
        assert row["completion"][0]["content"] in learnt
        # Earlier answers of the assistant among them: no rule was held to those.
        assert not any(message["content"] in learnt for message in row["prompt"])
    assert math.isfinite(loss_of(trainer))


@pytest.mark.parametrize("preference_reasoning", [False, True])
def test_dpo_takes_a_step(preference_reasoning, produced, tiny, smollm2, tmp_path):
    from trl import DPOConfig, DPOTrainer

    rows = produced("preference", preference_reasoning=preference_reasoning, reasoning="think")
    trainer = DPOTrainer(tiny, args=DPOConfig(**settings(tmp_path)), train_dataset=rows, processing_class=smollm2)
    assert all(line["chosen_ids"] and line["rejected_ids"] for line in trainer.train_dataset)
    assert math.isfinite(loss_of(trainer))


def test_kto_takes_a_step(produced, tiny, smollm2, tmp_path):
    from trl import KTOConfig, KTOTrainer

    trainer = KTOTrainer(
        tiny, args=KTOConfig(**settings(tmp_path)), train_dataset=produced("kto"), processing_class=smollm2
    )
    assert math.isfinite(loss_of(trainer))


def test_trl_knows_the_training_template_for_a_template_that_reads_reasoning(bundled_template, smollm2):
    from trl.chat_template_utils import get_training_chat_template, has_generation_markers

    plain = smollm2.chat_template
    smollm2.chat_template = bundled_template("qwen3")
    try:
        training = get_training_chat_template(smollm2)
    finally:
        smollm2.chat_template = plain
    assert training == bundled_template("qwen3_training")
    assert has_generation_markers(training)
