"""A trial of rules as JUnit XML, the form that continuous integration reads: a suite a rule, a case a text."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from guard.trials.trial import Tally
from rules.errors import WardlawError
from rules.words import quoted

if TYPE_CHECKING:
    from guard.trials.contract import Breach
    from guard.trials.look import Seen
    from guard.trials.trial import Trial
    from rules.loaded import Loaded

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold, however it is escaped; one such character and no reader takes the file."""

_NAME = 80


def write(path: Path, loaded: Loaded, trial: Trial, broken: Sequence[Breach], *, strict: bool) -> None:
    """Write the file, whole or not at all; what is no regular file is written into.

    A test that fails is a failure where it lets the command fail: with `strict`, or where it breaks a contract. Else it
    is skipped, with the reason, so that the report and the exit code agree.

    Raises:
        WardlawError: it cannot be written.
    """
    if not path.name:
        raise WardlawError(f"`{path}` is no name of a file", "name a file in a folder that is there")
    part = path.with_name(f".{path.name}.{os.getpid()}")
    content = render(loaded, trial, broken, strict=strict)
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            path.write_bytes(content)  # /dev/stdout or a pipe: a file put in its place would take it from everybody
            return
        part.write_bytes(content)
        part.replace(path)
    except OSError as error:
        with suppress(OSError):  # where a file stands in the way of the folder, there is nothing to take away either
            part.unlink(missing_ok=True)
        why = error.strerror or str(error)
        raise WardlawError(f"`{path}` cannot be written: {why}", "name a file in a folder that is there") from error


def render(loaded: Loaded, trial: Trial, broken: Sequence[Breach], *, strict: bool) -> bytes:
    """The file's content."""
    from server.cli.rules._trial_page import said_of

    root = ElementTree.Element("testsuites", name="wardlaw rules test")
    asked = {rule.id for rule in loaded.constitution if rule.contract is not None}
    for rule in dict.fromkeys([*trial.by_rule, *(each.rule for each in broken)]):
        suite = ElementTree.SubElement(root, "testsuite", name=rule)
        mine = [each for each in broken if each.rule == rule]
        for seen in trial.by_rule.get(rule, Tally()).seen:
            case = _case(suite, loaded, seen)
            if not seen.passed:
                _fail(case, said_of(seen), seen.case.text, counts=_counts(seen, mine, strict))
        if rule in asked:
            for clause in ("breaks", "keeps", "recall", "false_alarms"):
                breach = next((each for each in mine if each.clause == clause), None)
                where = loaded.locate(rule, "contract", clause)
                case = ElementTree.SubElement(
                    suite, "testcase", classname=rule, name=f"contract {clause}", file=_safe(where.path)
                )
                case.set("line", str(where.line))
                if breach is not None:
                    _fail(case, str(breach), "\n".join(breach.hints), counts=True)
        _count(suite)
    for name in ("tests", "failures", "skipped"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in root)))
    ElementTree.indent(root)
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _case(suite: ElementTree.Element, loaded: Loaded, seen: Seen) -> ElementTree.Element:
    case = seen.case
    where = loaded.locate(case.rule, *case.keys)
    name = f"{case.origin} {case.kind} {case.index + 1}: {quoted(case.text, _NAME)}"
    made = ElementTree.SubElement(suite, "testcase", classname=case.rule, name=_safe(name), file=_safe(where.path))
    made.set("line", str(where.line))
    return made


def _counts(seen: Seen, mine: Sequence[Breach], strict: bool) -> bool:
    """Whether a text that fails lets the command fail."""
    if seen.case.origin != "tests":
        return False
    clause = "recall" if seen.case.kind == "breaks" else "false_alarms"
    return strict or any(each.clause == clause for each in mine)


def _fail(case: ElementTree.Element, message: str, text: str, *, counts: bool) -> None:
    name = "failure" if counts else "skipped"
    ElementTree.SubElement(case, name, message=_safe(message)).text = _safe(text)


def _count(suite: ElementTree.Element) -> None:
    suite.set("tests", str(len(suite)))
    for name, tag in (("failures", "failure"), ("skipped", "skipped")):
        suite.set(name, str(sum(case.find(tag) is not None for case in suite)))


def _safe(text: str) -> str:
    """The text with what XML cannot hold spelled out."""
    return _FORBIDDEN.sub(lambda found: ascii(found[0])[1:-1], text)
