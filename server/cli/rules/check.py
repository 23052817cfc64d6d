"""`wardlaw rules check`: what is wrong with rule files, and where."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from rules.errors import RuleError, RuleErrors
from server.cli._json import as_text

if TYPE_CHECKING:
    from rules.check import Issue
    from rules.loaded import Loaded


@click.command("check", short_help="check rule files, and say what is wrong and where")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object in place of lines.")
@click.option("--strict", is_flag=True, help="Let warnings fail the check too.")
def command(paths: tuple[str, ...], as_json: bool, strict: bool) -> int:
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
        click.echo(as_text({**summary, "errors": errors, "warnings": warnings}))
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
