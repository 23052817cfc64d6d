"""Fine-tuning with TRL: LoRA adapters by supervised fine-tuning, and by preference learning on top; merged at the end.

Every model is a folder in Hugging Face's form, so that whatever opens `hf:FOLDER` can be asked about it.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steps import bare, read_json_lines, write_json_lines


@dataclass(frozen=True)
class Tuning:
    """How adapters are trained, by one of the two ways."""

    rank: int
    batch: int
    epochs: float
    rate: float
    half: bool
    """Multiply in bfloat16."""
    longest: int
    """Tokens of prompt and answer together, beyond which an example is cut."""
    beta: float = 0.0
    """How strongly preference learning is held to where it began."""


def device_of(asked: str) -> str:
    """`cuda` where there is one, or what was asked for."""
    import torch

    return asked if asked != "auto" else ("cuda" if torch.cuda.is_available() else "cpu")


def save_base(base: str, out: Path) -> None:
    """Write the untuned model as a folder. `embedded` is read from the GGUF file of its package."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if base == "embedded":
        from guard.models.embedded import weights

        file = weights()
        name, more = str(file.parent), {"gguf_file": file.name}
    else:
        name, more = base, {}
    half = _fresh(out)
    AutoTokenizer.from_pretrained(name, **more).save_pretrained(half)
    loaded = AutoModelForCausalLM.from_pretrained(name, dtype=torch.float32, **more)
    if more:
        loaded = _unpacked(loaded)
    loaded.save_pretrained(half)
    half.replace(out)


def _unpacked(loaded: Any) -> Any:
    """The same weights in a model that does not know it came from a GGUF file: such a one refuses to be saved."""
    from transformers import AutoModelForCausalLM

    config = type(loaded.config).from_dict(
        {key: value for key, value in loaded.config.to_dict().items() if key != "quantization_config"}
    )
    plain = AutoModelForCausalLM.from_config(config, dtype=loaded.dtype)
    plain.load_state_dict(loaded.state_dict())
    plain.generation_config = loaded.generation_config
    return plain


def training_rows(folders: Sequence[Path], out: Path, *, apart: Collection[str] = ()) -> dict[str, int]:
    """Make the training files of folders of `wardlaw generate`: `sft`, `first`, `preference`; counts what is in them.

    `first` is the control: the same prompts as `sft`, each with the first answer that the loop began from. Where the
    loop changed nothing the two are the same. Left out are rows whose prompt is one of `apart`, and answers that
    today's checks would not let pass: a folder may have been made by older ones.
    """
    apart = {bare(text) for text in apart}
    made: dict[str, list[dict[str, Any]]] = {"sft": [], "first": [], "preference": []}
    left_out = {"held out": 0, "checks": 0}
    for folder in folders:
        pairs = {line["wardlaw"]["id"]: line for line in read_json_lines(data_file(folder, "preference"))}
        for line in read_json_lines(data_file(folder, "sft")):
            if any(bare(turn["content"]) in apart for turn in line["prompt"] if turn["role"] == "user"):
                left_out["held out"] += 1
                continue
            final = _spoken(line["completion"])
            if _fault(line["prompt"][-1]["content"], final[-1]["content"]):
                left_out["checks"] += 1
                continue
            prompt = _spoken(line["prompt"])
            pair = pairs.get(line["wardlaw"]["id"])
            first = _spoken(pair["rejected"]) if pair else final
            made["sft"].append({"prompt": prompt, "completion": final})
            made["first"].append({"prompt": prompt, "completion": first})
            if pair:
                made["preference"].append({"prompt": prompt, "chosen": final, "rejected": first})
    for name, lines in made.items():
        write_json_lines(out / f"{name}.jsonl", lines)
    return {name: len(lines) for name, lines in made.items()} | {f"left out: {why}": n for why, n in left_out.items()}


def _fault(prompt: str, answer: str) -> bool:
    from constitution.checks import answer_faults
    from constitution.templates import TemplateSet
    from guard.language import language_of

    return answer_faults(answer, prompt, TemplateSet.read().of(language_of(prompt))) is not None


