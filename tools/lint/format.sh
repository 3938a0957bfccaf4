#!/usr/bin/env bash
# Every C++ file is formatted as .clang-format says.
set -euo pipefail
find src tests -name '*.h' -o -name '*.cc' | sort | xargs clang-format --dry-run -Werror
