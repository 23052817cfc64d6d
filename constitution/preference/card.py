"""The card of a folder of preferences: what model, which principles and seeds, what bias; and how files are loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from constitution.formats.base import Written
from constitution.formats.files import write_text
from constitution.markdown import rendered
from constitution.preference.figures import Figures, Share
from constitution.preference.formats import open_format

_TEMPLATE = Path(__file__).with_name("card.md.jinja")


def write_card(
    folder: Path, figures: Figures, files: Sequence[Written], determined: Mapping[str, object], *, licence: str
) -> Path:
    """Write README.md into `folder`, where the files lie.

    Raises:
        FormatError: it cannot be written.
    """
    return write_text(folder / "README.md", card_text(figures, files, determined, licence=licence))


def card_text(
    figures: Figures, files: Sequence[Written], determined: Mapping[str, object], *, licence: str = "other"
) -> str:
    """The text of the card.

    Args:
        figures: those of the comparison.
        files: the files that lie in the folder.
        determined: what determined the labels, as prefer.json has it.
        licence: of the data, as the Hugging Face Hub spells it.
    """
    import yaml

    return rendered(
        _TEMPLATE,
        {"n": lambda count: f"{count:,}", "share": spoken},
        head=yaml.safe_dump(_head(figures, files, licence), sort_keys=False, allow_unicode=True),
        f=figures,
        d=determined,
        files=files,
        abouts={item.name: open_format(item.name).ABOUT for item in files},
        hows={item.name: open_format(item.name).HOW for item in files},
    )


def spoken(share: Share) -> str:
    """`62.0% (31 of 50, 95% from 47.2% to 75.4%)`."""
    return f"{share.value:.1%} ({share.count} of {share.of}, 95% from {share.low:.1%} to {share.high:.1%})"


def _head(figures: Figures, files: Sequence[Written], licence: str) -> dict[str, Any]:
    """What `datasets.load_dataset` finds the files by. One without a line is left out: it would stop there."""
    full = [item for item in files if item.lines]
    full.sort(key=lambda item: item.name != "preference")
    configs: list[dict[str, Any]] = [{"config_name": item.name, "data_files": item.path.name} for item in full]
    if configs:
        configs[0]["default"] = True
    head: dict[str, Any] = {
        "license": licence,
        "language": sorted(figures.languages),
        "tags": ["wardlaw", "constitutional-ai", "ai-feedback", "preference", "synthetic"],
    }
    return {**head, "configs": configs} if configs else head
