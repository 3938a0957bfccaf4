"""What keeps one user from another's data, from the operator's passwords and from the machine."""

import json

import grpc
import pytest
from pyarrow import flight

from tests.support import control
from tests.support.databases import PASSWORD
from tests.support.engine import docker, inspect
from tests.support.flight import FlightUser
from tests.support.proxy import Proxy, ProxyOptions, base_config
from tests.support.tokens import SECRET
from tests.support.waiting import eventually


def worker_address(container: str, network: str) -> str:
    return f"{inspect(container)['NetworkSettings']['Networks'][network]['IPAddress']}:{control.PORT}"


@pytest.mark.parametrize("headers", [[], [(b"x-pondpilot-worker-token", b"")], [(b"x-pondpilot-worker-token", b"0" * 64)]],
                         ids=["none", "empty", "wrong"])
def test_a_worker_answers_nobody_without_its_token(product: Proxy, sub: str, network: str, engine, headers: list):
    worker = control.BareWorker(engine, network)
    for token in (None, product.token(sub)):
        with FlightUser(f"grpc://{worker.address}", token, headers=headers) as intruder:
            assert isinstance(intruder.refusal("SELECT 42"), flight.FlightUnauthenticatedError)
    pb = control.messages()
    for method, request in (("Status", pb.StatusRequest()), ("Drain", pb.DrainRequest()),
                            ("Assign", pb.AssignRequest(contract_version=1, lease_ms=1000))):
        with pytest.raises(grpc.RpcError) as refused:
            control.call(worker.address, method, request, headers[0][1].decode() if headers else None)
        assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED
    worker.remove()


def test_the_token_of_another_worker_does_not_fit(network: str, engine):
    worker, other = control.BareWorker(engine, network), control.BareWorker(engine, network, assign=False)
    with pytest.raises(grpc.RpcError) as refused:
        control.call(worker.address, "Status", control.messages().StatusRequest(), other.token)
    assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED
    worker.remove()
    other.remove()


def test_a_worker_takes_one_user_in_its_life(engine, network):
    worker = control.BareWorker(engine, network)
    with pytest.raises(grpc.RpcError) as refused:
        worker.assign()
    assert refused.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert worker.user().value("SELECT 42") == 42
    worker.remove()


def test_a_worker_of_another_contract_version_refuses(engine, network):
    worker = control.BareWorker(engine, network, assign=False)
    with pytest.raises(grpc.RpcError) as refused:
        control.call(worker.address, "Assign", control.messages().AssignRequest(contract_version=999, lease_ms=1000), worker.token)
    assert refused.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    worker.remove()


def test_a_worker_that_is_not_assigned_runs_no_sql(engine, network):
    worker = control.BareWorker(engine, network, assign=False)
    assert worker.user().refusal("SELECT 42")
    worker.remove()


def test_how_a_worker_is_contained(product: Proxy, sub: str, network: str):
    product.user(sub).value("SELECT 42")
    seen = inspect(product.worker_of(sub))
    host = seen["HostConfig"]
    assert seen["Config"]["User"] in ("1000", "1000:1000")
    assert host["CapDrop"] == ["ALL"] and not host["CapAdd"]
    assert any(option.startswith("no-new-privileges") for option in host["SecurityOpt"])
    assert host["ReadonlyRootfs"] is True and host["Privileged"] is False
    assert host["Memory"] == 512 << 20 and host["MemorySwap"] in (512 << 20, 0)
    assert host["NanoCpus"] == 1_000_000_000 or host["CpuQuota"] == host["CpuPeriod"]
    assert 0 < (host["PidsLimit"] or 0) <= 4096
    assert not host["PortBindings"] and host["NetworkMode"] != "host" and host["PidMode"] != "host"
    assert list(seen["NetworkSettings"]["Networks"]) == [network]
    for mount in seen["Mounts"]:
        assert "docker.sock" not in mount["Source"]
        assert mount["RW"] is False or mount["Destination"].startswith(("/tmp", "/var/lib/pondpilot")), mount

    status = docker("exec", product.worker_of(sub), "cat", "/proc/1/status")
    values = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert values["Uid"].split() == ["1000"] * 4 and values["Gid"].split() == ["1000"] * 4
    for capabilities in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(values[capabilities], 16) == 0, capabilities
    assert values["NoNewPrivs"].strip() == "1"
    with pytest.raises(AssertionError, match="(?i)read-only"):
        docker("exec", product.worker_of(sub), "touch", "/usr/x")
    assert "Max data size" in docker("exec", product.worker_of(sub), "cat", "/proc/1/limits")
    data_limit = [line for line in docker("exec", product.worker_of(sub), "cat", "/proc/1/limits").splitlines()
                  if line.startswith("Max data size")][0].split()[3]
    assert data_limit != "unlimited" and int(data_limit) <= 512 << 20


