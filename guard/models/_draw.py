"""How a batch of rows draws its tokens, each row by its own sampling, seed, length and stop strings.

`generate()` of transformers knows one temperature, one seed and one length for a whole batch. A row's answer must not
depend on the company it was batched with, or a run that is resumed, and batches otherwise, could not be repeated. So
`generate()` is told to be greedy, and `Draw` leaves it no more than the one token that the row has drawn for itself.

The draw inverts the row's cumulative distribution at one uniform number a token, from a generator that only this row
uses. The rounding of a batch moves the borders between tokens by about 1e-6 in float32, and so changes a token about
that often; a Gumbel or multinomial draw would use a random number for each entry of the vocabulary to the same end.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from guard.models.base import ModelError, Sampling, TokenLogprob

if TYPE_CHECKING:
    import torch


@dataclass(slots=True)
class RowState:
    """One row while it is drawn."""

    sampling: Sampling
    room: int
    """The most tokens it may draw: `max_tokens`, or what the context leaves."""
    cancelled: Callable[[], bool]
    logprobs: int = 0
    told: Callable[[RowState], None] | None = None
    """Called after every token, the last one among them."""
    ids: list[int] = field(default_factory=list)
    drawn: list[TokenLogprob] = field(default_factory=list)
    finish: str = ""
    """`stop` or `length` once it is done."""
    random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.random = random.Random(self.sampling.seed)


class Draw:
    """A logits processor that draws one token a row; done rows draw the padding."""

    def __init__(self, rows: Sequence[RowState], pad: int, spell: Callable[[int], str]) -> None:
        self._rows = rows
        self._pad = pad
        self._spell = spell

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Scores in which only the drawn tokens are left.

        Args:
            input_ids: (batch, tokens so far) int64; not looked at.
            scores: (batch, vocabulary) float.

        Raises:
            ModelError: the model gave scores that are not numbers.
        """
        import torch

        scores = scores.float()
        if bool(scores.amax(-1).isnan().any()):
            raise ModelError("the model gave scores that are not numbers", "open it with `?dtype=float32`")
        tokens = scores.argmax(-1)
        warm = [n for n, row in enumerate(self._rows) if not row.finish and row.sampling.temperature > 0]
        if warm:
            tokens[warm] = self._sample(scores[warm], [self._rows[n] for n in warm])
        for n, token in enumerate(tokens.tolist()):
            row = self._rows[n]
            if not row.finish:
                row.ids.append(token)
                if row.logprobs:
                    row.drawn.append(self._logprob(scores[n], token, row.logprobs))
        done = [n for n, row in enumerate(self._rows) if row.finish]
        tokens[done] = self._pad
        return torch.full_like(scores, float("-inf")).scatter_(1, tokens[:, None], 0.0)

    def _sample(self, scores: torch.Tensor, rows: Sequence[RowState]) -> torch.Tensor:
        import torch

        heat = torch.tensor([row.sampling.temperature for row in rows], device=scores.device)
        chances = torch.softmax(scores / heat[:, None], dim=-1)
        cut = [n for n, row in enumerate(rows) if row.sampling.top_p < 1]
        if cut:
            share = torch.tensor([rows[n].sampling.top_p for n in cut], device=scores.device)
            chances[cut] = _nucleus(chances[cut], share)
        # Tokens stay in the order of their ids, never sorted by chance: two nearly equal ones would swap places with
        # the rounding of another batch, and the same number would then fall on the other one.
        heights = chances.double().cumsum(-1)
        spots = torch.tensor([[row.random.random()] for row in rows], dtype=torch.float64, device=scores.device)
        found: torch.Tensor = torch.searchsorted(heights, spots * heights[:, -1:], right=True)
        return found.squeeze(-1).clamp_(max=scores.shape[-1] - 1)

    def _logprob(self, scores: torch.Tensor, token: int, count: int) -> TokenLogprob:
        logs = scores.log_softmax(-1)
        top = logs.topk(min(count, logs.shape[-1]))
        likeliest = dict(zip(map(self._spell, top.indices.tolist()), top.values.tolist(), strict=True))
        return TokenLogprob(self._spell(token), float(logs[token]), likeliest)


class Ends:
    """A stopping criterion that knows when each row is done: its end token, stop string, length, or nobody waiting."""

    def __init__(self, rows: Sequence[RowState], ends: frozenset[int], read: Callable[[list[int]], str]) -> None:
        self._rows = rows
        self._ends = ends
        self._read = read

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        """(batch,) bool: which rows are done. `input_ids` is (batch, tokens so far) int64; its device is taken."""
        import torch

        for row in self._rows:
            if not row.finish:
                row.finish = self._finish(row)
                if row.told is not None:
                    row.told(row)
        return torch.tensor([bool(row.finish) for row in self._rows], device=input_ids.device)

    def _finish(self, row: RowState) -> str:
        if row.ids[-1] in self._ends or self._stopped(row):
            return "stop"
        return "length" if len(row.ids) >= row.room or row.cancelled() else ""

    def _stopped(self, row: RowState) -> bool:
        if not row.sampling.stop:
            return False
        # every token spells at least one byte, so these last ones hold any stop string that ends here
        reach = max(len(stop.encode()) for stop in row.sampling.stop) + 4
        tail = self._read(row.ids[-reach:])
        return any(stop in tail for stop in row.sampling.stop)


def _nucleus(chances: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    """The likeliest tokens whose chances reach `share`, the others 0.

    Args:
        chances: (batch, vocabulary) float32, rows that sum to 1.
        share: (batch,) float32 from 0 to 1.

    Source: Holtzman et al. 2019, arXiv:1904.09751.
    """
    high, order = chances.sort(dim=-1, descending=True, stable=True)
    spare = high.cumsum(-1) - high >= share[:, None]
    spare[:, 0] = False
    return chances.scatter(1, order, high.masked_fill(spare, 0.0))
