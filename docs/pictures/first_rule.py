"""Draw first-rule.svg: what commands of docs/first-rule.md print: `python docs/pictures/first_rule.py`.

The commands and the files are read from the page, and run in an empty folder; those that need the server are left out.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "first-rule.md"
SHOWN = ("check", "test", "explain")
PIECE = re.compile(
    r"(?:^<!-- file: (.*?)(?:, which is .*? after: (.*?))? -->\n)?^```(?:yaml|sh)\n(.*?)^```$", re.M | re.S
)


def main() -> None:
    """Run the commands, and write the picture beside this file."""
    console = Console(record=True, width=112, file=io.StringIO())
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    with tempfile.TemporaryDirectory() as folder:
        rules = Path(folder) / "rules.yaml"
        for _, after, code in PIECE.findall(PAGE.read_text(encoding="utf-8")):
            if code.startswith("constitution:"):
                rules.write_text(code, encoding="utf-8")
            elif after:  # as it is when it has been promoted
                rules.write_text(rules.read_text("utf-8").replace(f"{after}\n", f"{after}\n{code}"), encoding="utf-8")
            elif code.startswith(tuple(f"wardlaw rules {name} " for name in SHOWN)):
                ran = subprocess.run(["bash", "-c", code], cwd=folder, env=environment, capture_output=True, text=True)
                if ran.returncode:
                    sys.exit(f"{code}{ran.stderr}")
                console.print(Text.assemble(("$ ", "green"), (code.strip(), "bold")))
                console.print(Text(ran.stdout))
    # no font from elsewhere: a picture in a page must ask nobody for anything
    picture = re.sub(r"@font-face \{.*?\}", "", console.export_svg(title="your first rule"), flags=re.S)
    picture = re.sub(r"<!--.*?-->", "", picture, flags=re.S)
    picture = re.sub(r"[ \t]+$", "", picture, flags=re.M)
    (HERE / "first-rule.svg").write_text(picture, encoding="utf-8")


if __name__ == "__main__":
    main()
