"""What a pack says of itself in its opening comment."""

from __future__ import annotations

import re

from rules.files import PACKS


def about(name: str) -> list[str]:
    """The paragraphs of a pack's opening comment, which says what it is for; tables stay tables."""
    head = (PACKS / f"{name}.yaml").read_text(encoding="utf-8").partition("\nconstitution:")[0]
    lines = [line[2:].rstrip() for line in head.split("\n") if line.startswith("#")]
    text = "\n".join("" if line.startswith("yaml-language-server") else line for line in lines)
    return [_paragraph(each) for each in re.split(r"\n{2,}", text.strip())]


def purpose(name: str) -> str:
    """What it is for, in one sentence without its full stop."""
    said = about(name)[0].removeprefix(f"The pack `{name}`: ")
    return re.split(r"(?<!\bal)\.\s+(?=[A-Z])", said)[0].rstrip(".")


def _paragraph(text: str) -> str:
    lines = text.split("\n")
    if lines[0].startswith("|") or re.match(r"\s+\d\. ", lines[0]):
        return "\n".join(re.sub(r" {2,}\|", " |", line) if line.startswith("|") else line for line in lines)
    if any(re.search(r"\S {3,}\S", line) for line in lines):  # columns that someone has lined up
        return "```text\n" + text + "\n```"
    return " ".join(line.strip() for line in lines)