def test_the_proxy_is_an_ordinary_user(product: Proxy):
    status = docker("exec", product.container, "cat", "/proc/1/status")
    values = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert values["Uid"].split() == ["1000"] * 4 and values["Gid"].split() == ["1000"] * 4
    socket_group = docker("exec", product.container, "stat", "-c", "%g", "/var/run/docker.sock")
    assert values["Groups"].split() == [socket_group]
    for capabilities in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(values[capabilities], 16) == 0, capabilities
    assert values["NoNewPrivs"].strip() == "1"


def test_no_secret_is_visible_from_outside_a_worker(product: Proxy, sub: str):
    product.user(sub).value("SELECT COUNT(*) FROM pg.public.users")
    worker = product.worker_of(sub)
    everything = json.dumps(inspect(worker))
    assert PASSWORD not in everything and SECRET not in everything
    assert f'"{sub}"' not in everything, "the user's name in clear"
    # env and argv as the kernel has them, and files that the process could have written
    for file in ("/proc/1/environ", "/proc/1/cmdline"):
        content = docker("exec", worker, "cat", file)
        assert PASSWORD not in content and SECRET not in content
    found = docker("exec", worker, "sh", "-c", "grep -rls 5ecr3t /tmp /var/lib/pondpilot /run /etc 2>/dev/null || true")
    assert found == ""


def test_no_secret_in_the_proxys_logs_or_answers(product: Proxy, sub: str):
    user = product.user(sub)
    user.value("SELECT COUNT(*) FROM my.customers")
    user.refusal("SELECT * FROM pg.public.no_such_table")
    said = product.logs() + product.get("/health/detailed").text + product.get("/ready").text
    assert PASSWORD not in said and SECRET not in said and product.token(sub) not in said
    detailed = product.get("/health/detailed").text
    assert sub not in detailed and "5432" not in detailed


READ_BACK = [
    "SELECT * FROM duckdb_databases()",
    "PRAGMA database_list",
    "SELECT * FROM duckdb_secrets()",
    "SELECT * FROM duckdb_secrets(redact=false)",
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM duckdb_logs()",
    "SELECT * FROM pg.public.no_such_table",
    "SHOW ALL TABLES",
    "SELECT sql FROM duckdb_tables()",
    "SELECT * FROM pg.pg_catalog.pg_user_mappings",
    "FROM postgres_query('pg', 'SELECT current_setting(''password'')')",
    "SELECT getenv('DATABASE_URL')",
    "SELECT * FROM read_text('/proc/self/environ')",
    "SELECT * FROM read_text('/proc/self/maps')",
    "SELECT * FROM read_blob('/proc/self/mem')",
    "COPY (SELECT 1) TO '/var/lib/pondpilot/spill/x.csv'",
    "ATTACH '/usr/share/pondpilot/samples/shop.db' AS again (TYPE sqlite)",
    "ATTACH 'host=127.0.0.1 dbname=x' AS mine (TYPE postgres)",
    "CREATE SECRET s (TYPE postgres, HOST '127.0.0.1')",
    "INSTALL httpfs", "LOAD httpfs",
    "SET enable_external_access = true", "RESET lock_configuration",
    "DETACH pg", "CONNECT pg",
    "CALL postgres_execute('pg', 'SELECT 1')",
]


