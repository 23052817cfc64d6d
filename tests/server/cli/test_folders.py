"""A folder over several runs: what each run adds, what stays of the others, and what is said of it."""

from __future__ import annotations

import json
import socket
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from constitution.run import RUN_FILE, read_runs
from constitution.store import RowStore
from server.cli.main import main


def run(arguments: list[str]) -> int:
    try:
        return main(arguments)
    except SystemExit as end:
        return int(end.code or 0)


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def change_rules(work: Any, before: str = "may hurt", after: str = "will hurt") -> None:
    path = work.folder / "rules.yaml"
    path.write_text(path.read_text().replace(before, after))


def test_rows_of_mixed_rules_are_each_exported_by_their_own(work, capsys):
    assert run(work.arguments("--limit", "3")) == 0
    change_rules(work)
    assert run(work.arguments("--limit", "5", "--mixed")) == 0
    assert "3 prompts have rows made by other rules; they were not made again" in capsys.readouterr().out
    digests = [one.constitution for one in read_runs(work.out)]
    assert len(digests) == 2
    critic = lines(work.out / "critic.jsonl")
    assert {line["wardlaw"]["constitution"] for line in critic} == set(digests)
    for line in critic:
        asked = line["messages"][-2]["content"]
        old = line["wardlaw"]["constitution"] == digests[0]
        assert ("may hurt" in asked, "will hurt" in asked) == (old, not old)


def test_mixed_rules_that_made_no_row_change_nothing_in_the_folder(work, capsys):
    assert run(work.arguments("--limit", "3")) == 0
    before, critic = (work.out / RUN_FILE).read_bytes(), (work.out / "critic.jsonl").read_bytes()
    capsys.readouterr()
    change_rules(work)
    change_rules(work, "id: careless-advice", "id: advice")
    assert run(work.arguments("--limit", "3", "--mixed")) == 0
    said = capsys.readouterr().out
    assert "3 prompts have rows made by other rules; they were not made again" in said
    assert "do not fit" not in said
    assert (work.out / RUN_FILE).read_bytes() == before
    assert (work.out / "critic.jsonl").read_bytes() == critic
    assert "| careless-advice | Careless advice |" in (work.out / "README.md").read_text()


def test_the_first_command_goes_on_after_a_mixed_one_and_a_third_is_refused(work, capsys):
    assert run(work.arguments("--limit", "3")) == 0
    assert run(work.arguments("--limit", "5", "--seed", "5", "--mixed")) == 0
    assert run(work.arguments("--limit", "7")) == 0
    assert run(work.arguments("--limit", "8", "--seed", "5")) == 0
    capsys.readouterr()
    assert run(work.arguments("--seed", "6")) == 2
    assert "seed: was `" in capsys.readouterr().err
    assert [one.seed for one in read_runs(work.out)] == [0, 5]


def test_a_run_that_failed_before_its_first_row_binds_no_folder_to_its_models(work, monkeypatch):
    monkeypatch.setenv("WARDLAW_PATIENCE", "0.3")
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound and not listening
        assert run(work.arguments(model=f"openai:http://127.0.0.1:{held.getsockname()[1]}/v1#typo")) == 2
    assert run(work.arguments("--limit", "2", "--seed", "3")) == 0
    assert [one.seed for one in read_runs(work.out)] == [3]


def test_a_run_that_was_killed_before_it_had_a_store_binds_nothing_either(work):
    assert run(work.arguments("--limit", "2")) == 0
    for path in work.out.glob("rows.sqlite*"):
        path.unlink()
    assert run(work.arguments("--limit", "2")) == 0
    (work.out / "rows.sqlite").unlink()
    assert run(work.arguments("--limit", "3", "--seed", "9")) == 0
    assert [one.seed for one in read_runs(work.out)] == [9]
    assert len(lines(work.out / "sft.jsonl")) == 3


