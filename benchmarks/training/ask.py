"""What the models are asked, and their answers: drawn through the project's own `hf:` backend, each call kept."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from steps import read_json_lines, write_json_lines

from constitution.calls import Caller, Meter
from constitution.desk import seed_of
from constitution.store import RowStore
from guard.exchange import Message
from guard.models import open_model
from guard.models.base import Sampling


@dataclass(frozen=True)
class Question:
    """One prompt to measure on."""

    set: str
    """`held-out`, `benign`, or the name of a set of harmless prompts that look harmful."""
    id: str
    prompt: str

    @property
    def key(self) -> str:
        """Unique among all questions."""
        return f"{self.set}/{self.id}"


def draw_questions(name: str, path: Path, limit: int, seed: int, *, safe_only: bool = False) -> list[Question]:
    """At most `limit` one-turn prompts of a file, drawn by the seed. A smaller limit draws some of a larger one's."""
    found = {}
    for place, row in enumerate(read_json_lines(path)):
        prompt = row["prompt"] if isinstance(row["prompt"], str) else row["prompt"][-1]["content"]
        if prompt.strip() and not (safe_only and row.get("label", "safe") != "safe"):
            found.setdefault(prompt.strip(), str(row.get("id", place)))
    every = [Question(name, own, prompt) for prompt, own in found.items()]
    random.Random(seed_of(seed, name)).shuffle(every)
    return every[:limit]


def conversation(question: Question, system: str) -> tuple[Message, ...]:
    """The messages a model is asked."""
    before = (Message("system", system),) if system else ()
    return (*before, Message("user", question.prompt))


async def answer_all(
    model: str,
    questions: Sequence[Question],
    out: Path,
    calls: Path,
    sampling: Sampling,
    *,
    system: str,
    seed: int,
    at_once: int,
) -> None:
    """Ask `model` every question and write a line for each; answers that were drawn before are taken from `calls`."""
    opened = open_model(model, concurrency=at_once)
    limit = asyncio.Semaphore(at_once)
    try:
        with closing(RowStore(calls)) as store:
            caller = Caller({"answerer": opened}, {"answerer": sampling}, store, Meter())

            async def one(question: Question) -> dict[str, Any]:
                async with limit:
                    drawn = seed_of(seed, question.key)  # the same for every model: only the weights differ
                    reply = await caller.ask(
                        "answerer", "answer", conversation(question, system), row=question.key, seed=drawn, calls=[]
                    )
                return {
                    **asdict(question),
                    "answer": reply.text,
                    "finish": reply.finish,
                    "tokens": reply.usage.completion,
                }

            lines = await asyncio.gather(*map(one, questions))
    finally:
        await opened.close()
    write_json_lines(out, list(lines))


def perplexity(
    model: Path, lines: Sequence[dict[str, Any]], *, system: str, device: str, batch: int
) -> list[dict[str, Any]]:
    """How likely the model finds texts that people wrote, as answers to their prompts: nats and tokens of each.

    Only the answer's tokens count. The exponential of the sum of nats over that of tokens is the perplexity.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    loaded = AutoModelForCausalLM.from_pretrained(model, dtype=dtype).to(device).eval()
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    cases = []
    for line in lines:
        asked = [{"role": "system", "content": system}] * bool(system) + [{"role": "user", "content": line["prompt"]}]
        said = [*asked, {"role": "assistant", "content": line["response"]}]
        before = tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=True)
        whole = tokenizer.apply_chat_template(said, tokenize=False)
        ids = tokenizer(whole, add_special_tokens=False).input_ids
        cases.append((line, ids, len(tokenizer(before, add_special_tokens=False).input_ids)))
    cases.sort(key=lambda case: len(case[1]))
    found = []
    for start in range(0, len(cases), batch):
        part = cases[start : start + batch]
        longest = max(len(ids) for _, ids, _ in part)
        ids = torch.tensor([[*own, *[pad] * (longest - len(own))] for _, own, _ in part], device=device)
        mask = torch.tensor([[1] * len(own) + [0] * (longest - len(own)) for _, own, _ in part], device=device)
        with torch.inference_mode():
            scores = loaded(input_ids=ids, attention_mask=mask).logits[:, :-1].float()
        nats = torch.nn.functional.cross_entropy(scores.transpose(1, 2), ids[:, 1:], reduction="none")
        for row, (line, own, began) in enumerate(part):
            counted = nats[row, began - 1 : len(own) - 1]
            found.append({"id": line["id"], "nats": float(counted.sum()), "tokens": len(own) - began})
    return found
