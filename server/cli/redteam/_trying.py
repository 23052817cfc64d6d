"""Whether finds are so still: the gate of today is shown each before it is entered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from rules.errors import WardlawError
from server.cli.gate import _options as gate_options
from server.cli.redteam._entering import short

if TYPE_CHECKING:
    from guard.ledger.find import Find
    from rules.schema import Constitution

OPTIONS = ("tries", *gate_options.SECTION[1:])
"""The parameters that `try_options` adds."""


def try_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the option that tries finds first, and those of the gate that is asked."""
    flag = click.option(
        "--try",
        "tries",
        is_flag=True,
        help="Show it to the gate of -r first, and enter it only if the gate still lets the break pass, or stops the"
        " harmless text.",
    )
    return flag(gate_options.model_options(command))


def tried(
    finds: Sequence[Find], constitution: Constitution, chosen: gate_options.Chosen, *, as_json: bool
) -> list[Find]:
    """The finds that are so still, and those that a gate cannot try; what is told of the others says why they are not.

    Raises:
        WardlawError: a detector failed.
    """
    from guard.ledger.entering import as_entry
    from guard.ledger.replay import judge

    finds = list({find.id: find for find in finds}.values())
    with gate_options.build_gate(chosen, constitution) as gate:
        outcomes = judge([as_entry(find) for find in finds if find.how == "text"], gate, lambda _: None)
    kept = []
    for find in finds:
        outcome = outcomes.get(find.id)
        if outcome is None:
            kept.append(find)
            click.echo(f"{find.id}  not tried: it takes the model that is asked anew: {short(find)}", err=as_json)
        elif outcome.state == "failed":
            what = f"of {find.id} it cannot be told whether it is so still: {outcome.why}"
            raise WardlawError(what, "mend what failed, or enter it without --try")
        elif outcome.state == "breaks":
            kept.append(find)
        else:
            found = f"the gate finds {', '.join(outcome.rules)}" if outcome.rules else "the gate lets it pass"
            click.echo(f"{find.id}  not reproduced, {found}: {short(find)}", err=as_json)
    return kept
