"""All settings of the server.

`server.configuration` reads them from a file, the environment and flags; later ones win.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from guard.guarding.settings import GuardSettings
from rules.base import Closed, refusal
from server.audit.settings import AuditSettings
from server.secret_files import with_secret
from server.upstreams.settings import UpstreamSettings

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=80)]


class GateSettings(Closed):
    """The gate that judges."""

    meaning: bool = True
    """Judge by meaning as well as by patterns; without it no model is loaded."""
    encoder: str = "default"
    """A sentence-transformers model, by id or path, for the meaning stage; `default` is all-MiniLM-L6-v2."""
    heads: str = "shipped"
    """Folder of trained heads; `shipped` are the project's own, `none` judges by examples alone."""
    judge: str = ""
    """A chat model, as `openai:http://host/v1#name`, that is asked about the rules left unsure."""
    judge_mode: Literal["quote", "logprobs"] = "quote"
    """`quote`: the judge quotes what breaks the rule; `logprobs`: one word, and how likely it is."""
    guard_model: str = ""
    """A guard model (Llama Guard, Qwen3Guard, ...) that is asked about the rules left unsure."""
    judge_s: Annotated[float, Field(gt=0)] = 10.0
    """Seconds that judge and guard model have for a question, the wait for its turn among them; then the rule's
    `on_error` holds."""


class LimitSettings(Closed):
    """Bounds on requests."""

    body_bytes: Annotated[int, Field(ge=1024)] = 8 * 2**20
    """Bytes of a request's body."""
    body_s: Annotated[float, Field(gt=0)] = 60.0
    """Seconds in which a request's body must have come."""
    messages: Annotated[int, Field(ge=1)] = 1000
    """Messages of a conversation."""
    text_chars: Annotated[int, Field(ge=100)] = 2_000_000
    """Characters of all texts of a request together."""
    seconds: Annotated[float, Field(gt=0)] = 900.0
    """A whole request may take."""
    in_flight: Annotated[int, Field(ge=1)] = 256
    """Requests a worker has in hand; more are told to come again."""
    lag_ms: Annotated[float, Field(ge=0)] = 500.0
    """How late a worker's event loop may run before new requests are told to come again; 0: never."""
    gate_wait_ms: Annotated[float, Field(ge=0)] = 1000.0
    """How long a new text would wait for the gate's models before new requests are told to come again; 0: never."""
    header_bytes: Annotated[int, Field(ge=1024)] = 32 * 1024
    """Bytes of a request's line and headers."""
    header_s: Annotated[float, Field(gt=0)] = 15.0
    """Seconds until a request's headers must have come."""
    keep_alive_s: Annotated[int, Field(ge=1)] = 30
    """Seconds a connection is kept open between two requests."""


class TellSettings(Closed):
    """What clients are told."""

    headers: bool = True
    """`x-wardlaw-*` headers."""
    body: Literal["never", "asked", "always"] = "asked"
    """The `wardlaw` object in answers; `asked`: where the request has the header `x-wardlaw-tell: body`."""
    detail: Literal["rule", "finding"] = "rule"
    """`rule`: its id, title and why; `finding`: where and by which detector as well, never the pattern."""
    ending: Literal["filter", "refusal"] = "filter"
    """How the guard's reply is shaped."""
    block_status: Annotated[int, Field(ge=200, le=499)] = 200
    """200: the reply comes as an answer; a 4xx: as the API's own error, where nothing has been sent yet."""

    @field_validator("block_status")
    @classmethod
    def _is_an_answer_or_an_error(cls, status: int) -> int:
        if 200 < status < 400:
            raise refusal([((), f"`{status}` is no status of an answer or an error", "give 200, or 400 to 499")])
        return status


class ReloadSettings(Closed):
    """How new rules come into force while the server runs."""

    watch: bool = True
    """Load the rules again when one of their files changes; SIGHUP and `POST /admin/reload` do it in any case."""
    tests: Literal["off", "report", "contract", "no_worse", "strict"] = "no_worse"
    """What the rules' own tests decide. `report`: nothing, they are counted; `contract`: every rule must keep its
    contract; `no_worse`: a test that passes and a contract that is kept under the rules in force must be so under the
    new ones; `strict`: all tests must pass and all contracts be kept."""
    settle_ms: Annotated[int, Field(ge=10, le=60_000)] = 300
    """Milliseconds without a further change before the files are read: editors write in several steps."""


class ShadowSettings(Closed):
    """Candidates: constitutions that are judged beside those in force, on the same traffic and without effect."""

    candidates: Mapping[Name, tuple[str, ...]] = Field(default_factory=dict)
    """Name of a constitution in force -> packs, files and folders of its candidate. A list without a name is the
    candidate of `default`."""
    share: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Share of requests that are judged by the candidate too."""
    queue: Annotated[int, Field(ge=1, le=100_000)] = 256
    """Requests that wait for that in a worker; those beyond are dropped and counted."""
    required: bool = False
    """Do not start where a candidate cannot be used. Else that is said in the log and `/healthz`, and the server starts
    without it."""

    @field_validator("candidates", mode="before")
    @classmethod
    def _are_lists(cls, given: Any) -> Any:
        return _lists_by_name(given)


class RolloutSettings(Closed):
    """The candidate in force for some keys."""

    percent: Annotated[float, Field(ge=0, le=100)] = 0.0
    """Percent of keys that are under the candidate, fully enforced. Which ones depends on the key's id alone: they stay
    the same over restarts and workers, and a larger percentage keeps those of a smaller one. Without keys, 0 or 100."""


class LogSettings(Closed):
    """The log, on standard error. It holds no text of clients or models, and no secret."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least that is written."""
    format: Literal["json", "plain"] = "json"
    """`json`: an object a line; `plain`: for people."""
    decisions: bool = True
    """A line for every decision, at level `info`."""


