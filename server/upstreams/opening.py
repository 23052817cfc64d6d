"""The upstream that the settings name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rules.errors import WardlawError
from server.upstreams.base import Upstream
from server.upstreams.translated import TranslatedUpstream

if TYPE_CHECKING:
    from server.upstreams.settings import UpstreamSettings


def open_upstream(settings: UpstreamSettings, *, credentials: bool = True) -> Upstream:
    """Open an upstream that speaks every dialect, by translation where it does not itself.

    A local model is loaded here, which takes seconds to minutes; to an address nothing is sent yet.

    Args:
        settings: which one.
        credentials: whether clients' own credentials may be handed on; never where they are keys of this server.

    Raises:
        WardlawError: no upstream or two are given, the address is none, or the model cannot be opened.
    """
    if settings.url and settings.model:
        raise WardlawError(
            "both `upstream.url` and `upstream.model` are given", "keep the one that is meant: an address, or a model"
        )
    if settings.url:
        from server.upstreams.http import HttpUpstream

        return TranslatedUpstream(HttpUpstream(settings, credentials=credentials))
    if settings.model:
        from guard.models import open_model
        from server.upstreams.local import LocalUpstream

        return TranslatedUpstream(LocalUpstream(open_model(settings.model), _shown(settings.model)))
    raise WardlawError(
        "no upstream is given",
        "set `upstream.url` to an address as `http://127.0.0.1:8000/v1`, or `upstream.model` to `embedded`",
    )


def _shown(model: str) -> str:
    """What clients see of a model's name: of one behind addresses, not the addresses."""
    if model.startswith(("openai:", "pool:")):
        return model.partition("#")[2].partition("?")[0]
    return model
