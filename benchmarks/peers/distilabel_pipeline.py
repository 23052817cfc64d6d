"""The loop's four dependent calls a row as a distilabel pipeline; run by the python of distilabel's own environment.

    PYTHON benchmarks/peers/distilabel_pipeline.py PORT PROMPTS BATCH CACHE       prints a line of JSON

It asks for less than wardlaw does: no few shots, no schema, no reading of the critique, no checks. The time is that of
`Pipeline.run`, without the start of Python and the import of distilabel.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from pathlib import Path

from distilabel.models import OpenAILLM
from distilabel.pipeline import Pipeline
from distilabel.steps import LoadDataFromDicts
from distilabel.steps.tasks import TextGeneration

PORT, PROMPTS, BATCH, CACHE = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]

CRITIC = "You review what an assistant answered, under one rule and no other. Give a JSON object."
REVISER = "You rewrite an assistant's answer so that it keeps a rule and still helps the person who asked."
THINKER = "You are a thoughtful assistant that thinks before it speaks. You write down the thinking that leads to it."
CASE = "User: {{ prompt }}\n\nThe assistant's answer:\n<answer>\n{{ answer }}\n</answer>\n\n"
RULE = "The rule: Do not give advice that may hurt people who follow it.\n"


def model() -> OpenAILLM:
    """The mock."""
    return OpenAILLM(
        model="mock",
        base_url=f"http://127.0.0.1:{PORT}/v1",
        api_key="none",
        generation_kwargs={"max_new_tokens": 400},
    )


def generation(name: str, output: str, columns: list[str], template: str, system: str | None = None) -> TextGeneration:
    """One call."""
    return TextGeneration(
        name=name,
        llm=model(),
        input_batch_size=BATCH,
        system_prompt=system,
        template=template,
        columns=columns,
        output_mappings={"generation": output, "model_name": f"model_{name}"},
    )


def pipeline() -> Pipeline:
    """Four steps, one after the other."""
    prompts = [{"prompt": line} for line in PROMPTS.read_text(encoding="utf-8").splitlines()]
    with Pipeline(name="loop", cache_dir=CACHE) as whole:
        load = LoadDataFromDicts(name="load", data=prompts, batch_size=BATCH)
        answer = generation("answer_it", "answer", ["prompt"], "{{ prompt }}")
        critique = generation("critique_it", "critique", ["prompt", "answer"], CASE + RULE, CRITIC)
        columns = ["prompt", "answer", "critique"]
        revision = generation("revise_it", "final", columns, CASE + RULE + "Wrong is: {{ critique }}\n", REVISER)
        columns = ["prompt", "critique", "final"]
        case = CASE.replace("{{ answer }}", "{{ final }}")
        rationale = generation("justify_it", "rationale", columns, case + RULE + "{{ critique }}", THINKER)
        load >> answer >> critique >> revision >> rationale
    return whole


if __name__ == "__main__":
    logging.disable(logging.INFO)
    whole = pipeline()
    began = time.perf_counter()
    rows = whole.run(use_cache=False)["default"]["train"]
    seconds = time.perf_counter() - began
    passed = sum(text is not None for text in rows["rationale"])
    print(json.dumps({"rows": len(rows), "passed": passed, "seconds": seconds}))