def test_rows_from_before_are_told_apart_from_prompts_that_repeat(work, capsys):
    assert run(work.arguments()) == 0
    renamed = work.folder / "renamed.txt"
    text = (work.folder / "prompts.txt").read_text()
    renamed.write_text(text + text.splitlines()[4] + "\n")
    capsys.readouterr()
    assert run([str(renamed) if item.endswith("prompts.txt") else item for item in work.arguments()]) == 0
    said = capsys.readouterr().out
    assert "10 prompts had their rows from an earlier run" in said
    assert "1 prompt repeats an earlier one of this input and made no second row" in said
    assert "made by other" not in said


def test_what_does_not_fit_a_format_is_told(work, capsys):
    assert run(work.arguments("--limit", "2")) == 0
    assert "not fit" not in capsys.readouterr().out
    for path in (work.out / "constitutions").iterdir():
        path.unlink()
    assert run(work.arguments("--limit", "2")) == 0
    assert "  critic: 2 rows do not fit" in capsys.readouterr().out
    assert main(["export", str(work.out), "-f", "critic"]) == 0
    assert "critic.jsonl: 0 lines, 2 rows do not fit" in capsys.readouterr().out


# -- export


CHOICES = (
    ["--reasoning", "think", "--sft", "messages", "--licence", "mit", "--parquet", "--preference-reasoning"],
    ["--reasoning", "none", "--sft", "completion", "--licence", "cc0-1.0", "--jsonl", "--no-preference-reasoning"],
)


def output(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "output.json").read_text())
    return found


def test_export_keeps_what_the_run_was_told_and_the_command_line_wins(work):
    assert run(work.arguments("--limit", "2", *CHOICES[0])) == 0
    (work.out / "sft.parquet").unlink()
    before = output(work.out)
    assert main(["export", str(work.out)]) == 0
    assert output(work.out) == before
    assert not list(work.out.glob("*.jsonl"))
    assert (work.out / "sft.parquet").exists()
    assert "license: mit" in (work.out / "README.md").read_text()
    assert main(["export", str(work.out), *CHOICES[1][2:]]) == 0
    assert output(work.out) == {
        "reasoning": "think",
        "preference_reasoning": False,
        "sft": "completion",
        "parquet": False,
        "licence": "cc0-1.0",
    }
    assert lines(work.out / "sft.jsonl")[0]["completion"][0]["content"].startswith("<think>")
    assert not list(work.out.glob("*.parquet"))


def test_generate_can_carry_the_rationale_in_the_pairs(work):
    assert run(work.arguments("--limit", "2", "--preference-reasoning", "--reasoning", "thinking")) == 0
    assert all(line["chosen"][-1]["thinking"] for line in lines(work.out / "preference.jsonl"))


def test_a_run_that_failed_midway_is_exported_as_it_was_told(work, monkeypatch):
    monkeypatch.setenv("WARDLAW_PATIENCE", "0.3")
    work.endpoint.fault = lambda *_: web.Response(status=500) if work.endpoint.requests > 6 else None
    assert run(work.arguments("--licence", "mit", "--concurrency", "1")) == 2
    assert main(["export", str(work.out)]) == 0
    assert "license: mit" in (work.out / "README.md").read_text()


def test_the_templates_of_the_run_ask_in_the_critic_format_afterwards(work):
    from constitution.templates import PROMPTS

    own = work.folder / "own"
    own.mkdir()
    text = (PROMPTS / "en.yaml").read_text(encoding="utf-8")
    (own / "en.yaml").write_text(text.replace("You review", "You review with great care"), encoding="utf-8")
    assert run(work.arguments("--limit", "2", "--templates", str(own))) == 0
    before = (work.out / "critic.jsonl").read_bytes()
    assert b"You review with great care" in before
    (own / "en.yaml").unlink()
    assert main(["export", str(work.out)]) == 0
    assert (work.out / "critic.jsonl").read_bytes() == before


