"""Teach the critic itself: the loop's own question, and the critique as the answer.

One line a round of an accepted row, whether the critic saw a break or not: a critic that only ever sees broken
answers learns that everything breaks. A critique that quotes what the answer does not say is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from constitution.formats.base import Options, Unfit, finished, message_type, origin, origin_type
from constitution.row import Row
from constitution.templates import TemplateSet, critique_json
from guard.exchange import Message
from rules.schema import Rule

NAME = "critic"
ABOUT = "The loop's question to the critic and a critique that held, to teach a critic of your own."
HOW = """Train on it as on `sft`. `rule` names the rule in question, `verdict` what was found: look that both verdicts
are there in number before you train."""


def project(row: Row, options: Options) -> Iterator[dict[str, Any]]:
    """One line a round whose quotes the answer really says.

    Raises:
        Unfit: the constitution that made the row is not given, or has lost a rule of it.
    """
    pair = finished(row)
    if pair is None:
        return
    templates = (options.templates.get(row.templates) or _shipped()).of(row.language)
    conversation = templates.conversation([Message(said.role, said.content) for said in row.prompt])
    judged = pair[0]
    for round_ in row.rounds:
        critique = round_.critique
        really = all(quote in judged for quote in critique.quotes)
        # A verdict of `breaks` without a quote points at nothing: it teaches to accuse.
        if really and (critique.quotes or critique.verdict == "keeps"):
            rule = templates.rule(_rule(row, round_.rule, options))
            asked = templates.render("critique", conversation=conversation, answer=judged, rule=rule)
            system = templates.critique.system.strip()
            yield {
                "messages": [
                    *([{"role": "system", "content": system}] if system else []),
                    {"role": "user", "content": asked},
                    {"role": "assistant", "content": critique_json(critique)},
                ],
                "rule": round_.rule,
                "verdict": critique.verdict,
                "wardlaw": origin(row),
            }
        judged = round_.revision if round_.revision is not None else judged


def schema(options: Options) -> Any:
    """Columns of a line."""
    import pyarrow as pa

    return pa.schema(
        [
            ("messages", pa.list_(message_type())),
            ("rule", pa.string()),
            ("verdict", pa.string()),
            ("wardlaw", origin_type()),
        ]
    )


def _rule(row: Row, rule_id: str, options: Options) -> Rule:
    constitution = options.constitutions.get(row.constitution)
    if constitution is None:
        raise Unfit("the critic's questions need the constitution that made the row")
    try:
        return constitution.rule(rule_id)
    except KeyError as error:
        raise Unfit(f"the constitution has no rule `{rule_id}`") from error


@cache
def _shipped() -> TemplateSet:
    return TemplateSet.read()
