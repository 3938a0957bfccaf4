#!/usr/bin/env python3
"""Adds up the JUnit files of a test run and prints one line: N passed, N failed, N skipped.

usage: test_totals.py FOLDER SUITE…      reads FOLDER/SUITE.xml; a file that is missing or empty counts as one failure.
Ends with 1 when anything failed or nothing ran.
"""

import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path


def skip_reason(case: ET.Element) -> str:
    """GoogleTest prints its reason on the line after "Skipped"; pytest has it in the element."""
    printed = re.search(r": Skipped\n(.+)", case.findtext("system-out") or "")
    if printed:
        return printed[1].strip()
    skipped = case.find("skipped")
    return skipped.get("message", "") if skipped is not None else "not run"


def count(file: Path) -> tuple[int, int, int]:
    passed = failed = skipped = 0
    for case in ET.parse(file).getroot().iter("testcase"):
        # ctest says status="fail"/"run"/"notrun"/"disabled"; pytest says it by a child element only.
        if case.find("failure") is not None or case.find("error") is not None or case.get("status") == "fail":
            failed += 1
            print(f"failed: {case.get('classname', '')}::{case.get('name')}")
        elif case.find("skipped") is not None or case.get("status") in ("notrun", "disabled"):
            skipped += 1
            print(f"skipped: {case.get('name')}: {skip_reason(case)}")
        else:
            passed += 1
    return passed, failed, skipped


def main() -> int:
    folder, suites = Path(sys.argv[1]), sys.argv[2:]
    total = [0, 0, 0]
    for suite in suites:
        try:
            counts = count(folder / f"{suite}.xml")
            if not sum(counts):
                raise ValueError("it holds no test")
        except (OSError, ET.ParseError, ValueError) as error:
            print(f"failed: the suite {suite} did not run to its end ({error})")
            counts = (0, 1, 0)
        print(f"{suite}: {counts[0]} passed, {counts[1]} failed, {counts[2]} skipped")
        total = [a + b for a, b in zip(total, counts)]
    print(f"\n{total[0]} passed, {total[1]} failed, {total[2]} skipped")
    return 1 if total[1] or not total[0] else 0


sys.exit(main())