def test_both_commands_take_the_same_options_of_the_files(capsys):
    from server.cli._outputs import CHOICES as NAMES
    from server.cli.export import command as export
    from server.cli.generate import command as generate

    def of(command: Any) -> list[tuple[Any, ...]]:
        return [
            (option.name, option.opts, option.secondary_opts, option.help)
            for option in command.params
            if option.name in (*NAMES, "formats")
        ]

    assert of(export) == of(generate)
    assert len(of(export)) == 6


def test_the_card_and_datasets_know_the_files_of_earlier_exports(work, monkeypatch, tmp_path):
    from datasets import load_dataset

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert run(work.arguments("--limit", "3")) == 0
    assert main(["export", str(work.out), "-f", "sft"]) == 0
    folder, cache = str(work.out), str(tmp_path / "cache")
    assert len(load_dataset(folder, split="train", cache_dir=cache)) == 3
    assert len(load_dataset(folder, "preference", split="train", cache_dir=cache)) == 3
    assert set(json.loads((work.out / "dataset_info.json").read_text())) >= {"wardlaw_alpaca", "wardlaw_sharegpt"}
    card = (work.out / "README.md").read_text()
    assert "Written by an earlier export" in card
    assert "`preference.jsonl`" in card


def test_a_change_of_kind_takes_all_files_along_for_a_folder_is_read_by_one_reader(work, monkeypatch, tmp_path):
    from datasets import load_dataset

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert run(work.arguments("--limit", "3", "-f", "sft", "-f", "preference", "-f", "alpaca")) == 0
    assert main(["export", str(work.out), "-f", "sft", "--parquet"]) == 0
    assert {path.name for path in work.out.glob("*.parquet")} == {"sft.parquet", "preference.parquet", "alpaca.parquet"}
    assert not list(work.out.glob("*.jsonl"))
    for name in ("sft", "preference", "alpaca"):
        rows = load_dataset(str(work.out), name, split="train", cache_dir=str(tmp_path / "cache"))
        assert len(rows) == 3
    info = json.loads((work.out / "dataset_info.json").read_text())
    assert info["wardlaw_alpaca"]["file_name"] == "alpaca.parquet"


def test_a_folder_of_the_first_wardlaw_is_exported_and_goes_on(work):
    """Such a folder has one run and one constitution, and neither templates nor choices."""
    assert run(work.arguments("--limit", "3", "-f", "critic")) == 0
    critic = (work.out / "critic.jsonl").read_bytes()
    (old,) = read_runs(work.out)
    (rules,) = (work.out / "constitutions").iterdir()
    (work.out / RUN_FILE).write_text(old.model_dump_json(indent=2))
    rules.rename(work.out / "constitution.json")
    rules.parent.rmdir()
    (work.out / "output.json").unlink()
    for path in (work.out / "templates").iterdir():
        path.unlink()
    assert main(["export", str(work.out), "-f", "critic"]) == 0
    assert (work.out / "critic.jsonl").read_bytes() == critic
    assert json.loads((work.out / RUN_FILE).read_text())["seed"] == 0, "export adds no run"
    assert "| careless-advice | Careless advice |" in (work.out / "README.md").read_text()
    assert run(work.arguments("--limit", "5")) == 0
    assert run(work.arguments("--limit", "6", "--seed", "4", "--mixed")) == 0
    assert [one.seed for one in read_runs(work.out)] == [0, 4]
    assert not (work.out / "constitution.json").exists()
    assert len(lines(work.out / "critic.jsonl")) >= 6
    with closing(RowStore(work.out, read_only=True)) as store:
        assert store.counts().accepted == 6


@pytest.mark.parametrize("count", [1, 2])
def test_counted_things_are_said_in_the_right_number(count):
    from server.cli._summary import counted, unfit

    assert counted(count, "row") == {1: "1 row", 2: "2 rows"}[count]
    assert unfit(count) == {1: "1 row does not fit", 2: "2 rows do not fit"}[count]
