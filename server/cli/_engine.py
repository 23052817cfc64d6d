"""Where rows are made and texts are judged: in this process, or on a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

SECTION = ("engine", "address", "workers")
"""The options, for the sections of a help page; `gpus` beside them where a model may run in the workers."""


def engine_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--engine`, `--address` and `--workers`."""
    for option in (
        click.option(
            "--workers",
            type=click.IntRange(1, 100_000),
            help="Processes of the cluster.  [default: one a processor; one a GPU where models run in the workers]",
        ),
        click.option(
            "--address",
            metavar="HOST:PORT",
            help="Head of a Ray cluster, or `auto` for the one on this machine.  [default: begin one here]",
        ),
        click.option(
            "--engine", default="local", show_default=True, help="`local`: this process; `ray`: a cluster of workers."
        ),
    ):
        command = option(command)
    return command


def gpus_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--gpus`."""
    return click.option(
        "--gpus",
        type=click.FloatRange(0),
        help="GPUs of a worker.  [default: 1 where a model runs in it and the cluster has any]",
    )(command)
