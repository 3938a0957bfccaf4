#!/usr/bin/env bash
# clang-tidy over the sources in build/release's compile commands. usage: tidy.sh JOBS
set -euo pipefail
# Flags that only g++ knows are left out; clang-tidy reads the rest.
python3 - <<'PY'
import json

commands = json.load(open("build/release/compile_commands.json"))
unknown = ("-fmodules-ts", "-fmodule-mapper", "-fdeps-format", "-MD")
kept = []
for entry in commands:
    if "/src/src/" not in entry["file"]:
        continue
    words = [w for w in entry["command"].split() if not w.startswith(unknown) and w != "/usr/bin/ccache"]
    kept.append({**entry, "command": " ".join(words)})
import os
os.makedirs("build/tidy", exist_ok=True)
json.dump(kept, open("build/tidy/compile_commands.json", "w"))
open("build/tidy/files", "w").write("\0".join(sorted({e["file"] for e in kept})))
PY
xargs -0 -a build/tidy/files -n 1 -P "$1" clang-tidy -p build/tidy --quiet --warnings-as-errors='*'