@pytest.mark.parametrize("statement", READ_BACK)
def test_a_password_cannot_be_read_back_by_sql(user: FlightUser, statement: str):
    try:
        said = str(user.query(statement).to_pylist())
    except Exception as error:  # noqa: BLE001 - a refusal of any kind; what it says is looked at
        said = str(error)
    assert PASSWORD not in said and "5ecr3t" not in said
    if statement.split()[0] in ("ATTACH", "CREATE", "INSTALL", "LOAD", "SET", "RESET", "DETACH", "CONNECT", "COPY", "CALL") \
            or "read_" in statement or "postgres_query" in statement or "getenv" in statement:
        user.refusal(statement)
    assert user.value("SELECT COUNT(*) FROM pg.public.users") == 100


def test_a_tenant_cannot_reach_the_network_with_sql(user: FlightUser, network: str, product: Proxy):
    for statement in (f"SELECT * FROM read_csv('{product.url('/health')}')", "ATTACH 'http://127.0.0.1:1/x.db' AS x",
                      "SELECT * FROM read_parquet('s3://bucket/x.parquet')"):
        user.refusal(statement)


def neighbours_answer(engine, network: str, address: str) -> str:
    """What a worker says to a container of its own on the same network, as a tenant's neighbour would be."""
    script = ("import sys\nfrom pyarrow import flight\n"
              "client = flight.connect('grpc://' + sys.argv[1])\n"
              "try:\n    client.get_flight_info(flight.FlightDescriptor.for_command(b'SELECT 1'), flight.FlightCallOptions(timeout=15))\n"
              "except flight.FlightUnauthenticatedError: print('refused')\n"
              "except flight.FlightUnavailableError: print('nobody listens')\n")
    neighbour = engine.start("neighbour", engine.test_image, "python3", "-c", script, address, network=network,
                             options=("--entrypoint", ""))
    assert docker("wait", neighbour, seconds=60) == "0"
    answer = docker("logs", neighbour)
    engine.remove(neighbour)
    return answer


def test_a_worker_listens_to_its_proxy_alone(product: Proxy, sub: str, engine, network: str):
    product.user(sub).value("SELECT 42")
    worker = product.worker_of(sub)
    assert neighbours_answer(engine, network, worker_address(worker, network)) == "nobody listens"
    # Each worker has a folder with its socket, and sees no other's.
    product.user(sub + "-2").value("SELECT 42")
    assert docker("exec", worker, "ls", "/run/pondpilot") == "flight.sock"
    with pytest.raises(AssertionError, match="(?i)read-only"):
        docker("exec", worker, "rm", "/run/pondpilot/flight.sock")


def test_a_removed_worker_leaves_no_socket(product: Proxy, sub: str):
    product.user(sub).value("SELECT 42")
    folder = [m["Source"] for m in inspect(product.worker_of(sub))["Mounts"] if m["Destination"] == "/run/pondpilot"][0]
    here = "/run/pondpilot/" + "/".join(folder.split("/")[-2:])
    assert docker("exec", product.container, "ls", here) == "flight.sock"
    docker("rm", "-f", "-v", product.worker_of(sub))
    eventually(lambda: here.split("/")[-1] not in docker("exec", product.container, "ls", here.rsplit("/", 1)[0]),
               "the folder of the socket is gone", 20)


def test_without_a_shared_folder_workers_are_reached_over_the_network(engine, network: str, sub: str):
    # A tmpfs can't be shown to another container.
    options = ProxyOptions(network, base_config(engine, network), options=("--tmpfs", "/run/pondpilot"))
    proxy = Proxy(engine, options).wait_ready()
    assert proxy.log_lines("Docker engine ready")[0]["transport"] == "tcp"
    assert proxy.user(sub).value("SELECT 42") == 42
    assert neighbours_answer(engine, network, worker_address(proxy.worker_of(sub), network)) == "refused"
    proxy.remove()
