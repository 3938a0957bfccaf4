# Every image of the project. Stages are in the order in which a builder without BuildKit walks them, up to
# the one asked for: what `./dev` needs first comes first. The programs are compiled in the dev image with the tree mounted (`./dev build`), so that
# a second build is quick; the product images only copy them from build/image.

# ---- dev: compilers, libraries, linters. Needs no context: docker build --target dev - < Dockerfile
FROM debian:forky AS dev
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
      ca-certificates git g++ cmake ninja-build ccache pkg-config mold \
      clang-format clang-tidy shellcheck gdb procps python3 \
      libarrow-dev libarrow-flight-dev libarrow-flight-sql-dev \
      libduckdb-dev duckdb \
      libgrpc++-dev protobuf-compiler protobuf-compiler-grpc libprotobuf-dev \
      libboost-dev libboost-url-dev libboost-json-dev libboost-program-options-dev \
      libjwt14-dev libyaml-cpp-dev nlohmann-json3-dev libspdlog-dev libssl-dev libcurl4-openssl-dev \
      libgtest-dev libgmock-dev libbenchmark-dev \
      libpq-dev libmariadb-dev libsqlite3-dev sqlite3 \
 && rm -rf /var/lib/apt/lists/*
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
      opentelemetry-cpp-dev libclang-rt-21-dev \
 && rm -rf /var/lib/apt/lists/*

# ---- client: what `./dev up` needs besides the product: Compose, and pyarrow for the first query.
FROM debian:forky AS client
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
      ca-certificates curl docker-cli docker-compose python3 python3-pyarrow \
 && rm -rf /var/lib/apt/lists/*

# ---- samples: the SQLite shop that `./dev up` attaches.
FROM dev AS samples
COPY samples/shop.sql /samples/shop.sql
RUN sqlite3 -bail /samples/shop.db < /samples/shop.sql && chmod 0444 /samples/shop.db

# ---- runtime: the libraries of a worker, for the image of workers and for the proxy's, whose workers are processes
# beside it. `duckdb` is there for its packaged extensions.
FROM debian:forky AS runtime
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
      ca-certificates duckdb libduckdb2.0 \
      libarrow2500 libarrow-flight2500 libarrow-flight-sql2500 \
      libgrpc++1.51t64 libprotobuf32t64 libssl3t64 \
 && rm -rf /var/lib/apt/lists/* \
 && groupadd --gid 1000 pondpilot \
 && useradd --uid 1000 --gid 1000 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin pondpilot
COPY --from=samples /samples/shop.db /usr/share/pondpilot/samples/shop.db

# ---- worker: one user's DuckDB.
FROM runtime AS worker
RUN install -d -o 1000 -g 1000 -m 0700 /var/lib/pondpilot/spill
COPY build/image/pondpilot-worker /usr/bin/pondpilot-worker
RUN libraries=$(ldd /usr/bin/pondpilot-worker) && ! echo "$libraries" | grep 'not found'
USER 1000:1000
EXPOSE 9090
ENTRYPOINT ["/usr/bin/pondpilot-worker"]

# ---- proxy: complete by itself. Without a Docker socket it starts its workers as processes; the proxy's own program
# links neither Arrow nor DuckDB.
FROM runtime AS proxy
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
      libcurl4t64 libjwt14 libyaml-cpp0.9 opentelemetry-cpp \
      libboost-url1.92.0 libboost-json1.92.0 libboost-program-options1.92.0 \
 && rm -rf /var/lib/apt/lists/*
COPY docker/proxy-entrypoint /usr/bin/proxy-entrypoint
# Workers' sockets are made in it, so it must be a folder that the engine can show to other containers too. Worker
# processes spill to disk in the other one, each in a folder of its own.
RUN install -d -o 1000 -g 1000 -m 0700 /run/pondpilot \
 && install -d -o 1000 -g 1000 -m 0711 /var/lib/pondpilot/spill
VOLUME /run/pondpilot
COPY build/image/pondpilot-proxy build/image/pondpilot-jailer build/image/pondpilot-worker /usr/bin/
RUN libraries=$(ldd /usr/bin/pondpilot-proxy) && ! echo "$libraries" | grep 'not found' \
 && ! echo "$libraries" | grep -E 'libarrow|libduckdb' \
 && ! ldd /usr/bin/pondpilot-jailer | grep 'not found' && ! ldd /usr/bin/pondpilot-worker | grep 'not found'
ENV GLIBC_TUNABLES=glibc.malloc.arena_max=1:glibc.malloc.trim_threshold=268435456:glibc.malloc.mmap_threshold=33554432:glibc.malloc.top_pad=16777216
EXPOSE 8080 8081
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 CMD ["/usr/bin/pondpilot-proxy", "healthcheck"]
# Starts as root to find the Docker socket's group, and to leave the right to start workers under user ids of their own
# with a small program; the proxy then becomes an ordinary user.
ENTRYPOINT ["/usr/bin/proxy-entrypoint"]

# ---- test: the integration tests and the benchmark, with every other real part that they talk to.
FROM client AS test
# No cluster or server of its own may start while packages are installed; tests make theirs.
RUN mkdir -p /etc/postgresql-common && echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.conf \
 && apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
      jq procps iproute2 openssl \
      python3-pytest python3-pytest-timeout python3-venv python3-pip \
      python3-grpcio python3-protobuf protobuf-compiler python3-jwt python3-requests python3-yaml \
      python3-psycopg python3-pymysql \
      postgresql mariadb-server sqlite3 nginx-core \
 && rm -rf /var/lib/apt/lists/* /var/lib/mysql/*
# Where the databases of tests put what must outlive a restart of their container.
RUN mkdir -m 1777 /data
# The benchmark's load on the HTTP port.
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends wrk \
 && rm -rf /var/lib/apt/lists/*

# ---- clients: the tools that the clients of tests/clients are compiled with, and a browser. Java as DBeaver brings it.
FROM test AS clients
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
      openjdk-21-jdk-headless maven golang-go cargo nodejs npm \
 && rm -rf /var/lib/apt/lists/*
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends chromium-headless-shell \
 && rm -rf /var/lib/apt/lists/*
