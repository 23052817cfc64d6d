"""Thresholds by one's own harmless traffic, with their promise."""

from __future__ import annotations

from constitution.cycle.digests import of_data, of_encoder, of_files, of_rules
from constitution.cycle.settings import CalibrateSettings, CycleSettings
from constitution.cycle.state import CycleError
from constitution.cycle.step import Made, Work, folder_in_place, load_heads
from guard.training.recalibrate import SIDES, check_rows, exchanges_of, read_traffic, with_border

NAME = "calibrate"
ABOUT = "thresholds by your own traffic"
VERSION = 1


def left_out(settings: CycleSettings) -> bool:
    """Whether the thresholds stay as teaching set them."""
    return settings.calibrate is None


def after(settings: CycleSettings) -> tuple[str, ...]:
    """What was taught."""
    return ("train",) if settings.train is not None else ()


def inputs(work: Work) -> dict[str, str]:
    """Rules, encoder, traffic and budget; and the heads, where none are taught."""
    calibrate = _settings(work)
    untaught = {} if work.settings.train else {"heads in force": work.state.before.identity}
    return {
        **of_rules(work.constitution),
        **untaught,
        "settings `calibrate`": of_data(calibrate.model_dump(mode="json", exclude={"benign"})),
        "encoder": of_encoder(work.settings.gate.encoder),
        **of_files("file", calibrate.benign),
    }


def run(work: Work) -> Made:
    """Set the threshold of each side that the traffic has and the heads judge."""
    calibrate = _settings(work)
    found = exchanges_of(read_traffic(calibrate.benign))
    given = work.heads_from("train")
    heads = load_heads(work, given)
    if heads is None:
        raise CycleError(
            "there are no heads to set thresholds of", "write `train: {how: heads}`, or delete `calibrate`"
        )
    sides = {name: exchanges for name, exchanges in found.items() if SIDES[name] in heads.sides}
    if not sides:
        raise CycleError(f"the heads judge no {' and no '.join(found)}", "give traffic of the other kind")
    check_rows(sides, calibrate.budget)
    named = ", ".join(path.name for path in calibrate.benign)
    told = {}
    with work.gate(given, thorough=True) as gate:
        for name, exchanges in sides.items():
            heads, border = with_border(
                heads,
                gate,
                name,
                exchanges,
                budget=calibrate.budget,
                unsure=calibrate.unsure,
                traffic=f"{name} as in {named}",
            )
            told[name] = {**border.promise.as_dict(), "before": border.before}
            work.told(f"{name}: threshold {border.promise.threshold:.4f} (was {border.before:.4f}); {border.promise}")
    out = work.heads_folder()
    with folder_in_place(out) as partial:
        heads.save(partial)
    return Made([out], {"promises": told})


def _settings(work: Work) -> CalibrateSettings:
    if work.settings.calibrate is None:
        raise CycleError("the cycle sets no thresholds", "write `calibrate: {benign: [traffic.jsonl]}`")
    return work.settings.calibrate
