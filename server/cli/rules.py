"""`wardlaw rules`: check rule files, show a rule, print the JSON Schema."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from rules.errors import RuleError, RuleErrors, WardlawError

if TYPE_CHECKING:
    from rules.check import Issue
    from rules.load import Loaded


@click.group("rules", short_help="check, show and describe rules")
def command() -> None:
    """Check, show and describe rules."""


@command.command(short_help="check rule files, and say what is wrong and where")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object in place of lines.")
@click.option("--strict", is_flag=True, help="Let warnings fail the check too.")
def check(paths: tuple[str, ...], as_json: bool, strict: bool) -> int:
    """Check rule files, folders of them, or packs by name, together as one constitution.

    Prints every fault with its place and a hint, then a summary. Exit code 0: no errors (and, with --strict, no
    warnings); 1: there are some.
    """
    from rules.check import check as find_issues
    from rules.load import load

    try:
        loaded = load(*paths)
    except RuleErrors as errors:
        faults = [_as_fault(error) for error in errors.errors]
        _report(faults, None, as_json)
        return 1
    found = [*_pattern_faults(loaded), *(_as_dict(issue) for issue in find_issues(loaded))]
    _report(found, loaded, as_json)
    failing = ("error", "warning") if strict else ("error",)
    return int(any(each["severity"] in failing for each in found))


@command.command(short_help="show all about one rule")
@click.argument("rule_id", metavar="ID")
@click.argument("paths", metavar="[PATH]...", nargs=-1)
@click.option("--lang", default="en", show_default=True, help="Language to show it in, as `zh`.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, in all languages.")
def show(rule_id: str, paths: tuple[str, ...], lang: str, as_json: bool) -> None:
    """Show all about one rule of PATH, or of the pack `base`."""
    from rules.digest import rule_digest
    from rules.load import load
    from rules.text import is_language
    from rules.words import did_you_mean, listed, quoted
    from server.cli._rule_page import rule_page

    loaded = load(*(paths or ("base",)))
    try:
        rule = loaded.constitution.rule(rule_id)
    except KeyError:
        ids = [each.id for each in loaded.constitution]
        hint = did_you_mean(rule_id, ids, _some_of(rule_id, ids))
        if not paths:
            hint += f"{'' if hint.endswith('?') else ';'} for a rule of your own, name its file after the id"
        raise WardlawError(f"no rule {quoted(rule_id)} in {listed(paths or ('base',))}", hint) from None
    if not as_json and not is_language(lang):
        tags = sorted({tag for text in (rule.title, rule.rule, rule.why) for tag in text.root} - {"und"})
        known = f"the rule is written in {listed(tags)}" if tags else "the rule is written without a language tag"
        raise WardlawError(f"unknown language tag {quoted(lang)}", known)
    where = loaded.locate(rule_id)
    if as_json:
        content = rule.model_dump(mode="json", exclude_defaults=True)
        click.echo(_json({**content, "digest": rule_digest(rule), "where": str(where)}))
    else:
        click.echo(rule_page(rule, str(where), rule_digest(rule), lang))


@command.command(short_help="print the JSON Schema of a rule file")
def schema() -> None:
    """Print the JSON Schema of a rule file, for editors."""
    from rules.json_schema import rule_file_schema

    click.echo(_json(rule_file_schema()))


def _some_of(rule_id: str, ids: list[str]) -> str:
    """The ids of a constitution: all where they are few, else those that look most like the one asked for."""
    import difflib

    from rules.words import listed

    if len(ids) <= 8:
        return f"it has {listed(ids)}"
    near = difflib.get_close_matches(rule_id[:100], ids, n=3, cutoff=0.0)
    return f"nearest of its {len(ids)} rules are {listed(near)}"


def _pattern_faults(loaded: Loaded) -> list[dict[str, Any]]:
    """What the engine itself has to say of the patterns; it has the last word."""
    if not any(rule.detect and rule.detect.patterns for rule in loaded.constitution):
        return []  # the engine need not be loaded
    from guard.detectors.patterns import check_patterns

    faults = []
    for rule_id, index, message, hint in check_patterns(loaded.constitution):
        where = loaded.locate(rule_id, "detect", "patterns", index)
        fault = _as_fault(RuleError(where, f"rule `{rule_id}`: {message}", hint))
        faults.append({**fault, "code": "pattern", "rule": rule_id})
    return faults


def _as_fault(error: RuleError) -> dict[str, Any]:
    where = error.where
    return {
        "severity": "error",
        "code": "fault",
        "rule": None,
        "path": where and where.path,
        "line": where and where.line,
        "column": where and where.column,
        "message": error.fault,
        "hint": error.hint,
    }


def _as_dict(issue: Issue) -> dict[str, Any]:
    where = issue.where
    return {
        "severity": issue.severity,
        "code": issue.code,
        "rule": issue.rule,
        "path": where.path,
        "line": where.line,
        "column": where.column,
        "message": issue.message,
        "hint": issue.hint,
    }


def _report(found: list[dict[str, Any]], loaded: Loaded | None, as_json: bool) -> None:
    errors = [each for each in found if each["severity"] == "error"]
    warnings = [each for each in found if each["severity"] == "warning"]
    rules: int | None = None
    digest: str | None = None
    if loaded is not None:
        from rules.digest import constitution_digest

        rules, digest = len(loaded.constitution), constitution_digest(loaded.constitution)
    if as_json:
        files = [str(path) for path in loaded.files] if loaded else []
        summary = {"ok": not errors, "rules": rules, "digest": digest, "files": files}
        click.echo(_json({**summary, "errors": errors, "warnings": warnings}))
        return
    for each in found:
        click.echo(_line(each))
    counts = [_count(len(errors), "error"), _count(len(warnings), "warning")]
    if rules is not None:
        counts = [_count(rules, "rule"), *counts, f"digest {digest}"]
    click.echo(", ".join(counts))


def _line(fault: dict[str, Any]) -> str:
    place = f"{fault['path']}:{fault['line']}:{fault['column']}: " if fault["path"] else ""
    is_error = fault["severity"] == "error"
    kind = click.style(f"{fault['severity']}:", fg="red" if is_error else "yellow", bold=True)
    code = "" if fault["code"] == "fault" else f" [{fault['code']}]"
    hint = f"\n  hint: {fault['hint']}" if fault["hint"] else ""
    return f"{place}{kind} {fault['message']}{code}{hint}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