def tune_sft(
    model: Path, lines: list[dict[str, Any]], out: Path, work: Path, tuning: Tuning, *, seed: int, device: str
) -> dict:
    """Fine-tune on `prompt` and `completion`; what it came to. Checkpoints stand in `work` until it is done."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    loaded, tokenizer = _load(model, device)
    settings = SFTConfig(
        **_common(work, tuning, seed, device),
        num_train_epochs=tuning.epochs,
        learning_rate=tuning.rate,
    )
    trainer = SFTTrainer(
        loaded,
        args=settings,
        train_dataset=Dataset.from_list(lines),
        processing_class=tokenizer,
        peft_config=_adapter(tuning),
    )
    return _trained(trainer, tokenizer, out)


def tune_dpo(
    model: Path, lines: list[dict[str, Any]], out: Path, work: Path, tuning: Tuning, *, seed: int, device: str
) -> dict:
    """Learn from pairs, starting from `model` and held to it; what it came to.

    Source: Rafailov et al. 2023, arXiv:2305.18290.
    """
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    loaded, tokenizer = _load(model, device)
    settings = DPOConfig(
        **_common(work, tuning, seed, device),
        num_train_epochs=tuning.epochs,
        learning_rate=tuning.rate,
        beta=tuning.beta,
    )
    trainer = DPOTrainer(
        loaded,
        args=settings,
        train_dataset=Dataset.from_list(lines),
        processing_class=tokenizer,
        peft_config=_adapter(tuning),
    )
    return _trained(trainer, tokenizer, out)


def _load(model: Path, device: str) -> tuple[Any, Any]:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    # The weights stay in full precision, also where the sums are done in half: small steps would be rounded away.
    loaded = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).to(device)
    tokenizer = AutoTokenizer.from_pretrained(model)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return loaded, tokenizer


def _adapter(tuning: Tuning) -> Any:
    from peft import LoraConfig

    # Every linear layer: on the attention alone, a model this small hardly moves (arXiv:2305.14314 finds the same).
    return LoraConfig(
        r=tuning.rank,
        lora_alpha=2 * tuning.rank,
        lora_dropout=0.05,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )


def _common(work: Path, tuning: Tuning, seed: int, device: str) -> dict[str, Any]:
    return {
        "output_dir": str(work),
        "per_device_train_batch_size": tuning.batch,
        "max_length": tuning.longest,
        "lr_scheduler_type": "cosine",
        "warmup_steps": 3,
        "seed": seed,
        "data_seed": seed,
        "use_cpu": device == "cpu",
        "bf16": tuning.half,
        "gradient_checkpointing": False,
        "save_strategy": "steps",
        "save_steps": 4,
        "save_total_limit": 1,
        "logging_steps": 5,
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
    }


def _trained(trainer: Any, tokenizer: Any, out: Path) -> dict[str, Any]:
    """Train, from the last checkpoint where it was stopped, and write the merged model."""
    from transformers.trainer_utils import get_last_checkpoint

    last = get_last_checkpoint(trainer.args.output_dir) if Path(trainer.args.output_dir).exists() else None
    came = trainer.train(resume_from_checkpoint=last)
    half = _fresh(out)
    trainer.model.merge_and_unload().save_pretrained(half)
    tokenizer.save_pretrained(half)
    half.replace(out)
    shutil.rmtree(trainer.args.output_dir, ignore_errors=True)
    kept = ("loss", "mean_token_accuracy", "rewards/accuracies", "rewards/margins", "epoch")
    log = [{key: line[key] for key in kept if key in line} for line in trainer.state.log_history if "loss" in line]
    return {"steps": trainer.state.global_step, "seconds": round(came.metrics["train_runtime"], 1), "log": log}


def data_file(rows: Path, name: str) -> Path:
    """A training file of a folder; the program ends where it is not there."""
    path = rows / f"{name}.jsonl"
    if not path.exists():
        raise SystemExit(f"`{path}` is not there; run `wardlaw export {rows} --jsonl` first")
    return path


def _spoken(messages: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Messages with role and content alone: what the chat template of a small model would not show is not learnt."""
    return [{"role": message["role"], "content": message["content"]} for message in messages]


def _fresh(out: Path) -> Path:
    """A folder to write in before it takes its name: one that is half written must not be taken for a model."""
    half = out.with_name(out.name + ".part")
    shutil.rmtree(half, ignore_errors=True)
    shutil.rmtree(out, ignore_errors=True)
    half.mkdir(parents=True)
    return half
