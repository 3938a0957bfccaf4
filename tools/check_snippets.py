#!/usr/bin/env python3
"""Holds the snippets of docs/clients against the tests that run them.

A snippet is a fenced block after a line `<!-- snippet: FILE NAME -->`; its text is what stands in FILE between the lines
that contain `NAME: begin` and `NAME: end`, without the indentation that all its lines share.

usage: check_snippets.py [--write]      --write puts the tests' text into the pages
"""

import re
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SNIPPET = re.compile(r"(<!-- snippet: (\S+) (\S+) -->\n```\w*\n)(.*?)(^```$)", re.MULTILINE | re.DOTALL)


def snippet(file: str, name: str) -> str:
    text = (ROOT / file).read_text()
    # A comment of whichever language.
    found = re.search(rf"^[^\n]*\b{name}: begin\n(.*?)^[^\n]*\b{name}: end$", text, re.MULTILINE | re.DOTALL)
    if found is None:
        sys.exit(f"{file} has no part from \"{name}: begin\" to \"{name}: end\"")
    return textwrap.dedent(found[1]).strip("\n") + "\n"


def main() -> int:
    write = sys.argv[1:] == ["--write"]
    wrong = count = 0
    for page in sorted((ROOT / "docs" / "clients").glob("*.md")):
        text = page.read_text()
        wanted = SNIPPET.sub(lambda match: match[1] + snippet(match[2], match[3]) + match[5], text)
        count += len(SNIPPET.findall(text))
        if text == wanted:
            continue
        if write:
            page.write_text(wanted)
        else:
            print(f"{page.relative_to(ROOT)} differs from the tests that it shows: tools/check_snippets.py --write")
            wrong += 1
    if count == 0:
        print("docs/clients has no snippet")
        wrong += 1
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
