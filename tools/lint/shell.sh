#!/usr/bin/env bash
# Shell scripts pass shellcheck.
set -euo pipefail
shellcheck -x dev .ci/run tools/dev/*.sh tools/lint/*.sh docker/* tests/clients/prepare.sh
