"""How far a judge agrees with answers labelled by hand: `python benchmarks/judge_reliability.py JUDGE OUT`, a table.

JUDGE is any model of docs/models.md. OUT keeps its calls, so that a run which was stopped goes on; a folder of
`wardlaw evaluate` shares them.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import closing
from pathlib import Path

from constitution.calls import Caller, Meter
from constitution.evaluating.bench import Bench
from constitution.evaluating.criteria import conversation, grounding, identity
from constitution.evaluating.criterion import Reliability
from constitution.evaluating.folder import CallStore
from constitution.evaluating.judged import reliability
from constitution.evaluating.written import labelled_answers, labelled_talks
from constitution.templates import TemplateSet
from guard.gate import Gate
from guard.language import load_statistics
from guard.models import open_model
from guard.models.base import Sampling
from rules.load import load


async def main(judge: str, folder: Path) -> None:
    """Print a line as soon as a question is through."""
    load_statistics()
    constitution = load("sparrow").constitution
    model = open_model(judge, concurrency=4)
    with closing(CallStore(folder)) as store, Gate.build(constitution, encoder=None, thorough=True) as gate:
        caller = Caller({"judge": model}, {"judge": Sampling(0.0)}, store, Meter())
        bench = Bench(caller, gate, constitution, TemplateSet.read(), Sampling(0.0))
        bench.concurrency = 1 if model.local else 16
        for name, labelled, questions in (
            ("identity", labelled_talks("identity"), identity.QUESTIONS),
            ("grounding", labelled_answers(), grounding.QUESTIONS),
            ("conversation", labelled_talks("conversation"), conversation.QUESTIONS),
            ("helpfulness", labelled_talks("helpfulness"), ("helpful",)),
        ):
            for question in questions:
                for found in await reliability(bench, name, labelled, (question,)):
                    print(_line(name, found), flush=True)
    await model.close()


def _line(name: str, found: Reliability) -> str:
    kappa = "-" if found.kappa is None else f"{found.kappa:.2f}"
    agreement = f"{found.agreement:.1%} [{found.low:.1%}, {found.high:.1%}]"
    baseline = "-" if found.baseline is None else f"{found.baseline:.1%}"
    beats = "yes" if found.informs else "not shown"
    return f"| {name} | {found.of} | {found.labels} | {agreement} | {baseline} | {kappa} | {found.unread} | {beats} |"


if __name__ == "__main__":
    out = Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    asyncio.run(main(sys.argv[1], out))