class ServerSettings(Closed):
    """Everything that can be set."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    """Port to listen on; 0 takes any that is free."""
    workers: Annotated[int, Field(ge=1, le=256)] = 1
    """Processes. Each holds its own gate and model, and they share nothing but the database."""
    auth: Literal["keys", "none"] = Field(
        default_factory=lambda given: "none" if is_loopback(given.get("host", "")) else "keys"
    )
    """Whether clients need a key of ours. Left out: `none` where the server listens on loopback alone, else `keys`."""
    keys_refresh_s: Annotated[float, Field(gt=0, le=3600)] = 5.0
    """Seconds until a new or revoked key is known to every worker."""
    constitutions: Annotated[Mapping[Name, tuple[str, ...]], Field(min_length=1)] = Field(
        default_factory=lambda: {"default": ("base",)}
    )
    """Name -> packs, files and folders, of which later ones win. A key names its constitution; without keys, `default`
    judges everybody, and a list without a name is its."""
    folder: Path = Path("wardlaw-data")
    """Where journals and the SQLite database lie."""
    database: str = ""
    """Address of the database for keys and audit, as `postgresql://user@host/name`; empty: an SQLite file in `folder`.
    A password in it is never shown."""
    database_file: Path | None = None
    """A file with the address of the database, read at the start."""
    reviser: str = "none"
    """What mends answers where a rule says `revise`: `none` (the rule's reply stands), `upstream` or `upstream:NAME`
    (the model that is guarded), or another chat model, as `openai:http://host/v1#name`."""
    metrics: Literal["open", "admin", "off"] = "open"
    """Who may read `/metrics`: everybody, or administrators: keys with the scope `admin`, or this machine itself where
    there are no keys."""
    drain_s: Annotated[float, Field(ge=0, le=3600)] = 30.0
    """Seconds that requests in hand may go on after SIGTERM; then they are ended as errors of their API."""
    drain_delay_s: Annotated[float, Field(ge=0, le=600)] = 0.0
    """Seconds after SIGTERM in which `/readyz` says 503 and new requests are still taken: for load balancers."""
    upstream: UpstreamSettings = UpstreamSettings()
    guard: GuardSettings = GuardSettings()
    gate: GateSettings = GateSettings()
    limits: LimitSettings = LimitSettings()
    tell: TellSettings = TellSettings()
    audit: AuditSettings = AuditSettings()
    reload: ReloadSettings = ReloadSettings()
    shadow: ShadowSettings = ShadowSettings()
    rollout: RolloutSettings = RolloutSettings()
    log: LogSettings = LogSettings()

    @model_validator(mode="before")
    @classmethod
    def _read_database_file(cls, given: Any) -> Any:
        return with_secret(given, "database_file", "database")

    @field_validator("constitutions", mode="before")
    @classmethod
    def _are_lists(cls, given: Any) -> Any:
        """One source is a list of one, and a list without a name is the default's."""
        return _lists_by_name(given)

    @field_validator("constitutions")
    @classmethod
    def _have_sources(cls, constitutions: Mapping[str, tuple[str, ...]]) -> Mapping[str, tuple[str, ...]]:
        for name, sources in constitutions.items():
            if not sources:
                raise refusal([((name,), f"the constitution `{name}` names no rules", "name a pack or a file")])
        return constitutions

    @model_validator(mode="after")
    def _have_what_they_stand_beside(self) -> Self:
        candidates = self.shadow.candidates
        for name, sources in candidates.items():
            at = ("shadow", "candidates", name)
            if name not in self.constitutions:
                known = ", ".join(f"`{each}`" for each in self.constitutions)
                raise refusal([(at, f"no constitution `{name}` is in force", f"in force: {known}")])
            if not sources:
                raise refusal([(at, f"the candidate of `{name}` names no rules", "name a pack or a file")])
        if self.rollout.percent and not candidates:
            hint = "name one: `--shadow candidate.yaml`, or `shadow.candidates` in the settings"
            raise refusal([(("rollout", "percent"), "there is no candidate to roll out", hint)])
        if self.auth == "none" and 0 < self.rollout.percent < 100:
            hint = "set `auth: keys`, or give 0 or 100"
            raise refusal([(("rollout", "percent"), "without keys everybody is the same client", hint)])
        return self


def _lists_by_name(given: Any) -> Any:
    if isinstance(given, str | list | tuple):
        given = {"default": given}
    if not isinstance(given, Mapping):
        return given
    return {name: (each,) if isinstance(each, str) else each for name, each in given.items()}


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
