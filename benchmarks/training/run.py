"""Does training on what Wardlaw made help? Tune a small model on it, and ask before and after.

    python benchmarks/training/run.py --rows FOLDER --held-out FILE --benign FILE --judge MODEL --out DIR \\
        --safe xstest.jsonl.gz --safe oktest.jsonl.gz --text self_instruct.jsonl.gz

FOLDER is what `wardlaw generate` wrote; its prompts must be others than those of the held-out file (split.py parts
them). Arms: `base` is the model as it is; `sft` is fine-tuned on the accepted answers; `sft+dpo` goes on from there
with the pairs; `first` is the control, fine-tuned on the first answers that the loop began from. Stopped, it goes on
with the same command: a step is skipped where its output is there and its inputs are the same, and no answered call
is asked again. On a GPU take a larger --base and --batch, the rows and limits that time allows, and several --seeds.
"""

from __future__ import annotations

import asyncio
import json
from argparse import Namespace
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import judged
from ask import Question, answer_all, draw_questions, perplexity
from judged import Judge
from options import ARMS, options
from report import report
from steps import Steps, bare, digest, file_digest, read_json_lines, write_json_lines
from tune import Tuning, data_file, device_of, save_base, training_rows, tune_dpo, tune_sft

from guard.gate import Gate
from guard.models.base import Sampling
from rules import load
from rules.schema import Rule

JUDGED = ("held-out", "benign")
"""Sets whose answers the judge reads."""


def main() -> None:
    """Do what is asked for."""
    given = options(__doc__)
    Experiment(given).run()


