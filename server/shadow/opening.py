"""Candidates and what judges them, put together for one worker."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from server.shadow.judging import Shadowing

if TYPE_CHECKING:
    from server.audit.keeper import Keeper
    from server.inforce import InForce
    from server.settings import ServerSettings
    from server.shadow.candidates import Candidates
    from server.telemetry.metrics import Metrics


def open_shadowing(
    settings: ServerSettings, candidates: Candidates, guards: InForce, audit: Keeper, metrics: Metrics
) -> Shadowing | None:
    """What judges the candidates, its counts following each that is loaded; None where there are none."""
    given = settings.shadow
    if not given.candidates:
        return None
    shadowing = Shadowing(guards, audit.keep_shadow, metrics, share=given.share, queue=given.queue)
    before: dict[str, str] = {}

    def changed(digests: dict[str, str]) -> None:
        shadowing.begin(digests)
        metrics.constitutions(digests, before, candidates=True)
        before.update(digests)
        metrics.candidates_failing(candidates.failed)

    candidates.on_changed = changed
    return shadowing


def candidates_told(
    settings: ServerSettings,
    candidates: Candidates,
    shadowing: Shadowing,
    in_force: Callable[[], Mapping[str, str]],
    details: bool,
) -> dict[str, dict[str, Any]]:
    """Each constitution's candidate, as `/healthz` and `POST /admin/reload` tell it.

    Args:
        in_force: tells name -> digest of the rules in force.
        details: why a load failed, too.
    """
    counts, before = shadowing.told(), in_force()
    told: dict[str, dict[str, Any]] = {}
    for name in settings.shadow.candidates:
        last = candidates.last.get(name)
        digest = candidates.digests.get(name, "")
        told[name] = {
            "digest": digest,
            "same": digest == before.get(name),
            "percent": settings.rollout.percent,
            "load": last.told(details=details) if last else {},
            **counts.get(name, {"judged": 0, "flips": {}, "dropped": {}}),
            "waiting": shadowing.waiting,
        }
    return told
