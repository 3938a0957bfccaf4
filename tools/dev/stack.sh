# shellcheck shell=bash
# The running product: .env, ports, Compose, the first query.

# Host ports: from the environment, else from .env, else the product's own.
env_file_value() { sed -n "s/^$1=//p" "$ROOT/.env" 2>/dev/null | tail -n 1 | tr -d "\"'"; }
PORT=${PORT:-$(env_file_value PORT)}
GRPC_PORT=${GRPC_PORT:-$(env_file_value GRPC_PORT)}
export PORT=${PORT:-8080} GRPC_PORT=${GRPC_PORT:-8081}

# Compose's plugin where the machine has it, else Debian's own from the client image, which sees the tree at the same
# path, so that relative mounts mean the same.
compose() {
  if docker compose version >/dev/null 2>&1; then
    (cd "$ROOT" && timeout 300 docker compose -f compose.yaml "$@")
    return
  fi
  local flags=(-i)
  if [ -t 0 ] && [ -t 1 ]; then flags=(-it); fi
  timeout 300 docker run --rm "${flags[@]}" --init -m 512m --label "pondpilot.checkout=$ID" \
    -v "$ENGINE_SOCKET:/var/run/docker.sock" -v "$ROOT:$ROOT" -w "$ROOT" \
    -e PORT -e GRPC_PORT -e CONFIG_SUM -e DATABASE_URL -e CLAUDE_API_KEY -e OPENAI_API_KEY \
    "$CLIENT_IMAGE" docker-compose -f compose.yaml "$@"
}

# The secret of this checkout's tokens, and the project name, so that a plain `docker compose` finds the same stack.
ensure_env_file() {
  if [ ! -e "$ROOT/.env" ]; then
    (
      umask 077
      printf '# Made by ./dev up. Values for compose.yaml.\nJWT_SECRET=%s\n' \
        "$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')" >"$ROOT/.env"
    )
    say "     Made .env with a random JWT_SECRET."
  fi
  remember PORT "$PORT" 8080
  remember GRPC_PORT "$GRPC_PORT" 8081
  grep -q '^COMPOSE_PROJECT_NAME=' "$ROOT/.env" || echo "COMPOSE_PROJECT_NAME=pondpilot-$ID" >>"$ROOT/.env"
}

# remember NAME VALUE DEFAULT: in .env, so that the next ./dev up means the same; the default needs no line.
remember() {
  [ "$(env_file_value "$1")" != "$2" ] || return 0
  sed -i "/^$1=/d" "$ROOT/.env"
  [ "$2" = "$3" ] || echo "$1=$2" >>"$ROOT/.env"
}

proxy_container() { timeout 20 docker ps -q --filter "label=com.docker.compose.project=$(project_name)" \
  --filter label=com.docker.compose.service=proxy; }

project_name() { env_file_value COMPOSE_PROJECT_NAME; }

# The inode of a socket that listens on TCP port $1, if any; needs no tool.
listening_inode() {
  local hex
  hex=$(printf '%04X' "$1")
  awk -v port=":$hex" '$4 == "0A" && substr($2, length($2) - 4) == port { print $10; exit }' \
    /proc/net/tcp /proc/net/tcp6 2>/dev/null
}

