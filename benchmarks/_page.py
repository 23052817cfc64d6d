"""Pages of figures that several scripts write, each its own section."""

from __future__ import annotations

import re
from pathlib import Path


def write_section(page: Path, title: str, heading: str, text: str) -> None:
    """Put `text` under `## heading` of a page, in the place of what stood there; the page begins with `# title`."""
    old = page.read_text(encoding="utf-8") if page.exists() else f"# {title}\n"
    head, *sections = re.split(r"(?m)^(?=## )", old)
    body = text.strip("\n")
    new = f"## {heading}\n\n{body}\n\n"
    places = [place for place, section in enumerate(sections) if section.startswith(f"## {heading}\n")]
    if places:
        sections[places[0]] = new
    else:
        sections.append(new)
    whole = head.rstrip() + "\n\n" + "".join(section.rstrip() + "\n\n" for section in sections)
    page.write_text(whole.rstrip() + "\n", encoding="utf-8")
