"""`wardlaw serve`: the guard server."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rules.errors import WardlawError
from server.cli._sections import Sectioned
from server.cli._summary import counted

if TYPE_CHECKING:
    import socket

    from server.settings import ServerSettings
    from server.worker import Listening

FLAGS: Mapping[str, tuple[str, ...]] = {
    "host": ("host",),
    "port": ("port",),
    "workers": ("workers",),
    "auth": ("auth",),
    "folder": ("folder",),
    "database": ("database",),
    "drain": ("drain_s",),
    "upstream": ("upstream", "url"),
    "upstream_kind": ("upstream", "kind"),
    "model": ("upstream", "model"),
    "reviser": ("reviser",),
    "mode": ("guard", "mode"),
    "unscannable": ("guard", "unscannable"),
    "encoder": ("gate", "encoder"),
    "heads": ("gate", "heads"),
    "judge": ("gate", "judge"),
    "judge_mode": ("gate", "judge_mode"),
    "guard_model": ("gate", "guard_model"),
    "reload_tests": ("reload", "tests"),
    "shadow_share": ("shadow", "share"),
    "rollout": ("rollout", "percent"),
    "log_level": ("log", "level"),
    "log_format": ("log", "format"),
}
"""Parameter of the command -> the setting it sets."""
_SECRETS = frozenset({("upstream", "key"), ("audit", "hash_key")})
"""What a command line shows to others."""

_SECTIONS = {
    "What to guard": ("upstream", "upstream_kind", "model", "constitution", "reviser", "mode", "unscannable"),
    "Candidate": ("shadow", "shadow_share", "rollout"),
    "Gate": ("encoder", "heads", "no_meaning", "judge", "judge_mode", "guard_model"),
    "Running": ("host", "port", "workers", "auth", "folder", "database", "drain", "no_watch", "reload_tests"),
    "Log": ("log_level", "log_format"),
    "Settings": ("config", "given", "print_settings"),
}


@click.command("serve", cls=Sectioned, sections=_SECTIONS, short_help="run the guard server in front of a model")
@click.option("--upstream", metavar="URL", help="The model server to guard, as http://127.0.0.1:8000/v1.")
@click.option("--upstream-kind", type=click.Choice(["openai", "anthropic"]), help="What it speaks.  [default: openai]")
@click.option("--model", metavar="MODEL", help="A model in this process instead: `embedded`, `gguf:FILE`, `hf:ID`.")
@click.option(
    "-c",
    "--constitution",
    multiple=True,
    metavar="[NAME=]PACK|FILE",
    help="The rules: a pack or a YAML file; several make one constitution, and NAME= one of another name.",
)
@click.option("--reviser", metavar="none|upstream|MODEL", help="What mends answers where a rule says `revise`.")
@click.option("--mode", type=click.Choice(["enforce", "shadow"]), help="`shadow` records and does not act.")
@click.option("--unscannable", type=click.Choice(["block", "flag", "allow"]), help="What becomes of images and files.")
@click.option(
    "--shadow",
    multiple=True,
    metavar="[NAME=]PACK|FILE",
    help="A candidate beside the rules in force: judged on the same traffic, without effect.",
)
@click.option("--shadow-share", type=float, metavar="SHARE", help="Share of requests it judges.  [default: 1]")
@click.option("--rollout", type=float, metavar="PERCENT", help="Percent of keys for which the candidate is in force.")
@click.option("--encoder", metavar="ID|PATH", help="A sentence-transformers model for the meaning stage.")
@click.option("--heads", metavar="FOLDER", help="Folder of trained heads; `shipped` or `none`.")
@click.option("--no-meaning", is_flag=True, help="Look for patterns alone; loads no model.")
@click.option("--judge", metavar="MODEL", help="A chat model that is asked about the rules left unsure.")
@click.option("--judge-mode", type=click.Choice(["quote", "logprobs"]), help="How the judge answers.")
@click.option("--guard-model", metavar="MODEL", help="A guard model that is asked about the rules left unsure.")
@click.option("--host", metavar="ADDRESS", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=int, help="Port to listen on; 0 takes a free one.  [default: 8080]")
@click.option("--workers", type=int, help="Processes.  [default: 1]")
@click.option("--auth", type=click.Choice(["keys", "none"]), help="Whether clients need a key of `wardlaw keys`.")
@click.option("--folder", metavar="DIR", help="Where the audit lies.  [default: wardlaw-data]")
@click.option("--database", metavar="URL", help="PostgreSQL in place of an SQLite file in the folder.")
@click.option("--drain", type=float, metavar="SECONDS", help="How long requests may go on after SIGTERM.")
@click.option("--no-watch", is_flag=True, help="Do not reload when rule files change.")
@click.option(
    "--reload-tests",
    type=click.Choice(["off", "report", "contract", "no_worse", "strict"]),
    help="What the rules' own tests and contracts decide on a reload.",
)
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), help="The least that is logged.")
@click.option("--log-format", type=click.Choice(["json", "plain"]), help="How the log looks.")
@click.option(
    "--config", type=click.Path(path_type=Path), metavar="FILE", help="Settings in YAML; see docs/settings.md."
)
@click.option("--set", "given", multiple=True, metavar="NAME=VALUE", help="Any setting, as `upstream.first_s=30`.")
@click.option("--print-settings", is_flag=True, help="Print all settings, without secrets, and stop.")
def command(
    constitution: tuple[str, ...],
    shadow: tuple[str, ...],
    no_meaning: bool,
    no_watch: bool,
    config: Path | None,
    given: tuple[str, ...],
    print_settings: bool,
    **flags: Any,
) -> int:
    """Run the guard server: clients of OpenAI and Anthropic change one URL.

    Settings come from --config, then from WARDLAW_ variables, then from flags; later ones win. Rules are loaded again
    when their files change, on SIGHUP and by POST /admin/reload. SIGTERM lets requests in hand end.

    Exit codes: 0 stopped; 1 stopped, and requests were cut off; 2 it cannot start.
    """
    settings = _settings(constitution, shadow, no_meaning, no_watch, config, given, flags)
    if print_settings:
        import yaml

        from server.configuration import shown

        click.echo(yaml.safe_dump(shown(settings), sort_keys=False, allow_unicode=True), nl=False)
        return 0
    _check_upstream(settings)
    from server.building import load_checked

    for sources in settings.constitutions.values():
        load_checked(sources)  # the commonest slip, told before anything heavy is imported
    sock = _bound(settings)
    where = _address(settings.host, sock)
    if settings.workers > 1:
        from server.supervisor import Supervisor

        return Supervisor(settings, sock, lambda told: _tell(settings, where, told)).run()
    from server.worker import work

    return work(settings, sock, on_listening=lambda told: _tell(settings, where, told))


def _settings(
    constitution: tuple[str, ...],
    shadow: tuple[str, ...],
    no_meaning: bool,
    no_watch: bool,
    config: Path | None,
    given: tuple[str, ...],
    flags: Mapping[str, Any],
) -> ServerSettings:
    import os

    from server.configuration import read_settings, variable

    put: dict[tuple[str, ...], tuple[str, Any]] = {}
    for setting in given:
        name, equals, value = setting.partition("=")
        if not equals:
            raise click.UsageError(f"--set takes NAME=VALUE, not `{setting}`\n  hint: as `--set upstream.first_s=30`")
        keys = tuple(name.strip().split("."))
        if value and keys in _SECRETS:
            what = f"`--set {name}` can be read by everyone on this machine who lists processes"
            click.echo(f"warning: {what}: set `{variable(keys)}` instead, or a file", err=True)
        put[keys] = (f"--set {name}", value)
    for name, value in flags.items():
        if value is not None:
            put[FLAGS[name]] = (f"--{name.replace('_', '-')}", value)
    if no_meaning:
        put[("gate", "meaning")] = ("--no-meaning", False)
    if no_watch:
        put[("reload", "watch")] = ("--no-watch", False)
    for name, sources in _named(constitution).items():
        put[("constitutions", name)] = ("--constitution", sources)
    for name, sources in _named(shadow).items():
        put[("shadow", "candidates", name)] = ("--shadow", sources)
    return read_settings(config, os.environ, put)


def _named(given: tuple[str, ...]) -> dict[str, list[str]]:
    """Sources by the name of their constitution."""
    named: dict[str, list[str]] = {}
    for each in given:
        name, equals, source = each.partition("=")
        named.setdefault(name if equals else "default", []).append(source if equals else each)
    return named


def _check_upstream(settings: ServerSettings) -> None:
    upstream = settings.upstream
    if upstream.url and upstream.model:
        hint = "`--upstream` is a server, `--model` runs in this process: give one of them"
        raise WardlawError("two upstreams are given", hint)
    if not upstream.url and not upstream.model:
        hint = "`--upstream http://127.0.0.1:8000/v1`, or `--model embedded` to try it"
        raise WardlawError("no upstream is given", hint)


def _bound(settings: ServerSettings) -> socket.socket:
    """A socket at the address, which does not listen yet: until a worker is ready, connections are refused.

    Raises:
        WardlawError: the address is taken, or is none of this machine's.
    """
    import errno
    import socket

    host, port = settings.host.strip("[]"), settings.port
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except OSError as error:
        hint = "give an address of this machine, as `127.0.0.1`, or `0.0.0.0` for all"
        raise WardlawError(f"`{host}` is no address to listen on: {error.strerror or error}", hint) from None
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind(address)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            hint = "stop what listens there, or give another port: `--port 8081`; 0 takes a free one"
            raise WardlawError(f"port {port} of `{host}` is taken", hint) from None
        what = f"`{host}` port {port} cannot be listened on: {error.strerror}"
        raise WardlawError(what, "give an address of this machine and a port above 1023") from None
    return sock


def _address(host: str, sock: socket.socket) -> str:
    shown = f"[{host.strip('[]')}]" if ":" in host else host
    return f"http://{shown}:{sock.getsockname()[1]}"


def _tell(settings: ServerSettings, where: str, told: Listening) -> None:
    rules = ", ".join(f"{name} {digest} ({counted(told.rules[name], 'rule')})" for name, digest in told.digests.items())
    keys = "keys" if settings.auth == "keys" else "no keys"
    click.echo(f"wardlaw listens on {where}, guards {told.upstream} by {rules}, {keys}")
    import sys

    sys.stdout.flush()  # a pipe would keep the line back until the server stops