class Experiment:
    """The experiment's parts in their order; each leaves files in the output folder."""

    def __init__(self, given: Namespace) -> None:
        self.given = given
        self.steps = Steps(given.out)
        self.out: Path = given.out
        self.device = device_of(given.device)
        arms = [arm for arm in ARMS if arm == "base" or arm in given.arms.split(",")]
        if "sft+dpo" in arms and "sft" not in arms:
            arms.insert(1, "sft")
        self.seeds = [int(seed) for seed in given.seeds.split(",")]
        self.models = ["base", *(f"{arm}-{seed}" for arm in arms[1:] for seed in self.seeds)]
        self.marks: dict[str, str] = {}
        self.questions = self._questions()
        self.constitution = load(given.rules).constitution

    def run(self) -> None:
        """All parts, as far as was asked."""
        parts = {"tune": self.tune, "answer": self.answer, "judge": self.judge, "report": self.report}
        for name, part in parts.items():
            part()
            if name == self.given.until:
                return

    def tune(self) -> None:
        """Write every model as a folder."""
        given, models = self.given, self.out / "models"
        self.marks["base"] = self.steps.do(
            "base", {"base": given.base}, models / "base", partial(save_base, given.base, models / "base")
        )
        if len(self.models) == 1:
            return
        data = self.out / "data"
        apart = [question.prompt for question in self.questions]
        of = {"apart": digest({"apart": apart})}
        for place, folder in enumerate(given.rows):
            of |= {f"{name} {place}": file_digest(data_file(folder, name)) for name in ("sft", "preference")}
        self.steps.do("data", of, data / "sft.jsonl", partial(self._data, data, apart))
        for name in self.models[1:]:
            arm, _, seed = name.rpartition("-")
            start = f"sft-{seed}" if arm == "sft+dpo" else "base"
            tuning = self._tuning(arm)
            of = {
                "start": self.marks[start],
                "data": file_digest(self._data_of(arm)),
                "arm": arm,
                "seed": seed,
                "tuning": str(tuning),
            }
            work = partial(self._tuned, name, models / start, tuning, int(seed), digest(of))
            self.marks[name] = self.steps.do(f"tune {name}", of, models / name, work)

    def answer(self) -> None:
        """Ask every model every question, and how likely it finds people's texts."""
        given = self.given
        sampling = Sampling(given.temperature, given.top_p, given.max_tokens)
        told = {"sampling": str(sampling), "system": given.system, "seed": given.seed}
        asked = digest({"questions": [[question.key, question.prompt] for question in self.questions]})
        for name in self.models:
            made = {"model": self.marks[name], "questions": asked, **told}
            file = self.out / "answers" / f"{name}.jsonl"
            work = partial(self._answered, self.out / "models" / name, file, sampling)
            self.marks[f"answers {name}"] = self.steps.do(f"answer {name}", made, file, work)
        texts = self._texts()
        for name in self.models if texts else ():
            file = self.out / "perplexity" / f"{name}.jsonl"
            made = {"model": self.marks[name], "texts": digest({"texts": texts}), "system": given.system}
            work = partial(self._likely, self.out / "models" / name, texts, file)
            self.steps.do(f"perplexity {name}", made, file, work)

    def judge(self) -> None:
        """What gate, phrases and judge say of the answers."""
        encoder = None if self.given.encoder == "none" else self.given.encoder
        with Gate.build(self.constitution, encoder=encoder, thorough=True) as gate:
            for name in self.models:
                lines = read_json_lines(self.out / "answers" / f"{name}.jsonl")
                file = self.out / "looked" / f"{name}.jsonl"
                made = {"answers": self.marks[f"answers {name}"], "gate": gate.identity}
                self.steps.do(f"look over {name}", made, file, partial(judged.look_over, gate, lines, file))
            self._check_tellers(gate)
            if self.given.judge:
                self._judged(gate)

    def report(self) -> None:
        """Figures, tables and the picture."""
        report(self.out, self.models)

    # -- the work of single steps

    def _data(self, data: Path, apart: list[str]) -> None:
        counts = training_rows(self.given.rows, data, apart=apart)
        print(counts, flush=True)
        if not counts["sft"]:
            raise SystemExit(f"`{self.given.rows[0]}` holds no accepted row to train on")
        (data / "counts.json").write_text(json.dumps(counts), encoding="utf-8")

    def _tuning(self, arm: str) -> Tuning:
        given = self.given
        if arm == "sft+dpo":
            batch = given.dpo_batch or given.batch
            return Tuning(given.rank, batch, given.dpo_epochs, given.dpo_rate, given.half, given.longest, given.beta)
        return Tuning(given.rank, given.batch, given.sft_epochs, given.sft_rate, given.half, given.longest)

    def _data_of(self, arm: str) -> Path:
        return self.out / "data" / f"{'preference' if arm == 'sft+dpo' else arm}.jsonl"

    def _tuned(self, name: str, start: Path, tuning: Tuning, seed: int, mark: str) -> None:
        arm = name.rpartition("-")[0]
        data = self._data_of(arm)
        lines = read_json_lines(data)
        if not lines:
            raise SystemExit(f"`{data}` is empty: there is nothing to train `{arm}` on")
        teach = tune_dpo if arm == "sft+dpo" else tune_sft
        log = self.out / "tuned" / f"{name}.json"
        log.parent.mkdir(exist_ok=True)
        work = log.parent / f"{name}-{mark}"  # checkpoints of other settings must not be gone on with
        came = teach(start, lines, self.out / "models" / name, work, tuning, seed=seed, device=self.device)
        log.write_text(json.dumps(came, indent=1), encoding="utf-8")

    def _answered(self, folder: Path, file: Path, sampling: Sampling) -> None:
        given = self.given
        (self.out / "calls").mkdir(exist_ok=True)
        dtype = "bfloat16" if given.half else "float32"
        model = f"hf:{folder}?device={self.device}&batch={given.answer_batch}&dtype={dtype}"
        asyncio.run(
            answer_all(
                model,
                self.questions,
                file,
                self.out / "calls",
                sampling,
                system=given.system,
                seed=given.seed,
                at_once=given.answer_batch * 2,
            )
        )

    def _likely(self, folder: Path, texts: list[dict[str, Any]], file: Path) -> None:
        write_json_lines(file, perplexity(folder, texts, system=self.given.system, device=self.device, batch=8))

    def _check_tellers(self, gate: Gate) -> None:
        """How far the phrases and the gate agree with people's labels."""
        for name, path in (("refusal", self.given.refusal_labels), ("harm", self.given.harm_labels)):
            if path is None:
                continue
            rows = read_json_lines(path)
            lines = [
                {"set": name, "id": row["id"], "prompt": row["prompt"], "answer": row["response"], "finish": "stop"}
                for row in rows
            ]
            file = self.out / "labels" / f"{name}.jsonl"
            made = {"labels": file_digest(path), "gate": gate.identity}
            self.steps.do(f"check on {name}", made, file, partial(judged.look_over, gate, lines, file))
            labels = [{"key": f"{name}/{row['id']}", "label": row["label"]} for row in rows]
            write_json_lines(self.out / "labels" / f"{name}-labels.jsonl", labels)

    def _judged(self, gate: Gate) -> None:
        """What the judge says: of each answer alone, of labelled ones, and of two side by side."""
        given = self.given
        asked = {name: [q for q in self.questions if q.set == name][: given.judge_limit] for name in JUDGED}
        seen = [question for questions in asked.values() for question in questions]
        answers = {name: self._answers(name) for name in self.models}
        rules = self._rules_for(gate, seen)
        cases = self._labelled()
        case_rules = self._rules_for(gate, [Question("case", c["id"], c["prompt"]) for c in cases])
        told = {"judge": given.judge, "by": given.judge_by, "gate": gate.identity}
        made = {**told, "answers": [self.marks[f"answers {name}"] for name in self.models], "limit": given.judge_limit}
        for name, of, work in (
            ("grades", made, lambda judge: judged.grade_all(judge, rules, seen, answers, given.system)),
            (
                "reliability",
                {**told, "cases": digest({"cases": cases})},
                lambda judge: judged.reliability(judge, case_rules, cases),
            ),
            (
                "comparisons",
                made,
                lambda judge: judged.compare_all(judge, asked["benign"], answers, "base"),
            ),
        ):
            file = self.out / "judge" / f"{name}.jsonl"
            self.steps.do(name, of, file, partial(self._with_judge, work, file))

    def _rules_for(self, gate: Gate, questions: Sequence[Question]) -> Mapping[str, Rule]:
        if self.given.judge_by == "all":
            return dict.fromkeys((question.key for question in questions), judged.all_in_one(self.constitution))
        return judged.rules_for(gate, self.constitution, questions)

    def _with_judge(self, work: Callable[[Judge], Awaitable[list[dict[str, Any]]]], file: Path) -> None:
        async def judging() -> list[dict[str, Any]]:
            judge = Judge(self.given.judge, self.out / "calls", at_once=self.given.judge_slots)
            try:
                return await work(judge)
            finally:
                await judge.close()

        write_json_lines(file, asyncio.run(judging()))

    # -- what is asked

    def _questions(self) -> list[Question]:
        given = self.given
        found = draw_questions("held-out", given.held_out, given.held_out_limit, given.seed)
        if given.benign:
            found += draw_questions("benign", given.benign, given.limit, given.seed)
        for path in given.safe:
            name = path.name.split(".")[0]
            found += draw_questions(name, path, given.limit, given.seed, safe_only=True)
        return found

    def _texts(self) -> list[dict[str, Any]]:
        """People's texts, but for those whose prompt stands in the training rows."""
        if self.given.text is None:
            return []
        data = self.out / "data" / "sft.jsonl"
        taught = {bare(line["prompt"][-1]["content"]) for line in read_json_lines(data)} if data.exists() else set()
        lines = [row for row in read_json_lines(self.given.text) if bare(row["prompt"]) not in taught]
        lines = [row for row in lines if len(row["response"]) >= 40 and len(row["prompt"] + row["response"]) <= 1200]
        return [{key: row[key] for key in ("id", "prompt", "response")} for row in lines[: self.given.limit]]

    def _answers(self, name: str) -> dict[str, str]:
        lines = read_json_lines(self.out / "answers" / f"{name}.jsonl")
        return {f"{line['set']}/{line['id']}": line["answer"] for line in lines}

    def _labelled(self) -> list[dict[str, Any]]:
        """Labelled responses to check the judge on, half of each label, short ones first drawn by the seed."""
        if self.given.harm_labels is None:
            return []
        import random

        rows = [row for row in read_json_lines(self.given.harm_labels) if len(row["response"]) <= 1200]
        random.Random(self.given.seed).shuffle(rows)
        half = self.given.label_limit // 2
        kept = [row for label in ("harmful", "safe") for row in [r for r in rows if r["label"] == label][:half]]
        return [{**row, "key": f"case/{row['id']}"} for row in kept]


if __name__ == "__main__":
    main()
