# shellcheck shell=bash
# Tests, lint and the benchmark.

# Environment of pip, where the machine reaches its package index in a way of its own.
readonly PIP_SETTINGS=(PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_TRUSTED_HOST PIP_DEFAULT_TIMEOUT http_proxy https_proxy
  no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY)

# in_test COMMAND…: runs it in the test image with the engine's socket, on the host's network, the tree at its own
# path: what the tests mount into containers they name by paths of this machine.
in_test() {
  local variable options=()
  for variable in "${PIP_SETTINGS[@]}"; do
    [ -z "${!variable:-}" ] || options+=(-e "$variable")
  done
  # A machine may trust certificates of its own (a company's proxy).
  if [ -r "${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}" ]; then
    options+=(-v "${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}:/etc/ssl/certs/ca-certificates.crt:ro")
    options+=(-e PIP_CERT=/etc/ssl/certs/ca-certificates.crt)
  fi
  # shellcheck disable=SC2086
  docker run --rm --init --name "pondpilot-test-$ID-$$-$RANDOM" --label "pondpilot.checkout=$ID" \
    -m 3g --network host -v "$ENGINE_SOCKET:/var/run/docker.sock" -v "$ROOT:$ROOT" -w "$ROOT" "${options[@]}" \
    -e HOME=/tmp -e LANG=C.UTF-8 -e PYTHONDONTWRITEBYTECODE=1 -e PYTHONUNBUFFERED=1 \
    -e PONDPILOT_PROXY_IMAGE="$PROXY_TEST_IMAGE" -e PONDPILOT_WORKER_IMAGE="$WORKER_TEST_IMAGE" \
    -e PONDPILOT_TEST_IMAGE="$TEST_IMAGE" -e PONDPILOT_DEV_IMAGE="$DEV_IMAGE" -e PONDPILOT_COMMIT="$(git -C "$ROOT" rev-parse --short HEAD 2>/dev/null)" \
    ${DEV_RUN_OPTIONS:-} "$TEST_IMAGE" "$@"
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
  step 1200 "Compiling the unit tests that need real parts" compile release launch_test jail_test engine_servers_test
  ensure_test_image
  try_step 600 "Python clients from PyPI" prepare_test_python ||
    say "     They can't be had: the tests that need them are skipped and say so."
  integration_tests "$@"
}

integration_tests() {
  STEP_NUMBER=$((STEP_NUMBER + 1))
  printf '[%2d] Integration tests (log: %s)\n' "$STEP_NUMBER" "build/log/integration.txt"
  local python=python3
  [ ! -x "$ROOT/$PYTHON_ENVIRONMENT/bin/python3" ] || python="$PYTHON_ENVIRONMENT/bin/python3"
  in_test timeout 2400 "$python" -m pytest tests/integration --junitxml=build/test/integration.xml "$@" 2>&1 |
    tee "$ROOT/build/log/integration.txt"
}

show_failed_units() {
  grep -E '^ *[0-9]+ - .*\((Failed|Timeout|SEGFAULT|Not Run|.*Exception.*|Subprocess aborted)\)' "$LOG" | sort -u | head -n 40
}

run_tests() {
  local suites=(release integration asan) whole=
  case "${1:-all}" in
    all) whole=yes ;;
    unit) suites=(release) ;;
    asan) suites=(asan) ;;
    integration) suites=(integration) ;;
    *) fail "there is no suite \"$1\"; there are unit, asan, integration and all." ;;
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
    fleet | http)
      module=tests.bench.$1
      shift
      ;;
  esac
  in_test timeout 1800 "$python" -m "$module" "$@"
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
