"""Finds of a file's rows: JSON lines, JSON, CSV or Parquet; also what a run of `wardlaw probe` wrote."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from guard.ledger.find import HOWS, KINDS, SOURCES, Find, How, Kind, Lineage, make_find
from guard.training.rows import LabelError
from guard.training.sets import as_line
from rules.actions import Severity
from rules.errors import WardlawError
from rules.words import did_you_mean, listed, quoted

if TYPE_CHECKING:
    from guard.exchange import Message

_KINDS: Mapping[str, Kind] = {
    "break": "break",
    "missed": "break",
    "harmful": "break",
    "bypass": "break",
    "false-alarm": "false-alarm",
    "false_alarm": "false-alarm",
    "false alarm": "false-alarm",
    "wrong_block": "false-alarm",
    "safe": "false-alarm",
}
"""What other files call the two kinds."""

_DATES = ("found", "date", "at", "time")
_NESTED = ("prompt", "messages", "lineage", "rules")


class Rows:
    """The finds of a file; counts what is passed over."""

    def __init__(
        self,
        name: str,
        *,
        kind: Kind | None,
        known: Sequence[str],
        severity: Callable[[Sequence[str]], Severity],
        usual: Mapping[str, Any],
        skip_bad: bool,
        named: bool = False,
    ) -> None:
        """Args:
        name: the file.
        kind: of rows that do not say it.
        known: ids of the rules.
        severity: rules -> how bad, for rows that do not say it.
        usual: fields of rows that do not say them: `by`, `source`, `model`, `found`.
        skip_bad: count bad rows, and pass over them.
        named: whether a person said who found them.
        """
        self.name = name
        self._kind = kind
        self._known = frozenset(known)
        self._severity = severity
        self._usual = usual
        self._skip_bad = skip_bad
        self._named = named
        self.bad: list[str] = []
        """Bad rows passed over, as `file:line: what`."""
        self.unfit: Counter[str] = Counter()
        """Why a good row is no find -> rows."""

    def __iter__(self) -> Iterator[Find]:
        from constitution.prompt import PromptError
        from constitution.readers import check_kind, items, place

        if not Path(self.name).is_file():
            raise WardlawError(f"no file `{self.name}`", "name a .jsonl, .json, .csv, .tsv or .parquet file")
        check_kind(self.name)
        for number, item in items(self.name):
            if item == "":
                continue
            where = place(self.name, number)
            try:
                if isinstance(item, PromptError):
                    raise LabelError(item.what, item.hint.partition(", or pass over")[0] or "mend it")
                fields = {"prompt": item} if isinstance(item, str) else item
                if not isinstance(fields, Mapping):
                    raise LabelError(f"{where}: no object", 'write {"prompt": "...", "kind": "break"}')
                found = self._find(where, number, _unfolded(fields))
            except LabelError as error:
                if not self._skip_bad:
                    raise LabelError(error.what, f"{error.hint}; or pass over bad lines with --skip-bad") from error
                self.bad.append(error.what)
                continue
            if found is not None:
                yield found

    def _find(self, where: str, number: int, fields: Mapping[str, Any]) -> Find | None:
        probe = _probe(fields)
        kind = probe if probe in KINDS else None
        if probe == "as meant":
            self.unfit["the gate said of this probe what it was meant to"] += 1
            return None
        kind = kind or self._kind_of(where, fields)
        line = as_line(Path(self.name), number, fields)
        turns: tuple[Message, ...] = line.exchange.messages
        response = fields.get("response")
        rules = self._rules(where, fields)
        lineage = fields.get("lineage")
        digest = lineage.get("constitution") if isinstance(lineage, Mapping) else None
        # The conversation of an attempt breaks the model, not the gate: it is reproduced by asking again.
        attempt = isinstance(lineage, Mapping) and "prober" in lineage
        usual = dict(self._usual)
        source = fields.get("source", usual.pop("source", None) or ("probe" if probe or attempt else "other"))
        named = fields.get("id")
        return make_find(
            kind,
            turns if response is None else turns[:-1],
            response,
            found=_when(where, fields, usual.pop("found")),
            by=str(fields.get("by") or self._prober(lineage, probe) or usual["by"])[:200],
            source=source if source in SOURCES else "other",
            model=_text(fields.get("model")) or usual.get("model"),
            rules=rules,
            why=_text(fields.get("why") or fields.get("reason") or _reason(lineage)) or "",
            severity=self._how_bad(where, fields, rules),
            lineage=Lineage(
                file=where, probe=str(named) if (probe or attempt) and named else None, constitution=_text(digest)
            ),
            how=self._how(where, fields, attempt=attempt),
            steps=_text(fields.get("steps")) or "",
        )

    def _prober(self, lineage: Any, probe: str) -> str | None:
        """The model that wrote a probe, or drove an attempt, where nobody else is named by `--by`."""
        if self._named or not isinstance(lineage, Mapping):
            return None
        return _text(lineage.get("prober") or (lineage.get("model") if probe else None))

    def _how(self, where: str, fields: Mapping[str, Any], *, attempt: bool) -> How:
        given = fields.get("how")
        if not given:
            return "ask" if attempt else "text"
        for how in HOWS:
            if given == how:
                return how
        raise LabelError(f"{where}: unknown `how`: {quoted(given)}", f"write one of {listed(HOWS)}")

    def _kind_of(self, where: str, fields: Mapping[str, Any]) -> Kind:
        given = fields.get("kind") or fields.get("label")
        if given is None:
            if self._kind is None:
                raise LabelError(f"{where}: no `kind`", "write break or false-alarm, or give --kind for all")
            return self._kind
        kind = _KINDS.get(str(given).strip().lower())
        if kind is None:
            raise LabelError(f"{where}: unknown kind {quoted(given)}", did_you_mean(str(given), _KINDS))
        return kind

    def _rules(self, where: str, fields: Mapping[str, Any]) -> tuple[str, ...]:
        given = next((fields[name] for name in ("rules", "rule") if fields.get(name)), ())
        names = given.replace(",", " ").split() if isinstance(given, str) else given
        if not isinstance(names, Sequence) or not all(isinstance(each, str) for each in names):
            raise LabelError(f"{where}: `rules` is no list of ids", "write them with a space between")
        if not names and fields.get("category") in self._known:
            names = (fields["category"],)
        for name in names:
            if name not in self._known:
                hint = did_you_mean(name, self._known, "name the rules that have it with -r")
                raise LabelError(f"{where}: no rule {quoted(name)}", hint)
        return tuple(dict.fromkeys(names))

    def _how_bad(self, where: str, fields: Mapping[str, Any], rules: Sequence[str]) -> Severity:
        given = fields.get("severity")
        if not given:
            return self._severity(rules)
        try:
            return Severity(str(given).strip().lower())
        except ValueError:
            hint = f"write one of {listed(each.value for each in Severity)}"
            raise LabelError(f"{where}: unknown severity {quoted(given)}", hint) from None


def _probe(fields: Mapping[str, Any]) -> str:
    """What a row of a probe run is: a find of a kind where the gate was wrong about it, `as meant` where it was right;
    empty for any other row."""
    lineage = fields.get("lineage")
    decision = lineage.get("decision") if isinstance(lineage, Mapping) else None
    if not isinstance(decision, Mapping) or fields.get("kind") not in ("break", "keep"):
        return ""
    found = bool(decision.get("found"))
    if fields["kind"] == "break":
        return "as meant" if found else "break"
    return "false-alarm" if found or decision.get("others") else "as meant"


def _reason(lineage: Any) -> Any:
    """What the judge said of a probe."""
    decision = lineage.get("decision") if isinstance(lineage, Mapping) else None
    return decision.get("reason") if isinstance(decision, Mapping) else None


def _unfolded(fields: Mapping[str, Any]) -> dict[str, Any]:
    """A row of a table: an empty cell is nothing, and what stands as JSON text in it is read."""
    told = {name: value for name, value in fields.items() if value not in (None, "")}
    for name in _NESTED:
        value = told.get(name)
        if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
            try:
                told[name] = json.loads(value)
            except (ValueError, RecursionError):
                continue  # a prompt that begins like JSON
    return told


def _when(where: str, fields: Mapping[str, Any], otherwise: datetime) -> datetime:
    given = next((fields[name] for name in _DATES if fields.get(name)), None)
    if given is None:
        return otherwise
    try:
        if isinstance(given, int | float):
            return datetime.fromtimestamp(given, UTC)
        read = given if isinstance(given, datetime) else datetime.fromisoformat(str(given))
    except (ValueError, OverflowError, OSError):
        raise LabelError(f"{where}: no date: {quoted(given)}", "write it as 2026-05-01 or 2026-05-01T12:00Z") from None
    return read if read.tzinfo else read.astimezone()


def _text(value: Any) -> str | None:
    return str(value) if value else None
