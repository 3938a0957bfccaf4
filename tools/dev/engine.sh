# shellcheck shell=bash
# A Docker engine that answers, and the image that all others start from. Installs only what is missing.

# The engine's socket, as a path on this machine; set by find_socket.
ENGINE_SOCKET=/var/run/docker.sock
readonly DOCKERD_LOG=/var/log/dockerd.log
readonly BASE_IMAGE=debian:forky

engine_answers() { timeout 20 docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

# The tree is mounted into containers, so the engine has to be on this machine.
find_socket() {
  local host
  host=${DOCKER_HOST:-$(timeout 10 docker context inspect --format '{{.Endpoints.docker.Host}}' 2>/dev/null || true)}
  case "${host:-unix:///var/run/docker.sock}" in
    unix://*) ENGINE_SOCKET=${host#unix://} ENGINE_SOCKET=${ENGINE_SOCKET:-/var/run/docker.sock} ;;
    *) fail "the Docker engine at $host is not on this machine." \
      "The source tree has to be mounted into containers: unset DOCKER_HOST, or run this where the engine runs." ;;
  esac
}

ensure_engine() {
  if command -v docker >/dev/null && engine_answers; then
    find_socket
    return
  fi
  local why=
  if command -v docker >/dev/null; then
    why=$(timeout 20 docker version 2>&1 >/dev/null || true)
    case "$why" in
      *"permission denied"*)
        fail "you may not use the Docker engine's socket." \
          "Add yourself to its group (sudo usermod -aG docker $(id -un), then log in again) or run: sudo ./dev …" ;;
    esac
  fi
  [ -z "${DOCKER_HOST:-}" ] || fail "no Docker engine answers at DOCKER_HOST=$DOCKER_HOST." \
    "Start it, or unset DOCKER_HOST to use the one of this machine."
  [ "$(uname -s)" = Linux ] || fail "no Docker engine answers." "Start Docker Desktop (or another engine), then try again."
  [ "$(id -u)" = 0 ] || fail "no Docker engine answers, and only root can install or start one." \
    "Start it (sudo systemctl start docker) or run: sudo ./dev …"

  if ! command -v docker >/dev/null || ! command -v dockerd >/dev/null; then
    step 900 "Installing Docker from Debian's packages" install_packages docker.io iptables ca-certificates mmdebstrap curl
  fi
  step 120 "Starting the Docker engine" start_engine
  find_socket
}

install_packages() {
  command -v apt-get >/dev/null || {
    echo "This is not Debian or Ubuntu (no apt-get): install Docker by hand, then run ./dev again."
    return 1
  }
  export DEBIAN_FRONTEND=noninteractive
  # Another apt may hold the list lock, for which apt-get update doesn't wait by itself.
  wait_until 180 apt_update || return 1
  timeout 800 apt-get -o DPkg::Lock::Timeout=180 -o Acquire::Retries=3 install -y --no-install-recommends "$@"
}

apt_update() { timeout 170 apt-get -o Acquire::Retries=3 update; }

start_engine() {
  if [ -d /run/systemd/system ]; then
    timeout 60 systemctl start docker || {
      timeout 10 journalctl -u docker -n 30 --no-pager
      return 1
    }
  else
    mount_control_groups
    forget_dead_process /var/run/docker.pid dockerd
    forget_dead_process /var/run/docker/containerd/containerd.pid containerd
    use_a_working_iptables
    setsid dockerd >>"$DOCKERD_LOG" 2>&1 </dev/null &
    local dockerd=$!
  fi
  wait_until 60 answers_or_died "${dockerd:-}" || true
  engine_answers && return
  echo "dockerd does not answer. The end of $DOCKERD_LOG:"
  tail -n 15 "$DOCKERD_LOG" 2>/dev/null
  echo
  echo "A container needs --privileged to run an engine; or mount the host's /var/run/docker.sock into it."
  return 1
}

answers_or_died() {
  engine_answers || { [ -n "$1" ] && ! kill -0 "$1" 2>/dev/null; }
}

# Without an init system nobody has mounted them, and dockerd ends with "Devices cgroup isn't mounted".
mount_control_groups() {
  ! mountpoint -q /sys/fs/cgroup || return 0
  mount -t cgroup2 cgroup2 /sys/fs/cgroup && grep -q memory /sys/fs/cgroup/cgroup.controllers && return 0
  umount /sys/fs/cgroup 2>/dev/null
  install_packages cgroupfs-mount && cgroupfs-mount
}

# A pid file left by a killed engine keeps the next one from starting when that pid is somebody else's by now.
forget_dead_process() {
  [ -f "$1" ] || return 0
  [ "$(cat "/proc/$(cat "$1")/comm" 2>/dev/null)" = "$2" ] || rm -f "$1"
}

# Debian's default speaks nf_tables; a kernel without it needs the older interface.
use_a_working_iptables() {
  ! iptables -w 5 -nL >/dev/null 2>&1 || return 0
  if [ -x /usr/sbin/iptables-legacy ] && iptables-legacy -w 5 -nL >/dev/null 2>&1; then
    echo "This kernel has no nf_tables: switching the iptables command to iptables-legacy."
    update-alternatives --set iptables /usr/sbin/iptables-legacy
  fi
}

# debian:forky, pulled where a registry can be reached, else made from Debian's packages.
ensure_base_image() {
  ! docker image inspect "$BASE_IMAGE" >/dev/null 2>&1 || return 0
  if try_step 120 "Pulling $BASE_IMAGE" timeout 90 docker pull --quiet "$BASE_IMAGE"; then return; fi
  say "     No registry gave it: making it from Debian's packages instead."
  if ! command -v mmdebstrap >/dev/null; then
    [ "$(id -u)" = 0 ] || fail "$BASE_IMAGE can't be pulled, and mmdebstrap, which could make it, is not installed." \
      "Install it: sudo apt-get install mmdebstrap"
    step 900 "Installing mmdebstrap" install_packages mmdebstrap
  fi
  step 1200 "Making $BASE_IMAGE" make_base_image
}

make_base_image() {
  local tar
  tar=$(mktemp "$ROOT/build/forky.XXXXXX.tar") || return 1
  timeout 1100 mmdebstrap --variant=minbase --aptopt='Acquire::Check-Valid-Until "false"' forky "$tar" &&
    timeout 100 docker import "$tar" "$BASE_IMAGE"
  local status=$?
  rm -f "$tar"
  return "$status"
}
