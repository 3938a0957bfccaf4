# shellcheck shell=bash
# Tests, lint and the benchmark.

# Environment of package clients, where the machine reaches its registries in a way of its own; and their settings, of
# the home folder.
readonly PACKAGE_SETTINGS=(PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_TRUSTED_HOST PIP_DEFAULT_TIMEOUT GOPROXY GOPRIVATE
  GONOSUMDB GOSUMDB GOINSECURE npm_config_registry NPM_CONFIG_REGISTRY MAVEN_OPTS MAVEN_ARGS http_proxy https_proxy
  no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY)
readonly PACKAGE_SETTINGS_FILES=(.m2/settings.xml .cargo/config.toml .npmrc)

# in_test COMMAND…: runs it in the test image with the engine's socket, on the host's network, the tree at its own
# path: what the tests mount into containers they name by paths of this machine.
in_test() {
  local variable file options=()
  for variable in "${PACKAGE_SETTINGS[@]}"; do
    [ -z "${!variable:-}" ] || options+=(-e "$variable")
  done
  for file in "${PACKAGE_SETTINGS_FILES[@]}"; do
    [ ! -r "$HOME/$file" ] || options+=(-v "$HOME/$file:/tmp/$file:ro")
  done
  # A machine may trust certificates of its own (a company's proxy).
  if [ -r "${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}" ]; then
    options+=(-v "${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}:/etc/ssl/certs/ca-certificates.crt:ro")
    for variable in PIP_CERT CARGO_HTTP_CAINFO NODE_EXTRA_CA_CERTS; do
      options+=(-e "$variable=/etc/ssl/certs/ca-certificates.crt")
    done
  fi
  [ ! -r /etc/ssl/certs/java/cacerts ] ||
    options+=(-v "/etc/ssl/certs/java/cacerts:/etc/ssl/certs/java/cacerts:ro")
  # shellcheck disable=SC2086
  docker run --rm --init --name "pondpilot-test-$ID-$$-$RANDOM" --label "pondpilot.checkout=$ID" \
    -m 3g --network host -v "$ENGINE_SOCKET:/var/run/docker.sock" -v "$ROOT:$ROOT" -w "$ROOT" "${options[@]}" \
    -e HOME=/tmp -e LANG=C.UTF-8 -e PYTHONDONTWRITEBYTECODE=1 -e PYTHONUNBUFFERED=1 \
    -e PONDPILOT_PROXY_IMAGE="$PROXY_TEST_IMAGE" -e PONDPILOT_WORKER_IMAGE="$WORKER_TEST_IMAGE" \
    -e PONDPILOT_TEST_IMAGE="$TEST_IMAGE" -e PONDPILOT_DEV_IMAGE="$DEV_IMAGE" -e PONDPILOT_COMMIT="$(git -C "$ROOT" rev-parse --short HEAD 2>/dev/null)" \
    ${DEV_RUN_OPTIONS:-} "${IN_TEST_IMAGE:-$TEST_IMAGE}" "$@"
}

# The clients that Debian doesn't package, in a folder of this checkout. Made again when the list changes.
readonly PYTHON_ENVIRONMENT=build/test-python
prepare_test_python() {
  # shellcheck disable=SC2016
  in_test timeout 500 bash -ec '
    environment=$1 wanted=tests/support/requirements.txt
    if cmp -s "$wanted" "$environment/requirements.txt"; then echo "Unchanged."; exit; fi
    rm -rf "$environment"
    python3 -m venv --system-site-packages "$environment"
    "$environment/bin/pip" install --quiet --disable-pip-version-check -r "$wanted"
    cp "$wanted" "$environment/requirements.txt"' prepare "$PYTHON_ENVIRONMENT"
}

