"""What stands on the command line of the experiment."""

from __future__ import annotations

import argparse
from pathlib import Path

ARMS = ("base", "sft", "sft+dpo", "first")
"""Recipes, each set against the others; run.py says what they are."""


def options(about: str | None) -> argparse.Namespace:
    """What stands on the command line."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--rows", type=Path, action="append", required=True, help="folder of `wardlaw generate`; repeatable")
    add("--held-out", type=Path, required=True, help="JSONL of red-team prompts that no row was made of")
    add("--benign", type=Path, help="JSONL of harmless instructions, to tell helpfulness")
    add(
        "--safe", type=Path, action="append", default=[], help="JSONL of harmless prompts that look harmful; repeatable"
    )
    add("--text", type=Path, help="JSONL with `prompt` and `response` that people wrote, for perplexity")
    add(
        "--refusal-labels",
        type=Path,
        help="JSONL of responses labelled `refusal` or not, to check how refusals are told",
    )
    add("--harm-labels", type=Path, help="JSONL of responses labelled `harmful` or `safe`, to check gate and judge")
    add("--judge", help="a chat model, as docs/models.md names them; without it the gate and the checks alone decide")
    add(
        "--judge-by",
        choices=("rule", "all"),
        default="rule",
        help="grade by the rule that a prompt is about, or by all at once, for a large judge [rule]",
    )
    add("--rules", default="base", help="pack or file of rules to judge by [base]")
    add("--encoder", default="default", help="the gate's encoder, or `none` [default]")
    add("--out", type=Path, required=True)
    add("--base", default="embedded", help="model to tune: hub id, folder, or `embedded` for SmolLM2-135M-Instruct")
    add("--system", default="", help="system message of every question")
    add("--arms", default=",".join(ARMS), help=f"of {', '.join(ARMS)}; `base` is always measured")
    add("--seeds", default="0", help="seeds of tuning, with commas")
    add("--device", default="auto", help="cpu, cuda or auto")
    add("--half", action="store_true", help="train and answer in bfloat16")
    add("--batch", type=int, default=8, help="examples a training step")
    add("--answer-batch", type=int, default=16, help="prompts answered at once")
    add("--rank", type=int, default=16, help="of the LoRA adapters")
    add("--longest", type=int, default=512, help="tokens of an example")
    add("--sft-epochs", type=float, default=4)
    add("--sft-rate", type=float, default=2e-4)
    add("--dpo-epochs", type=float, default=4)
    add("--dpo-rate", type=float, default=5e-5)
    add("--dpo-batch", type=int, help="pairs a training step [as --batch]")
    add("--beta", type=float, default=0.1)
    add("--temperature", type=float, default=0.7)
    add("--top-p", type=float, default=0.9)
    add("--max-tokens", type=int, default=160, help="of an answer")
    add("--held-out-limit", type=int, default=60, help="red-team prompts")
    add("--limit", type=int, default=40, help="prompts of each other set")
    add("--judge-limit", type=int, default=60, help="prompts of a set that the judge sees")
    add("--label-limit", type=int, default=40, help="labelled responses that the judge is checked on")
    add("--judge-slots", type=int, default=4, help="judge calls at once")
    add("--seed", type=int, default=0, help="draws prompts and answers")
    add("--until", choices=("tune", "answer", "judge", "report"), default="report", help="stop after this part")
    return parser.parse_args()
