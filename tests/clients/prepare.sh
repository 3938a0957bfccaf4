#!/usr/bin/env bash
# Fetches what the clients of other languages need and compiles them: prepare.sh jdbc|go|rust|node|sqlalchemy
#
# All of it goes to build/clients, so that a second run does next to nothing, and nothing is asked of a registry when
# all is there. The caller sets the time that it may take.
set -euo pipefail
client=$1
source=tests/clients/$client
made=$PWD/build/clients/$client
export CARGO_HOME=$PWD/build/clients/cargo GOCACHE=$PWD/build/clients/go-build GOMODCACHE=$PWD/build/clients/go-modules
export npm_config_cache=$PWD/build/clients/npm CGO_ENABLED=0 GOFLAGS="-buildvcs=false -modcacherw" GOTOOLCHAIN=local
mkdir -p "$made"

# Offline first: registries are asked only when something is missing.
offline_first() { # OPTION COMMAND…
  local option=$1
  shift
  "$@" "$option" 2>/dev/null || "$@"
}

case $client in
  jdbc)
    compile_jdbc() {
      mvn -B -q -f "$source/pom.xml" -Dmaven.repo.local="$PWD/build/clients/maven" -Dbuild.folder="$made" \
        -Dtest=DriverTest "$@" test
    }
    # Surefire fetches what runs JUnit only when it runs a test.
    compile_jdbc --offline >/dev/null 2>&1 || compile_jdbc
    ;;
  go)
    cp "$source"/*.go "$source"/go.mod "$source"/go.sum "$made"
    cd "$made"
    go test -c -o client.test .
    ;;
  rust)
    mkdir -p "$made/src" "$made/tests"
    cp "$source/Cargo.toml" "$source/Cargo.lock" "$made"
    cp -u "$source"/src/*.rs "$made/src"
    cp -u "$source"/tests/*.rs "$made/tests"
    cd "$made"
    offline_first --offline cargo test --quiet --locked --no-run
    ;;
  node)
    cp "$source"/*.mjs "$source/package.json" "$source/package-lock.json" "$made"
    cd "$made"
    if ! cmp -s package-lock.json node_modules/.made-of.json; then
      npm ci --no-audit --no-fund --ignore-scripts
      cp package-lock.json node_modules/.made-of.json
    fi
    ;;
  sqlalchemy)
    # Superset's dialect needs a SQLAlchemy that the other Python clients can't use.
    if ! cmp -s "$source/superset_requirements.txt" "$made/requirements.txt"; then
      rm -rf "$made/python"
      python3 -m venv --system-site-packages "$made/python"
      "$made/python/bin/pip" install --quiet --disable-pip-version-check -r "$source/superset_requirements.txt"
      cp "$source/superset_requirements.txt" "$made/requirements.txt"
    fi
    ;;
  *)
    echo "There is no client \"$client\"." >&2
    exit 2
    ;;
esac
date >"$made/prepared"
