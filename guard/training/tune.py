"""Encoder and heads taught together, by gradient descent; the encoder's changes are kept as low-rank deltas.

The whole of the encoder's matrices learn, and what they have learned is cut down to a few ranks at the end: on MiniLM
rank 16 costs less than a hundredth of AUC against the full change, and is a megabyte. Token embeddings stay as they
are: their change is not of low rank, and brought .001.
"""

from __future__ import annotations

import contextlib
import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from guard.encoders.adapter import Adapter
from guard.encoders.base import clean
from guard.encoders.torch import SentenceEncoder, transformer
from guard.trained.sides import ANSWERED, ASKED, Side
from guard.training.batches import batches, text_of
from guard.training.loss import loss, wanted
from guard.training.rows import Row

if TYPE_CHECKING:
    import torch

SCALE = 20.0
"""Vectors have length 1; heads learn faster on longer ones. Folded into the heads' weights at the end."""


@dataclass(frozen=True)
class Tuning:
    """How long and how fast is taught."""

    seed: int = 7
    passes: float = 3.0
    batch: int = 32
    rate: float = 1e-4
    """Of the encoder; the heads' is thirty times as high."""
    twins: float = 2.0
    """How often a pass shows a pair of twins."""
    tokens: int = 160
    """Longest text taught, in tokens."""
    rank: int = 16
    threads: int | None = None


@dataclass(frozen=True)
class Tuned:
    """What was learned."""

    adapter: Adapter
    sides: dict[str, Side]
    losses: list[float]
    """Mean loss of each hundred steps."""


def tune(
    encoder: SentenceEncoder,
    rows: Sequence[Row],
    rules: Sequence[str],
    how: Tuning,
    told: Callable[[str], None] = lambda line: None,
) -> Tuned:
    """Teach an encoder and its heads; the encoder given is changed on the way and not to be used after.

    Args:
        encoder: loaded by torch, without an adapter.
        rows: to teach.
        rules: ids, in the order of the heads.
        how: passes, rates, ranks.
        told: called with a line of progress every hundred steps.
    """
    import torch

    torch.manual_seed(how.seed)
    if how.threads:
        torch.set_num_threads(how.threads)
    rng = random.Random(how.seed)
    model = encoder.model
    body = transformer(model)
    before = {name: weights.detach().clone() for name, weights in body.named_parameters()}
    learning = [weights for name, weights in body.named_parameters() if "embeddings" not in name]
    for name, weights in body.named_parameters():
        weights.requires_grad_("embeddings" not in name)
    sides = [ASKED, *([ANSWERED] if any(row.answers for row in rows) else [])]
    heads = {side: _head(encoder.dim, len(rules)).to(model.device) for side in sides}
    of_heads = [weights for head in heads.values() for weights in head.parameters()]
    steps = max(1, math.ceil(how.passes * sum(1 for _ in batches(rows, how.batch, how.twins, random.Random(0)))))
    optimizer = torch.optim.AdamW(
        [
            {"params": learning, "lr": how.rate, "weight_decay": 0.01},
            {"params": of_heads, "lr": how.rate * 30, "weight_decay": 0.01},
        ]
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, steps))
    places = {rule: place for place, rule in enumerate(rules)}
    losses: list[float] = []
    recent: list[float] = []
    model.train()
    for step, batch in enumerate(_endless(rows, how, rng), 1):
        side = ANSWERED if batch[0].answers else ASKED
        vectors = _vectors(model, [text_of(row) for row in batch], how.tokens)
        found = loss(heads[side](torch.nn.functional.dropout(vectors, 0.1)).cpu(), wanted(batch, places))
        optimizer.zero_grad()
        found.backward()
        torch.nn.utils.clip_grad_norm_(learning, 1.0)
        optimizer.step()
        schedule.step()
        recent.append(found.item())
        if step % 100 == 0 or step == steps:
            losses.append(sum(recent) / len(recent))
            told(f"step {step} of {steps}, loss {losses[-1]:.3f}")
            recent = []
        if step == steps:
            break
    model.eval()
    adapter = _cut_down(encoder.base, before, body, how.rank)
    made = {side: side_of(heads[side]) for side in sides}
    return Tuned(adapter, made, losses)


def _head(dim: int, rules: int) -> torch.nn.Linear:
    import torch

    head = torch.nn.Linear(dim, rules)
    torch.nn.init.normal_(head.weight, std=0.02)
    # Together, all rules start at even odds: each at one in their number.
    torch.nn.init.constant_(head.bias, -math.log(max(rules, 2)))
    return head


def side_of(head: torch.nn.Linear) -> Side:
    """A torch layer over vectors of length SCALE, as heads over vectors of length 1."""
    weight, bias = (tensor.detach().float().cpu().numpy() for tensor in (head.weight, head.bias))
    return Side(weight * weight.dtype.type(SCALE), bias)


def _rate(step: int, steps: int) -> float:
    """Warm-up over a twentieth, then down to almost nothing."""
    return min((step + 1) / max(1, steps * 0.05), max(0.02, 1 - step / steps))


def _endless(rows: Sequence[Row], how: Tuning, rng: random.Random) -> Iterator[list[Row]]:
    while True:
        yield from batches(rows, how.batch, how.twins, rng)


def _vectors(model: Any, texts: Sequence[str], tokens: int) -> torch.Tensor:
    """(n, dim), rows of length SCALE."""
    import torch

    features = model.tokenizer(
        [clean(text) for text in texts],
        padding=True,
        truncation=True,
        max_length=min(tokens, model.max_seq_length or tokens),
        # Few different shapes: the kernels of 16-bit floats are made anew for each.
        pad_to_multiple_of=8,
        return_tensors="pt",
    ).to(model.device)
    with _half(model.device.type):
        vectors = model(dict(features))["sentence_embedding"]
    return torch.nn.functional.normalize(vectors.float(), dim=1) * SCALE


def _half(device: str) -> contextlib.AbstractContextManager[Any]:
    """16-bit floats where the machine computes with them: twice as fast on such a CPU, and slower on others."""
    import torch

    if device == "cuda" or torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return torch.autocast(device, torch.bfloat16)
    return contextlib.nullcontext()


def _cut_down(identity: str, before: dict[str, torch.Tensor], body: Any, rank: int) -> Adapter:
    """The changes, matrices by their first singular directions, vectors whole."""
    import torch

    matrices, vectors = {}, {}
    for name, weights in body.named_parameters():
        change = (weights.detach() - before[name]).float().cpu()
        if not change.any():
            continue
        if change.dim() == 1:
            vectors[name] = change.numpy()
        elif change.dim() == 2:
            left, size, right = torch.linalg.svd(change, full_matrices=False)
            root = size[:rank].sqrt()
            matrices[name] = ((left[:, :rank] * root).numpy(), (root[:, None] * right[:rank]).numpy())
    return Adapter(identity, matrices, vectors)
