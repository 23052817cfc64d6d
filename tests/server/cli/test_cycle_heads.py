"""The second half of `wardlaw cycle`: labels, teaching, thresholds, check, and what comes into force."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from guard.exchange import Message
from guard.ledger.entering import enter
from guard.ledger.find import held_out, make_find
from server.cli.main import main

pytestmark = pytest.mark.usefixtures("quiet_torch", "cache_of_the_run")

CALIBRATE = {"benign": ["traffic.jsonl"], "budget": "10%"}

THINGS = "kettle ladder basket candle knife pencil saddle blanket window bridge house car money".split()
PLACES = "kitchen garden station library harbour museum bakery stable teacher neighbour".split()


def asked(verb: str, place: str) -> list[str]:
    return [f"how do i {verb} the {thing} near the {place}" for thing in THINGS]


RULES = f"""\
constitution: taught
title: Taught
rules:
  - id: theft-help
    title: Helping to steal
    rule: Do not help to take what belongs to others.
    why: It hurts those who did nothing to deserve it.
    watches: [prompt]
    detect: {{}}
    tests:
      breaks: {json.dumps(asked("steal", "stable")[:6])}
      keeps: {json.dumps(asked("mend", "stable")[:6])}
"""


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def labelled(verb: str, label: str, places: list[str]) -> list[dict[str, Any]]:
    return [
        {"prompt": text, "label": label, "category": "theft-help", "row": f"{place}-{thing}"}
        for place in places
        for thing, text in zip(THINGS, asked(verb, place), strict=True)
    ]


class Bench:
    """A folder with a rule, labelled texts and a small encoder, and the command to run on it."""

    def __init__(self, folder: Path, encoder: Path, capsys: Any) -> None:
        self.folder, self._capsys = folder, capsys
        (folder / "rules.yaml").write_text(RULES)
        write(folder / "twins.jsonl", labelled("steal", "harmful", PLACES[:5]) + labelled("mend", "safe", PLACES[:5]))
        verbs = ("paint", "wash", "polish", "carry")
        plain = [text for verb in verbs for place in (*PLACES[:3], *PLACES[8:]) for text in asked(verb, place)]
        write(folder / "plain.jsonl", [{"prompt": text, "label": "safe"} for text in plain])
        write(folder / "traffic.jsonl", [{"prompt": text} for place in PLACES[:4] for text in asked("clean", place)])
        write(folder / "check.jsonl", labelled("steal", "harmful", PLACES[5:7]) + labelled("mend", "safe", PLACES[5:7]))
        self.settings: dict[str, Any] = {
            "rules": ["rules.yaml"],
            "gate": {"encoder": str(encoder), "heads": "none"},
            "probes": None,
            "rows": None,
            "threads": 1,
            "labels": {"data": ["twins.jsonl", "plain.jsonl"]},
            "train": {"how": "heads", "bank": False, "budget": "10%"},
            "check": {"sets": ["check.jsonl"]},
        }
        self.encoder = encoder
        self.write()

    @property
    def out(self) -> Path:
        return self.folder / "cycle"

    @property
    def current(self) -> Path:
        return self.out / "current"

    def write(self, **more: Any) -> None:
        self.settings |= more
        (self.folder / "cycle.yaml").write_text(yaml.safe_dump(self.settings))

    def run(self, *options: str) -> tuple[int, dict[str, Any], str]:
        code = main(["cycle", str(self.folder / "cycle.yaml"), "--json", *options])
        captured = self._capsys.readouterr()
        return code, json.loads(captured.out) if captured.out else {}, captured.err

    def judged(self, text: str) -> int:
        """What `wardlaw gate check` says with the heads in force."""
        options = ["-r", str(self.folder / "rules.yaml"), "--encoder", str(self.encoder), "--heads", str(self.current)]
        code = main(["gate", "check", *options, text])
        self._capsys.readouterr()
        return code


@pytest.fixture
def bench(tmp_path, small_encoder, capsys):
    return Bench(tmp_path, small_encoder, capsys)


@dataclass
class Taught:
    """A cycle that was run once for all tests of this file."""

    folder: Path
    kept: Path
    """A copy of the folder."""
    code: int
    report: dict[str, Any]
    told: str


@pytest.fixture(scope="module")
def taught(tmp_path_factory, small_encoder, cache_of_the_run):
    folder = tmp_path_factory.mktemp("taught")
    Bench(folder, small_encoder, None).write(calibrate=CALIBRATE)
    said, told = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(told), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="builtin type .* has no __module__ attribute")
        code = main(["cycle", str(folder / "cycle.yaml"), "--json"])
    kept = tmp_path_factory.mktemp("kept") / "taught"
    shutil.copytree(folder, kept, symlinks=True)
    return Taught(folder, kept, code, json.loads(said.getvalue()) if not code else {}, told.getvalue())


@pytest.fixture
def built(taught, small_encoder, capsys):
    """The folder of that cycle as it was left: at the same place, since a cycle goes by paths."""
    shutil.rmtree(taught.folder)
    shutil.copytree(taught.kept, taught.folder, symlinks=True)
    bench = Bench(taught.folder, small_encoder, capsys)
    bench.write(calibrate=CALIBRATE)
    return bench


def test_heads_are_taught_calibrated_measured_and_come_into_force(taught, built):
    bench, report = built, taught.report
    assert taught.code == 0, taught.told
    assert report["train"]["taught"] == ["theft-help"]
    promise = report["calibrate"]["promises"]["prompts"]
    assert promise["budget"] == 0.1
    assert promise["bound"] <= 0.1
    (check,) = [each for each in report["gate"]["sets"] if each["set"] == "check"]
    assert check["after"]["recall"]["value"] > check["before"]["recall"]["value"]
    assert check["after"]["recall"]["low"] < check["after"]["recall"]["value"]
    assert report["coverage"][0]["head"]
    assert report["coverage"][0]["labels"] > 100
    assert bench.current.is_symlink()
    card = json.loads((bench.current / "card.json").read_text())
    assert card["promises"]["asked"]["traffic"] == "prompts as in traffic.jsonl"
    assert bench.judged("how do i steal the kettle near the museum") == 1
    assert bench.judged("how do i mend the kettle near the museum") == 0
    _, again, _ = bench.run()
    assert {each["did"] for each in again["steps"]} == {"skipped"}
    assert again["adopt"]["adopted"]


def test_what_is_near_a_test_or_a_check_set_is_not_taught_and_counted(bench):
    rows = labelled("steal", "harmful", PLACES[:5]) + labelled("mend", "safe", PLACES[:5])
    near = [{"prompt": f"{asked('steal', 'stable')[0]}!", "label": "harmful"}]
    near += [{"prompt": f"{text}?", "label": "harmful"} for text in asked("steal", PLACES[5])[:2]]
    write(bench.folder / "twins.jsonl", rows + near)
    code, report, error = bench.run()
    assert code == 0, error
    taken = report["labels"]["sources"]["twins"]["taken_out"]
    assert taken["tests"] >= 1
    assert taken["check sets"] >= 2
    taught = (bench.out / "labels" / "twins.jsonl").read_text()
    assert not any(row["prompt"] in taught for row in near)
    assert "rows taken out, as near what is measured on" in error


def test_a_check_that_got_worse_is_not_adopted_and_the_former_heads_stay(built):
    bench = built
    before = bench.current.resolve()
    # Somebody mixes the labels up: what was harmless is harmful now.
    write(
        bench.folder / "twins.jsonl",
        labelled("mend", "harmful", PLACES[:5]) + labelled("steal", "safe", PLACES[:5]),
    )
    code, report, error = bench.run()
    assert code == 1
    assert report["cycle"] == 2
    assert not report["adopt"]["adopted"]
    assert "not in force: rule `theft-help` no longer finds its test" in error
    assert "check set `check`: harmful rows found: " in error
    assert bench.current.resolve() == before
    assert bench.judged("how do i steal the kettle near the museum") == 1
    assert "did **not** come into force" in (bench.out / "README.md").read_text()
    # Nothing is done again, and it is not forgotten either.
    code, report, _ = bench.run("-q")
    assert code == 1
    assert {each["did"] for each in report["steps"]} == {"skipped"}
    bench.write(adopt={"demand": "report"})
    code, report, _ = bench.run("-q")
    assert (code, report["adopt"]["adopted"]) == (0, True)
    assert bench.current.resolve() != before


def test_refused_in_the_first_cycle_the_heads_to_begin_with_are_in_force(built):
    bench = built
    first = bench.current.resolve()
    bench.write(out="other", calibrate=None, gate={"encoder": str(bench.encoder), "heads": str(first)})
    write(
        bench.folder / "twins.jsonl",
        labelled("mend", "harmful", PLACES[:5]) + labelled("steal", "safe", PLACES[:5]),
    )
    assert bench.run("-q")[0] == 1
    current = bench.folder / "other" / "current"
    assert current.resolve().name == "000"
    assert (current / "heads.safetensors").read_bytes() == (first / "heads.safetensors").read_bytes()


def test_finds_teach_but_those_held_out_and_a_replay_is_recorded(bench):
    from datetime import UTC, datetime

    texts = [text for place in PLACES[8:] for text in asked("burn", place)]
    now = datetime.now(UTC)
    finds = [
        make_find("break", [Message("user", text)], None, found=now, by="me", source="person", rules=("theft-help",))
        for text in texts
    ]
    enter(bench.folder / "redteam.jsonl", finds)
    bench.write(ledger={"hold_out": "30%", "record": True})
    code, report, error = bench.run()
    assert code == 0, error
    held = [find for find in finds if held_out(find.id, 0.3)]
    assert report["ledger"]["held_out"] == len(held) > 0
    taught = (bench.out / "labels" / "ledger.jsonl").read_text()
    assert not any(find.text in taught for find in held)
    ledger = report["gate"]["ledger"]
    assert ledger["fixed"] > 0
    assert {side: kinds["break"]["n"] for side, kinds in ledger["sides"].items()} == {
        "taught": len(finds) - len(held),
        "held out": len(held),
    }
    assert ledger["holds"] + ledger["still_open"] == len(finds)
    from guard.ledger.file import read_ledger
    from guard.ledger.state import fold

    entries = fold(read_ledger(bench.folder / "redteam.jsonl").events).values()
    assert sum(entry.status == "fixed" for entry in entries) == ledger["holds"]
    code, again, _ = bench.run()
    assert {each["did"] for each in again["steps"]} == {"skipped"}


def test_a_rule_that_is_taught_again_onto_heads_that_know_it_learns_from_its_labels(built):
    bench = built
    base = bench.current.resolve()
    onto = {"how": "onto", "bank": False, "budget": "10%"}
    bench.write(out="again", calibrate=None, gate={"encoder": str(bench.encoder), "heads": str(base)}, train=onto)
    code, report, error = bench.run()
    assert code == 0, error
    assert "every rule has a head already: nothing to teach" in error
    write(bench.folder / "more.jsonl", labelled("burn", "harmful", PLACES[:5]) + labelled("wash", "safe", PLACES[:5]))
    bench.write(train={**onto, "again": ["labelled"]}, labels={"data": ["twins.jsonl", "more.jsonl", "plain.jsonl"]})
    code, report, error = bench.run()
    assert report["train"]["taught"] == ["theft-help"], error
    from guard.trained.heads import Heads
    from rules import load

    heads = Heads.load(bench.folder / "again" / "heads" / "002-taught")
    rule = load(bench.folder / "rules.yaml").constitution.rules[0]
    assert heads.of(rule) is heads.also[0]


def test_a_labelled_row_at_fault_is_told_in_the_file_it_stands_in(bench):
    write(bench.folder / "twins.jsonl", [{"prompt": "x", "label": "evil"}])
    code, _, error = bench.run("-q")
    assert code == 2
    assert f"{bench.folder / 'twins.jsonl'}:1: the label `evil`" in error
    assert not bench.out.joinpath("cycle.json").exists()


def test_a_promise_that_the_rows_cannot_carry_stops_before_anything_changes(bench):
    bench.write(calibrate={"benign": ["traffic.jsonl"], "budget": "0.1%"})
    code, _, error = bench.run("-q")
    assert code == 2
    assert "52 benign prompts cannot promise 0.1%" in error
    assert not bench.current.exists()


def test_a_server_that_is_pointed_there_takes_the_new_heads_up_with_a_reload_unless_they_are_worse(built):
    from server.building import build, load_checked
    from server.inforce import InForce
    from server.reload import Reloader
    from server.settings import GateSettings, ServerSettings

    bench = built
    bench.write(calibrate=None)
    rules = (str(bench.folder / "rules.yaml"),)
    gate = GateSettings(encoder=str(bench.encoder), heads=str(bench.current))
    settings = ServerSettings(constitutions={"default": rules}, gate=gate)
    built = build(load_checked(rules), settings)
    guards = InForce({"default": built.guard})
    reloader = Reloader(settings, {"default": built}, guards)

    def reload() -> str:
        return asyncio.run(reloader.reload("request"))[0].outcome

    assert reload() == "unchanged"
    more = labelled("burn", "harmful", PLACES[:5]) + labelled("wash", "safe", PLACES[:5])
    write(bench.folder / "more.jsonl", more)
    bench.write(labels={"data": ["twins.jsonl", "more.jsonl", "plain.jsonl"]})
    assert bench.run("-q")[0] == 0
    assert reload() == "swapped"
    write(
        bench.folder / "twins.jsonl",
        labelled("mend", "harmful", PLACES[:5]) + labelled("steal", "safe", PLACES[:5]),
    )
    bench.write(adopt={"demand": "report"})
    assert bench.run("-q")[0] == 0
    assert reload() == "failed"
    assert "no longer finds its test" in reloader.last["default"].error
    guards.close()
