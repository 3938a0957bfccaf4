# shellcheck shell=bash
# Images of the Dockerfile's stages, and commands in containers made from them.

readonly DEV_IMAGE="pondpilot-dev:$ID"
readonly CLIENT_IMAGE="pondpilot-client:$ID"
readonly TEST_IMAGE="pondpilot-test:$ID"
readonly CLIENTS_IMAGE="pondpilot-clients:$ID"
readonly PROXY_IMAGE=ghcr.io/pondpilot/proxy:latest
readonly WORKER_IMAGE=ghcr.io/pondpilot/sqlflite:latest
# The same images under names of this checkout, for tests that run beside another checkout's.
readonly PROXY_TEST_IMAGE="pondpilot-proxy:$ID"
readonly WORKER_TEST_IMAGE="pondpilot-worker:$ID"
# One compiler cache for all checkouts of this user: ccache is made to be shared, and paths inside are always /src.
readonly CCACHE_VOLUME="pondpilot-ccache-$UID"
JOBS=${JOBS:-$(nproc 2>/dev/null || echo 2)}

# Three quarters of the machine, at most 8 GiB.
dev_memory_mb() {
  local total
  total=$(awk '/^MemTotal/ { print int($2 / 1024) }' /proc/meminfo 2>/dev/null)
  total=$((${total:-8192} * 3 / 4))
  echo $((total < 8192 ? total : 8192))
}

# Passes on the proxy settings of this machine, which `docker build` knows as predefined arguments.
docker_build() {
  local variable args=()
  for variable in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY; do
    [ -z "${!variable:-}" ] || args+=(--build-arg "$variable")
  done
  timeout 2400 docker build "${args[@]}" "$@"
}

# The first stages copy nothing, so they need no context.
build_stage_without_context() { docker_build --target "$1" --tag "$2" - <"$ROOT/Dockerfile"; }

ensure_dev_image() {
  ensure_base_image
  step 2400 "Image with the compilers" build_stage_without_context dev "$DEV_IMAGE"
}
ensure_client_image() { step 2400 "Image with a client" build_stage_without_context client "$CLIENT_IMAGE"; }
ensure_clients_image() { step 2400 "Image with the tools of other languages" build_stage clients "$CLIENTS_IMAGE"; }
ensure_test_image() { step 2400 "Image with databases and clients for tests" build_stage test "$TEST_IMAGE"; }

# An ordinary user's build belongs to that user, not to root.
as_caller() { [ "$UID" = 0 ] || printf '%s\n' --user "$UID:$(id -g)"; }

# in_dev COMMAND…: runs it in the dev image, the tree at /src.
in_dev() {
  local user
  mapfile -t user < <(as_caller)
  # shellcheck disable=SC2086
  docker run --rm --init --name "pondpilot-dev-$ID-$$-$RANDOM" --label "pondpilot.checkout=$ID" \
    -m "$(dev_memory_mb)m" --cap-add SYS_PTRACE "${user[@]}" \
    -v "$ROOT:/src" -v "$CCACHE_VOLUME:/ccache" -w /src \
    -e CCACHE_DIR=/ccache -e HOME=/tmp -e LANG=C.UTF-8 -e CMAKE_BUILD_PARALLEL_LEVEL="$JOBS" \
    ${DEV_RUN_OPTIONS:-} "$DEV_IMAGE" "$@"
}

prepare_compiler_cache() {
  [ "$UID" != 0 ] || return 0
  docker run --rm -m 256m -v "$CCACHE_VOLUME:/ccache" "$DEV_IMAGE" chown "$UID:$(id -g)" /ccache
}

# compile PRESET [TARGET…]: no target means all.
compile() {
  local preset=$1
  shift
  prepare_compiler_cache || return 1
  # shellcheck disable=SC2016
  in_dev timeout 3000 bash -c '
    preset=$1; shift
    cmake --preset "$preset" -Wno-dev --log-level=WARNING || exit 1
    exec cmake --build "build/$preset" ${*:+--target "$@"}' compile "$preset" "$@"
}

# Stripped copies for the images; the ones with debug information stay in build/release/bin.
collect_programs() {
  # shellcheck disable=SC2016
  in_dev timeout 120 bash -ec '
    mkdir -p build/image
    for program in pondpilot-proxy pondpilot-jailer pondpilot-worker; do
      strip -o "build/image/$program.new" "build/release/bin/$program"
      chmod 755 "build/image/$program.new"
      mv "build/image/$program.new" "build/image/$program"
    done'
}

build_stage() {
  local stage=$1
  shift
  docker_build --target "$stage" "${@/#/--tag=}" "$ROOT"
}

build_product() {
  ensure_dev_image
  step 3000 "Compiling the proxy and the worker" compile release pondpilot-proxy pondpilot-jailer pondpilot-worker
  step 120 "Collecting the programs" collect_programs
  step 1200 "Image $WORKER_IMAGE" build_stage worker "$WORKER_IMAGE" "$WORKER_TEST_IMAGE"
  step 1200 "Image $PROXY_IMAGE" build_stage proxy "$PROXY_IMAGE" "$PROXY_TEST_IMAGE"
}
