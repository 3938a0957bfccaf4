#!/usr/bin/env python3
"""Checks every #include of the project's sources against the order of its modules.

* A module includes itself and modules below it, never one above; the proxy and the worker never include each other.
* Includes of the project are paths from src/ in quotes; nothing climbs with "../".
* Only worker/engine includes DuckDB, only the worker includes Arrow, only auth libjwt, only config yaml-cpp.
* Reading a clock elsewhere than in base/clock.cc is noted, not refused: drivers of gRPC and Asio have deadlines in
  real time; whatever decides something takes a base::Clock.
* Every header begins with #pragma once (after comments).

usage: check_modules.py [ROOT]      Ends with 1 when it found something.
"""

import re
import sys
from pathlib import Path

BELOW = ["base", "telemetry", "contract", "quack", "jail", "config"]
# Inside a process: what each module may include besides itself and BELOW. "*" is the process's own top folder.
ALLOWED = {
    "proxy/auth": [],
    "proxy/limits": [],
    "proxy/launch": [],
    "proxy/fleet": ["proxy/launch"],
    "proxy/http": [],
    "proxy/access": ["proxy/http", "proxy/auth", "proxy/limits"],
    "proxy/ai": ["proxy/access", "proxy/http", "proxy/auth", "proxy/limits"],
    "proxy/sql": ["proxy/access", "proxy/http", "proxy/auth", "proxy/limits", "proxy/fleet"],
    "proxy/quack": ["proxy/access", "proxy/http", "proxy/auth", "proxy/limits", "proxy/fleet"],
    "proxy/grpc": ["proxy/auth", "proxy/limits", "proxy/fleet"],
    "proxy/admin": ["proxy/access", "proxy/http", "proxy/auth", "proxy/limits", "proxy/fleet", "proxy/launch"],
    "worker/engine": [],
    "worker/session": ["worker/engine"],
    "worker/flight": ["worker/session", "worker/engine"],
    "worker/control": ["worker/session", "worker/engine"],
    "worker/airport": ["worker/flight", "worker/session", "worker/engine"],
    "worker/documents": ["worker/session", "worker/engine"],
    "worker/quack": ["worker/session", "worker/engine"],
}
# The composition roots see everything of their own process.
ROOTS = {"proxy": "proxy/", "worker": "worker/"}
# The worker gets its configuration over the contract, never from the operator's files.
FORBIDDEN_BELOW = {"worker": ["config"]}

OWNERS = [
    (re.compile(r"^duckdb"), ["worker/engine"], "DuckDB belongs to worker/engine"),
    (re.compile(r"^arrow/"), ["worker"], "Arrow belongs to the worker"),
    (re.compile(r"^jwt\.h$"), ["proxy/auth"], "libjwt belongs to proxy/auth"),
    (re.compile(r"^yaml-cpp/"), ["config"], "yaml-cpp belongs to config"),
]
CLOCK = re.compile(r"\b(?:steady_clock|system_clock|high_resolution_clock)::now\b|\b(?:clock_gettime|gettimeofday)\s*\(")
CLOCK_READERS = {
    "base/clock.cc",
}
INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]', re.M)


def module_of(path: str) -> str:
    """base/error.h → base; proxy/grpc/relay.cc → proxy/grpc; proxy/launch/docker/x.cc → proxy/launch; proxy/app.cc → proxy."""
    parts = path.split("/")
    if parts[0] in BELOW or len(parts) == 2:
        return parts[0]
    return "/".join(parts[:2])


def may_include(source: str, target: str) -> bool:
    if source == target:
        return True
    if target in BELOW:
        if source in BELOW:
            return BELOW.index(target) < BELOW.index(source)
        return target not in FORBIDDEN_BELOW.get(source.split("/")[0], [])
    if source in ROOTS:
        return target.startswith(ROOTS[source])
    return target in ALLOWED.get(source, [])


def within(module: str, owners: list[str]) -> bool:
    return any(module == owner or module.startswith(owner + "/") for owner in owners)


def check(file: Path, src: Path, notes: list[str]) -> list[str]:
    path = file.relative_to(src).as_posix()
    text = file.read_text(encoding="utf-8")
    module = module_of(path)
    is_test = path.endswith("_test.cc") or "/testing/" in path
    found = []

    def report(offset: int, message: str) -> None:
        found.append(f"src/{path}:{text.count(chr(10), 0, offset) + 1}: {message}")

    if "/" in module and module not in ALLOWED:
        report(0, f"the module {module} is not in tools/check_modules.py: say what it may include")
    for match in INCLUDE.finditer(text):
        quoted, target = match.group(1) == '"', match.group(2)
        if target.startswith("."):
            report(match.start(), f'"{target}" climbs: name it by its path from src/')
        elif quoted and (src / target).exists():
            if not may_include(module, module_of(target)):
                report(match.start(), f"{module} may not include {module_of(target)} ({target})")
        elif quoted and "/" not in target and (file.parent / target).exists():
            report(match.start(), f'"{target}": name it by its path from src/')
        for pattern, owners, why in OWNERS:
            if pattern.match(target) and not within(module, owners):
                report(match.start(), f"{why}, {module} includes {target}")
    if not is_test and path not in CLOCK_READERS:
        for match in CLOCK.finditer(text):
            notes.append(f"src/{path}:{text.count(chr(10), 0, match.start()) + 1}: note: reads a clock")
    if path.endswith(".h"):
        code = re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.S).strip()
        if not code.startswith("#pragma once"):
            report(0, "begins without #pragma once")
    return found


def main() -> int:
    root = Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
    src = root / "src"
    files = sorted(p for p in src.rglob("*") if p.suffix in (".h", ".cc"))
    notes: list[str] = []
    found = [message for file in files for message in check(file, src, notes)]
    for message in notes + found:
        print(message)
    print(f"{len(files)} files, {len(found)} findings")
    return 1 if found else 0


sys.exit(main())
