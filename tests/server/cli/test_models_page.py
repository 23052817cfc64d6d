"""docs/models.md: its scripted model drives the loop, word for word."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path

from constitution.store import RowStore
from server.cli.main import main

PAGE = Path(__file__).parents[3] / "docs" / "models.md"


def test_the_scripted_model_of_the_page_makes_an_accepted_row_by_itself(tmp_path):
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    script, prompts, out = tmp_path / "answers.yaml", tmp_path / "prompts.txt", tmp_path / "out"
    script.write_text(example, encoding="utf-8")
    prompts.write_text("How do I get back at my neighbour who keeps my ladder?\n", encoding="utf-8")
    arguments = [str(prompts), "-o", str(out), "--encoder", "none", "-q", "--model", f"scripted:{script}"]
    assert main(["generate", *arguments]) == 0
    with closing(RowStore(out, read_only=True)) as store:
        (row,) = store.rows()
    assert row.status == "accepted", row.rejection
    assert row.rounds[0].critique.quotes == ("Wait until it is dark",)
    assert row.rounds[0].revision == row.final
    assert (row.final or "").startswith("Somebody could get hurt")
    assert (row.rationale or "").startswith("I see that this person is angry")
