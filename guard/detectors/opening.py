"""The detectors that judge by meaning, opened with their encoder and trained heads."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Literal

from guard.detectors.base import Detector
from guard.detectors.meaning import MeaningDetector
from guard.detectors.static import StaticDetector
from guard.encoders import Adapter, open_encoder
from guard.encoders.shared import shared
from guard.encoders.source import find, is_default
from guard.encoders.static import StaticEncoder
from guard.trained.folder import HeadsError
from guard.trained.heads import Heads, shipped
from rules.schema import Constitution

_log = logging.getLogger(__name__)


def meaning_detectors(
    constitution: Constitution,
    encoder: str,
    heads: Path | Literal["shipped"] | None,
    *,
    thorough: bool,
    threads: int | None = None,
) -> list[Detector]:
    """The meaning detector, and before it the static tier where the heads have one.

    Args:
        constitution: the rules in force.
        encoder: a sentence-transformers model by id or path, or `default`.
        heads: their folder; `shipped` takes those of the packs if they were made for the encoder; None takes none.
        thorough: every text is to be encoded, so that no static tier is needed, and topics are told.
        threads: cores the encoder may use; all that this process may where left out.

    Raises:
        EncoderError: the encoder or its adapter cannot be loaded.
        HeadsError: the heads cannot be read, or were asked for by path and belong to another encoder.
    """
    found = _heads(constitution, encoder, heads)
    adapter = Adapter.load(found.adapter) if found and found.adapter else None
    which = (find(encoder).identity, adapter.digest if adapter else "")
    opened = shared(("encoder", *which), lambda: open_encoder(encoder, adapter=adapter, threads=threads))
    try:
        meaning = MeaningDetector(constitution, opened, found, topics=thorough, latin=is_default(encoder))
        if thorough or found is None or any(each.static is None for each in found.every):
            return [meaning]
        static = shared(("static", *which), lambda: StaticEncoder(encoder, adapter=adapter))
        try:
            return [StaticDetector(constitution, static, found), meaning]
        except BaseException:
            static.close()
            raise
    except BaseException:
        opened.close()
        raise


def _heads(constitution: Constitution, encoder: str, heads: Path | Literal["shipped"] | None) -> Heads | None:
    found = shipped(constitution) if heads == "shipped" else heads and Heads.load(Path(heads)).within(constitution)
    if not found:
        return None
    weights = find(encoder).weights
    if found.encoder == weights:
        return found
    if heads == "shipped":
        # Another encoder is a choice, and heads of this one would be noise on it: examples judge, and coverage says so.
        _log.warning("the shipped heads are for another encoder than `%s`: rules are judged by their examples", encoder)
        return None
    raise HeadsError(
        f"heads `{heads}` are for encoder `{found.encoder}`, and `{encoder}` is `{weights}`",
        "give the encoder they were taught on, or train heads for this one: `wardlaw gate train`",
    )
