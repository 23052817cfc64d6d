"""From a transformer to a table of token vectors, by the recipe of model2vec.

Every token of the vocabulary goes through the transformer alone; the means of what comes out are turned to their main
axes, and weighted down for frequent tokens, whose frequency is read off their place in the vocabulary (Zipf).

Source: Tulkens & van Dongen 2024, Model2Vec; weights as in Arora et al. 2017, smooth inverse frequency.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from guard.encoders.base import EncoderError
from guard.encoders.torch import plain_tokenizer, transformer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Doubles = NDArray[np.float64]
    from guard.encoders.base import Floats

_BATCH = 256
_SMOOTH = 1e-4
_NO_WORD = re.compile(r"\[unused\d+\]|<unused\d+>")


def distill(model: Any, dims: int) -> tuple[Floats, str]:
    """The table of a sentence-transformers model, and its tokenizer as JSON.

    Args:
        model: the model, whose pooling is not used: all positions count alike.
        dims: length of the vectors, at most the transformer's own.

    Returns:
        (vocabulary, dims) float32, a row a token id, zeros for special tokens; and the tokenizer, which cuts nothing.

    Raises:
        EncoderError: the tokenizer is written in Python, or the vectors would be longer than the transformer's.
    """
    import numpy as np

    tokenizer = plain_tokenizer(model)
    if tokenizer is None:
        raise EncoderError("the encoder's tokenizer is written in Python", "take another encoder, or no static tier")
    words = _words(tokenizer)
    hidden = _through(transformer(model), words, *_frame(tokenizer))
    if dims > hidden.shape[1]:
        raise EncoderError(f"static vectors of `{dims}` numbers cannot be made of {hidden.shape[1]}", "give fewer")
    place = 1.0 / np.arange(2, len(words) + 2)
    weights = _SMOOTH / (_SMOOTH + place / place.sum())
    table = np.zeros((tokenizer.get_vocab_size(with_added_tokens=True), dims), np.float32)
    table[words] = _main_axes(hidden, dims) * weights[:, None]
    text: str = tokenizer.to_str()
    return table, text


def _words(tokenizer: Any) -> list[int]:
    """Ids of the tokens that texts are made of, frequent ones first, as vocabularies are ordered."""
    special = {id_ for id_, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    return sorted(
        id_ for token, id_ in tokenizer.get_vocab().items() if id_ not in special and not _NO_WORD.fullmatch(token)
    )


def _frame(tokenizer: Any) -> tuple[list[int], list[int]]:
    """The special tokens before and behind a text."""
    told = tokenizer.encode("a")
    inner = [place for place, special in enumerate(told.special_tokens_mask) if not special]
    return (told.ids[: inner[0]], told.ids[inner[-1] + 1 :]) if inner else ([], [])


def _through(net: Any, words: list[int], before: list[int], behind: list[int]) -> Doubles:
    import numpy as np
    import torch

    means = []
    with torch.inference_mode():
        for first in range(0, len(words), _BATCH):
            rows = [[*before, word, *behind] for word in words[first : first + _BATCH]]
            ids = torch.tensor(rows, device=next(net.parameters()).device)
            means.append(net(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state.mean(1).cpu())
    hidden: Doubles = np.nan_to_num(torch.cat(means).float().numpy()).astype(np.float64)
    return hidden


def _main_axes(rows: Doubles, dims: int) -> Doubles:
    """The rows in the space of their largest variance; in doubles, so that all machines find the same axes."""
    import numpy as np

    centred = rows - rows.mean(0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    turned: Doubles = centred @ axes[:, ::-1][:, :dims]
    # An axis may point either way: its farthest row is made positive.
    farthest = np.abs(turned).argmax(0)
    signs = np.sign(turned[farthest, np.arange(turned.shape[1])])
    return turned * np.where(signs == 0, 1.0, signs)