# Each suite leaves a JUnit file in build/test; a suite that left none did not run and counts as one failure.
unit_suite() { # PRESET [SECONDS]: what may be spent on compiling; when that is not enough the suite is one skipped test
  local preset=$1 limit=${2:-3600} status=0
  if ((limit > 0)); then
    try_step "$limit" "Compiling everything ($preset)" compile "$preset" || status=$?
  else
    status=124
  fi
  if ((status == 124 && $# > 1)); then
    say "     No time is left for it: ./dev test $preset runs this suite by itself."
    printf '<testsuite><testcase name="%s"><skipped message="%s"/></testcase></testsuite>\n' "the unit tests under $preset" \
      "compiling them takes longer than a whole run may: ./dev test $preset" >"$ROOT/build/test/$preset.xml"
    return 0
  fi
  ((status == 0)) || return 1
  # shellcheck disable=SC2016
  DEV_RUN_OPTIONS="$UNIT_ENVIRONMENT" try_step 1500 "Unit tests ($preset)" in_dev timeout 1400 \
    ctest --test-dir "build/$preset" --output-on-failure --parallel "$JOBS" --output-junit "/src/build/test/$preset.xml" ||
    status=1
  return "$status"
}

# On two cores with nothing in the caches a whole run takes no longer than this; then the sanitizers go without.
readonly WHOLE_RUN_SECONDS=2520
readonly SANITIZED_TESTS_SECONDS=420
readonly UNIT_ENVIRONMENT="-e ASAN_OPTIONS=detect_leaks=1:abort_on_error=0 -e UBSAN_OPTIONS=print_stacktrace=1"

integration_suite() {
  build_product
  step 1200 "Compiling the unit tests that need real parts" compile release base_test launch_test jail_test engine_servers_test
  ensure_test_image
  try_step 600 "Python clients from PyPI" prepare_test_python ||
    say "     They can't be had: the tests that need them are skipped and say so."
  pytest_suite integration "Integration tests" "$@"
}

# pytest_suite NAME TITLE [ARGUMENT…]: the tests in tests/NAME.
pytest_suite() {
  local name=$1 title=$2 python=python3
  shift 2
  STEP_NUMBER=$((STEP_NUMBER + 1))
  printf '[%2d] %s (log: %s)\n' "$STEP_NUMBER" "$title" "build/log/$name.txt"
  [ ! -x "$ROOT/$PYTHON_ENVIRONMENT/bin/python3" ] || python="$PYTHON_ENVIRONMENT/bin/python3"
  in_test timeout 2400 "$python" -m pytest "tests/$name" "--junitxml=build/test/$name.xml" "$@" 2>&1 |
    tee "$ROOT/build/log/$name.txt"
}

# Clients in other languages, each with what its registry has. One that can't be had is skipped with its reason.
clients_suite() {
  local client
  build_product
  ensure_clients_image
  IN_TEST_IMAGE=$CLIENTS_IMAGE
  try_step 600 "Python clients from PyPI" prepare_test_python ||
    say "     They can't be had: the tests that need them are skipped and say so."
  for client in jdbc go rust node sqlalchemy; do
    try_step 900 "Client: $client" prepare_client "$client" || say "     It can't be had: its tests are skipped and say so."
  done
  pytest_suite clients "Clients" "$@"
}

# What it says is kept for the tests, which name the reason when they are skipped.
prepare_client() {
  # shellcheck disable=SC2016
  in_test timeout 880 bash -c '
    mkdir -p "build/clients/$1"
    rm -f "build/clients/$1/prepared"
    tests/clients/prepare.sh "$1" 2>&1 | tee "build/clients/$1/prepare.log"
    exit "${PIPESTATUS[0]}"' prepare "$1"
}

show_failed_units() {
  grep -E '^ *[0-9]+ - .*\((Failed|Timeout|SEGFAULT|Not Run|.*Exception.*|Subprocess aborted)\)' "$LOG" | sort -u | head -n 40
}

run_tests() {
  local suites=(release integration clients asan) whole=
  case "${1:-all}" in
    all) whole=yes ;;
    unit) suites=(release) ;;
    asan) suites=(asan) ;;
    integration | clients) suites=("$1") ;;
    *) fail "there is no suite \"$1\"; there are unit, asan, integration, clients and all." ;;
  esac
  [ $# -eq 0 ] || shift
  begin_log test
  ensure_engine
  rm -rf "$ROOT/build/test"
  mkdir -p "$ROOT/build/test"
  ensure_dev_image
  local suite
  for suite in "${suites[@]}"; do
    case "$suite" in
      integration) (integration_suite "$@") ;;
      clients) (clients_suite "$@") ;;
      asan) unit_suite asan ${whole:+$((WHOLE_RUN_SECONDS - SANITIZED_TESTS_SECONDS - SECONDS))} ||
        { show_failed_units; tail -n 30 "$LOG" | cut -c1-300; } ;;
      *) unit_suite "$suite" || { show_failed_units; tail -n 30 "$LOG" | cut -c1-300; } ;;
    esac
  done
  say
  in_dev timeout 60 python3 tools/test_totals.py build/test "${suites[@]}"
}

lint_step() {
  try_step "$@" || {
    tail -n 40 "$LOG" | cut -c1-300
    LINT_FAILED=1
  }
}

