"""A group of commands that are the files of a folder."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

import click

_NO_COMMANDS = frozenset({"main"})


class Folder(click.Group):
    """A group whose commands are the files of a package: each offers one as `command`, read when it is asked for."""

    def __init__(self, *args: Any, package: str, **more: Any) -> None:
        """Args: package: the dotted name of the folder."""
        super().__init__(*args, **more)
        self.package = package

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the commands: files and folders, but `main.py` and what begins with `_`."""
        places = importlib.import_module(self.package).__path__
        names = (info.name for info in pkgutil.iter_modules(places))
        return sorted(name.replace("_", "-") for name in names if name not in _NO_COMMANDS and not name.startswith("_"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Read the command's file; None where there is none."""
        if cmd_name not in self.list_commands(ctx):
            return None
        module = importlib.import_module(f"{self.package}.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that is asked for; a slip of one is answered with the right name."""
        if args and not args[0].startswith("-") and args[0] not in self.list_commands(ctx):
            from rules.words import did_you_mean, quoted

            hint = did_you_mean(args[0], self.list_commands(ctx))
            raise click.UsageError(f"no command {quoted(args[0])}\n  hint: {hint}", ctx)
        return super().resolve_command(ctx, args)