# Who listens there, as far as this user may know: a container's name or a process.
port_owner() {
  local name inode link
  name=$(timeout 20 docker ps --filter "publish=$1" --format '{{.Names}}' | head -n 1)
  if [ -n "$name" ]; then
    echo "the container $name"
    return
  fi
  inode=$(listening_inode "$1")
  for link in /proc/[0-9]*/fd/*; do
    if [ "$(readlink "$link" 2>/dev/null)" = "socket:[$inode]" ]; then
      link=${link#/proc/}
      echo "$(cat "/proc/${link%%/*}/comm" 2>/dev/null) (process ${link%%/*})"
      return
    fi
  done
  echo "another process"
}

# The host ports that this stack publishes now, one a line.
own_ports() {
  local container
  [ -n "$(project_name)" ] && container=$(proxy_container) && [ -n "$container" ] || return 0
  timeout 20 docker inspect \
    -f '{{range .HostConfig.PortBindings}}{{range .}}{{println .HostPort}}{{end}}{{end}}' "$container"
}

# free_port FROM OTHER: the first port from FROM on that nobody listens on and that isn't OTHER.
free_port() {
  local port=$1
  while ((port <= 65535)); do
    if [ "$port" != "$2" ] && [ -z "$(listening_inode "$port")" ]; then
      echo "$port"
      return
    fi
    port=$((port + 1))
  done
}

# Before anything takes long. What runs from here already has its ports.
check_ports() {
  local name own taken=() http=$PORT grpc=$GRPC_PORT
  for name in PORT GRPC_PORT; do
    case "${!name}" in
      '' | *[!0-9]* | ??????*) fail "$name=${!name} is not a port number (1 to 65535)." ;;
    esac
    ((10#${!name} >= 1 && 10#${!name} <= 65535)) || fail "$name=${!name} is not a port number (1 to 65535)."
  done
  [ "$PORT" != "$GRPC_PORT" ] || fail "PORT and GRPC_PORT are both $PORT; they have to differ."
  own=$(own_ports)
  for name in PORT GRPC_PORT; do
    if ! grep -qx "${!name}" <<<"$own" && [ -n "$(listening_inode "${!name}")" ]; then
      taken+=("port ${!name} is taken by $(port_owner "${!name}")")
      if [ "$name" = PORT ]; then http=$(free_port 18080 "$grpc"); else grpc=$(free_port 18081 "$http"); fi
    fi
  done
  ((${#taken[@]} == 0)) || fail "$(printf '%s; ' "${taken[@]}" | sed 's/; $/./')" \
    "Stop that, or take other ports: PORT=$http GRPC_PORT=$grpc ./dev up"
}

# http_get PORT PATH: prints the answer, headers included; without curl, which a bare machine lacks.
http_get() {
  (
    exec 3<>"/dev/tcp/127.0.0.1/$1" || exit 1
    printf 'GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' "$2" >&3
    timeout 5 cat <&3
  ) 2>/dev/null
}

is_ready() { http_get "$PORT" /ready | grep -q '^HTTP/1.1 200'; }

# Compose starts a proxy that has ended again and again.
restarts() { timeout 20 docker inspect -f '{{.RestartCount}}' "$(proxy_container)" 2>/dev/null || echo gone; }

ready_or_gone() {
  is_ready || [ "$(restarts)" != 0 ]
}

wait_for_ready() {
  wait_until 60 ready_or_gone
  is_ready && return
  if [ "$(restarts)" = 0 ]; then
    echo "The proxy does not answer GET /ready on port $PORT with 200. Its answer, then its log:"
    http_get "$PORT" /ready
    compose logs --no-color --tail 20 proxy
  fi
  return 1
}

# A proxy that can't start says why and ends: its own words, once, instead of a loop of restarts.
show_why_not_ready() {
  [ "$(restarts)" != 0 ] || return 0
  local container
  container=$(timeout 20 docker ps -aq --filter "label=com.docker.compose.project=$(project_name)" \
    --filter label=com.docker.compose.service=proxy)
  timeout 20 docker stop "$container" >/dev/null
  printf '\nThe proxy could not start. It says:\n\n' >&2
  timeout 20 docker logs --tail 100 "$container" 2>&1 | awk '!seen[$0]++' | sed 's/^/    /' >&2
  fail "the proxy could not start." "Mend samples/config.yaml or .env, then ./dev up again."
}

# Compose makes a new container when a label has changed; that the mounted file has, it doesn't see.
start_stack() {
  [ -f "$ROOT/samples/config.yaml" ] || { echo "samples/config.yaml is missing."; return 1; }
  CONFIG_SUM=$(cksum <"$ROOT/samples/config.yaml")
  export CONFIG_SUM
  compose up -d --remove-orphans
}

make_token() { timeout 30 docker exec "$(proxy_container)" pondpilot-proxy token --sub "$1" --ttl "${2:-1h}"; }

# In the proxy's own network, so that it works whatever the ports and the machine.
run_first_query() {
  timeout 120 docker run --rm -i --init -m 512m --network "container:$(proxy_container)" \
    -e TOKEN="$(make_token first-query 5m)" "$CLIENT_IMAGE" python3 - grpc://127.0.0.1:8081 <"$ROOT/samples/first_query.py"
}

stack_up() {
  ensure_env_file
  step 300 "Starting compose.yaml" start_stack
  try_step 90 "Waiting until the proxy is ready" wait_for_ready || {
    show_why_not_ready
    fail "the proxy is not ready." "All output: $LOG"
  }
  local answer="$ROOT/build/log/first-query.txt"
  step 150 "First query: starts a worker, reads the sample shop" first_query_to "$answer"
  say
  cat "$answer"
  print_next_lines
}

first_query_to() { run_first_query >"$1" || { cat "$1"; compose logs --no-color --tail 20 proxy; return 1; }; }

print_next_lines() {
  cat <<TXT

The proxy runs: HTTP on port $PORT, Flight SQL (gRPC) on port $GRPC_PORT.

  curl http://localhost:$PORT/health/detailed
  curl -X POST http://localhost:$PORT/auth/demo-token
  ./dev token alice                  # a token for the user alice
  ./dev logs                         # what the proxy does
  ./dev down                         # stop everything

Python (pip install pyarrow), or the same in a shell that has it: ./dev shell client

  from pyarrow import flight
  client = flight.connect("grpc://localhost:$GRPC_PORT")
  options = flight.FlightCallOptions(headers=[(b"authorization", b"Bearer <token>")])
  info = client.get_flight_info(flight.FlightDescriptor.for_command(b"SELECT * FROM shop.customers LIMIT 5"), options)
  print(client.do_get(info.endpoints[0].ticket, options).read_all())

Your own databases: samples/config.yaml, then ./dev up again.
TXT
}

stack_down() {
  if [ -z "$(project_name)" ]; then
    say "Nothing was started from here."
    return
  fi
  step 120 "Stopping the proxy and its workers" compose down --volumes --remove-orphans --timeout 30
}