run_lint() {
  LINT_FAILED=0
  begin_log lint
  ensure_engine
  ensure_dev_image
  lint_step 120 "Formatting (clang-format)" in_dev timeout 100 tools/lint/format.sh
  lint_step 60 "Module directions" in_dev timeout 50 python3 tools/check_modules.py
  lint_step 60 "Snippets in docs/clients" in_dev timeout 50 python3 tools/check_snippets.py
  lint_step 60 "Shell scripts (shellcheck)" in_dev timeout 50 tools/lint/shell.sh
  lint_step 3000 "Compiling, for the generated headers and each file's dependencies" compile release
  lint_step 3600 "clang-tidy" in_dev timeout 3500 tools/lint/tidy.py "$JOBS"
  ((LINT_FAILED == 0)) || fail "lint found something." "All output: $LOG"
  say "lint: nothing found"
}

run_bench() {
  begin_log bench
  ensure_engine
  build_product
  ensure_test_image
  local python=python3
  [ ! -x "$ROOT/$PYTHON_ENVIRONMENT/bin/python3" ] || python="$PYTHON_ENVIRONMENT/bin/python3"
  local module=tests.bench
  case "${1:-}" in
    fleet | clients | http | quack)
      module=tests.bench.$1
      shift
      ;;
  esac
  if [ "$module" = tests.bench.clients ]; then
    ensure_clients_image
    IN_TEST_IMAGE=$CLIENTS_IMAGE
    try_step 900 "Client: jdbc" prepare_client jdbc || say "     It can't be had: that part is left out and says so."
    step 1200 "Compiling the benchmark's own programs" compile release flight_calls appender_rows
    try_step 600 "Python clients from PyPI" prepare_test_python ||
      fail "./dev bench clients measures what these clients see." "All output: $LOG"
    python="$ROOT/$PYTHON_ENVIRONMENT/bin/python3"
    # TPC-H's tables are made there; of two the last counts.
    DEV_RUN_OPTIONS="-m 8g ${DEV_RUN_OPTIONS:-}"
  fi
  if [ "$module" = tests.bench.quack ]; then
    try_step 600 "Python clients from PyPI" prepare_test_python ||
      fail "./dev bench quack measures DuckDB 1.5 from PyPI as well." "All output: $LOG"
    python="$ROOT/$PYTHON_ENVIRONMENT/bin/python3"
  fi
  in_test timeout 1800 "$python" -m "$module" "$@"
}

# What a run finds goes to build/fuzz/found; its own corpus lives in build/fuzz/corpus and goes on growing.
run_fuzz() {
  local target=${1:-} seconds=${2:-60} keep=${3:-}
  [ -n "$target" ] && [ -f "$ROOT/tests/fuzz/$target.cc" ] && [ -d "$ROOT/tests/fuzz/corpus/$target" ] ||
    fail "there is no fuzz target \"$target\"." "There are: $(cd "$ROOT/tests/fuzz/corpus" && echo *)"
  case "$seconds" in *[!0-9]* | '') fail "\"$seconds\" is no number of seconds. ./dev fuzz TARGET [SECONDS] [--keep]" ;; esac
  begin_log fuzz
  ensure_engine
  ensure_dev_image
  step 3000 "Compiling fuzz_$target" compile fuzz "fuzz_$target"
  # shellcheck disable=SC2016
  in_dev timeout "$((seconds + 600))" bash -ec '
    target=$1 seconds=$2 keep=$3 own=build/fuzz/corpus/$1 kept=tests/fuzz/corpus/$1
    mkdir -p "$own" build/fuzz/found
    build/fuzz/bin/fuzz_"$target" -max_total_time="$seconds" -max_len=16384 -timeout=25 -rss_limit_mb=3000 -print_final_stats=1 \
      -artifact_prefix="build/fuzz/found/$target-" "$own" "$kept"
    if [ "$keep" = --keep ]; then build/fuzz/bin/fuzz_"$target" -merge=1 -max_len=2048 "$kept" "$own"; fi' \
    fuzz "$target" "$seconds" "$keep"
}

run_chaos() {
  begin_log chaos
  ensure_engine
  build_product
  ensure_test_image
  try_step 600 "Python clients from PyPI" prepare_test_python || true
  local python=python3 minutes=${1:-5}
  [ ! -x "$ROOT/$PYTHON_ENVIRONMENT/bin/python3" ] || python="$PYTHON_ENVIRONMENT/bin/python3"
  case "$minutes" in *[!0-9.]* | '') fail "\"$minutes\" is no number of minutes. ./dev chaos [MINUTES] [SEED]" ;; esac
  # Beside the faults: the start, the recovery and the wait for leases to end.
  in_test timeout "$((${minutes%%.*} * 60 + 900))" "$python" -m tests.chaos "$@" 2>&1 | tee "$ROOT/build/log/chaos.txt"
}
