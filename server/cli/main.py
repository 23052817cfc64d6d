"""The command `wardlaw`: finds its commands by their folder, and tells a person's errors in one line and a hint.

Exit codes: 0 done; 1 what was checked has faults; 2 wrong input or wrong usage; 130 interrupted.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence

import click

from rules.errors import WardlawError
from server.cli._folder import Folder


def _version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked:
        from importlib.metadata import version  # slow to import, and seldom asked for

        click.echo(f"wardlaw {version('wardlaw')}")
        ctx.exit()


@click.group(
    cls=Folder, package="server.cli", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Print the version."
)
def cli() -> None:
    """Rules in YAML that make training data, a gate and a guard.

    Begin with `wardlaw init DIR`.
    """


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code.

    Args:
        args: without the program's name; those of the process where left out.
    """
    try:
        code = cli.main(args=None if args is None else list(args), prog_name="wardlaw", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except click.ClickException as error:
        _tell(_in_our_form(error))
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return 130
    except BrokenPipeError:
        _drop_output()
        return 141
    except WardlawError as error:
        _tell(error)
        return 2
    except BaseExceptionGroup as group:  # a task group wraps what its tasks raise
        told = {str(leaf): leaf for leaf in _leaves(group)}
        if not all(isinstance(leaf, WardlawError) for leaf in told.values()):
            raise
        for leaf in told.values():
            _tell(leaf)
        return 2


def _in_our_form(error: click.ClickException) -> WardlawError:
    """An error of click as all others are told: one line, input in backticks, and what to do next."""
    what, _, hint = error.format_message().partition("\n  hint: ")
    context = getattr(error, "ctx", None)
    possible = getattr(error, "possibilities", None) or ()
    if isinstance(error, click.NoSuchOption):
        what = f"no option `{error.option_name}`"
        from rules.words import nearest

        near = nearest(error.option_name, possible)
        hint = hint or (f"did you mean `{near}`?" if near else "")
    if not hint and context is not None:
        hint = f"see `{context.command_path} --help`"
    what = re.sub(r"(?<!\w)'([^'\n]*)'(?!\w)", r"`\1`", " ".join(what.split())).rstrip(".")
    return WardlawError(what[:1].lower() + what[1:], hint)


def _tell(error: BaseException) -> None:
    click.echo(f"{click.style('error:', fg='red', bold=True)} {error}", err=True)


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


def _drop_output() -> None:
    """Let the interpreter's last flush of a closed pipe go nowhere, else it prints a traceback of its own."""
    import os

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
