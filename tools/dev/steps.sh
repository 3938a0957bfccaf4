# shellcheck shell=bash
# Numbered steps with visible progress, a log file behind them, and one way to end with an error.

# Where the output of the steps goes; set by begin_log.
LOG=/dev/null
STEP_NUMBER=0
STEP_PID=
readonly HEARTBEAT_SECONDS=30

say() { printf '%s\n' "$*"; }

# fail MESSAGE…: one line per argument on stderr, then the end.
fail() {
  printf '\n%s\n' "error: $1" >&2
  shift
  [ $# -eq 0 ] || printf '       %s\n' "$@" >&2
  exit 1
}

begin_log() {
  LOG="$ROOT/build/log/$1.log"
  { mkdir -p "$ROOT/build/log" && : >"$LOG"; } 2>/dev/null ||
    fail "can't write $LOG." "The folder build belongs to $(stat -c %U "$ROOT/build" 2>/dev/null || echo somebody else):" \
      "run this as that user, or remove the folder."
}

# step SECONDS TITLE COMMAND…: runs the command (a function will do) in its own process group with its output in the
# log. On a terminal the line counts seconds; elsewhere a line with the last output comes every half minute. Ends the
# script with the last lines of the log when the command fails or takes longer than SECONDS.
step() {
  try_step "$@" && return
  local status=$? title=$2
  {
    printf '\nThe last lines of %s:\n\n' "$LOG"
    tail -n 40 "$LOG" | cut -c1-300 | sed 's/^/    /'
  } >&2
  [ "$status" != 124 ] || fail "\"$title\" took longer than $1 seconds and was ended." "All output: $LOG"
  fail "\"$title\" failed." "All output: $LOG"
}

# As step, but returns the command's status (124: too long).
try_step() {
  local limit=$1 title=$2 start=$SECONDS last_beat=$SECONDS elapsed status
  shift 2
  STEP_NUMBER=$((STEP_NUMBER + 1))
  printf '\n==> %s: %s\n' "$STEP_NUMBER" "$title" >>"$LOG"
  [ -t 1 ] || printf '[%2d] %s …\n' "$STEP_NUMBER" "$title"
  set -m
  ("$@") </dev/null >>"$LOG" 2>&1 &
  STEP_PID=$!
  set +m
  while kill -0 "$STEP_PID" 2>/dev/null; do
    elapsed=$((SECONDS - start))
    if ((elapsed > limit)); then
      end_step_process
      printf '     too long after %s s\n' "$elapsed"
      return 124
    fi
    if [ -t 1 ]; then
      printf '\r[%2d] %s … %s s ' "$STEP_NUMBER" "$title" "$elapsed"
    elif ((SECONDS - last_beat >= HEARTBEAT_SECONDS)); then
      last_beat=$SECONDS
      printf '     … %s s: %s\n' "$elapsed" "$(tail -n 1 "$LOG" | tr -d '\r' | cut -c1-100)"
    fi
    sleep 0.2
  done
  status=0
  wait "$STEP_PID" || status=$?
  STEP_PID=
  elapsed=$((SECONDS - start))
  [ ! -t 1 ] || printf '\r[%2d] %s … ' "$STEP_NUMBER" "$title"
  [ -t 1 ] || printf '     '
  if ((status == 0)); then printf 'done in %s s\n' "$elapsed"; else printf 'failed after %s s\n' "$elapsed"; fi
  return "$status"
}

end_step_process() {
  [ -n "$STEP_PID" ] || return 0
  kill -TERM -- "-$STEP_PID" 2>/dev/null || true
  local deadline=$((SECONDS + 10))
  while kill -0 "$STEP_PID" 2>/dev/null && ((SECONDS < deadline)); do sleep 0.1; done
  kill -KILL -- "-$STEP_PID" 2>/dev/null || true
  wait "$STEP_PID" 2>/dev/null || true
  STEP_PID=
}

# wait_until SECONDS COMMAND…: tries again until it succeeds.
wait_until() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < deadline)) || return 1
    sleep 0.3
  done
}
