#!/usr/bin/env python3
"""clang-tidy over the sources that build/release compiles. A file that was clean is not looked at again until it, a
project header that it includes, its flags or .clang-tidy change.

usage: tidy.py JOBS [FILE…]      with files: only those (paths from the root). Ends with 1 when anything was found.
"""

import hashlib
import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

BUILD = Path("build/release")
CLEAN = Path("build/tidy/clean")
COMMANDS = Path("build/tidy/compile_commands.json")
# Flags that only g++ knows.
GCC_ONLY = ("-fmodules-ts", "-fmodule-mapper", "-fdeps-format", "-Winvalid-pch")


def prepared_commands() -> list[dict]:
    """The compile commands as clang can read them: no ccache, no g++ precompiled headers."""
    commands = []
    for entry in json.loads((BUILD / "compile_commands.json").read_text()):
        if "/src/src/" not in entry["file"] or not entry["file"].endswith(".cc"):
            continue
        words = [w for w in entry["command"].split() if not w.endswith("/ccache") and not w.startswith(GCC_ONLY)]
        for index, word in enumerate(words):
            if word.endswith("cmake_pch.hxx"):
                # The same text under another name, beside which no .gch lies.
                copy = Path("build/tidy") / (hashlib.sha256(word.encode()).hexdigest()[:12] + ".hxx")
                copy.write_text(Path(word).read_text())
                words[index] = str(copy.resolve())
        commands.append({**entry, "command": " ".join(words)})
    return commands


def project_headers() -> dict[str, list[str]]:
    """For each source, the project's files that it includes, as the last build saw them."""
    text = subprocess.run(["ninja", "-C", BUILD, "-t", "deps"], capture_output=True, text=True, timeout=120).stdout
    headers = {}
    for block in text.split("\n\n"):
        files = [line.strip() for line in block.splitlines()[1:]]
        own = sorted({f for f in files if f.startswith("/src/")})
        source = next((f for f in files if f.endswith(".cc")), None)
        if source:
            headers[source] = own
    return headers


def fingerprint(entry: dict, headers: dict[str, list[str]]) -> str | None:
    """None when the build doesn't know the file's headers: then it is always looked at."""
    if entry["file"] not in headers:
        return None
    digest = hashlib.sha256(Path(".clang-tidy").read_bytes() + entry["command"].encode())
    for name in headers[entry["file"]]:
        path = Path(name)
        digest.update(name.encode() + (path.read_bytes() if path.exists() else b"gone"))
    return digest.hexdigest()


def check(entry: dict, key: str | None) -> tuple[str, str]:
    done = subprocess.run(["clang-tidy", "-p", "build/tidy", "--quiet", "--warnings-as-errors=*", entry["file"]],
                          capture_output=True, text=True, timeout=600)
    if done.returncode == 0 and key:
        (CLEAN / key).touch()
    noise = re.compile(r"^\d+ warnings? (?:and \d+ errors? )?generated|^Suppressed |^Use -header-filter|warnings treated as errors$")
    said = "\n".join(line for line in (done.stdout + done.stderr).splitlines() if not noise.search(line))
    return entry["file"], said.strip() if done.returncode else ""


def main() -> int:
    jobs, wanted = int(sys.argv[1]), {str(Path(name).resolve()) for name in sys.argv[2:]}
    CLEAN.mkdir(parents=True, exist_ok=True)
    commands = prepared_commands()
    COMMANDS.write_text(json.dumps(commands))
    headers = project_headers()
    work = []
    for entry in commands:
        key = fingerprint(entry, headers)
        if (not wanted or entry["file"] in wanted) and not (key and (CLEAN / key).exists()):
            work.append((entry, key))
    print(f"{len(commands)} files, {len(commands) - len(work)} unchanged since they were clean", flush=True)
    found = 0
    with ThreadPoolExecutor(jobs) as pool:
        for number, (file, said) in enumerate(pool.map(lambda pair: check(*pair), work), 1):
            found += bool(said)
            print(f"[{number}/{len(work)}] {file}{': found' if said else ''}", flush=True)
            if said:
                print(said, flush=True)
    print(f"clang-tidy: {found} files with findings")
    return 1 if found else 0


sys.exit(main())
