"""Every mistake that stops the proxy at its start: the message that says what to do, and the exit code."""

import pytest

from tests.support.engine import SOCKET, command, docker, inspect
from tests.support.proxy import Proxy, ProxyOptions, base_config
from tests.support.waiting import eventually

CONFIGURATION, ENVIRONMENT = 2, 3


def start_and_end(engine, network, **how) -> tuple[int, str]:
    proxy = Proxy(engine, ProxyOptions(network, **how))
    try:
        code = proxy.wait_exit(60)
        return code, proxy.logs()
    finally:
        proxy.remove()


def test_no_secret(engine, network):
    code, said = start_and_end(engine, network, config=base_config(engine, network), secret=None)
    assert code == CONFIGURATION
    assert "JWT_SECRET" in said and "openssl rand" in said


@pytest.mark.parametrize("secret", ["", "short", "x" * 31])
def test_short_secret(engine, network, secret):
    code, said = start_and_end(engine, network, config=base_config(engine, network), environment={"JWT_SECRET": secret}, secret=None)
    assert code == CONFIGURATION
    assert "JWT_SECRET" in said and "32" in said or "not set" in said
    assert len(secret) < 10 or secret not in said


def test_configuration_is_a_folder(engine, network):
    folder = engine.new_folder("empty")
    code, said = start_and_end(engine, network, options=("-v", f"{folder}/missing.yaml:/config.yaml"))
    assert code == CONFIGURATION
    assert "/config.yaml" in said and "folder" in said


def test_unknown_key_names_file_line_and_nearest(engine, network):
    code, said = start_and_end(engine, network, config="server:\n  port: 8080\n  grcp_port: 8081\n")
    assert code == CONFIGURATION
    assert "/config.yaml:3" in said and "grcp_port" in said and "grpc_port" in said


@pytest.mark.parametrize("text, words", [
    ("server:\n  port: 99999\n", ("/config.yaml:2", "server.port", "99999", "65535")),
    ("server: [\n", ("/config.yaml",)),
    ("containers:\n  idle_timeout: soon\n", ("/config.yaml:2", "idle_timeout", "soon")),
    ("containers:\n  memory_limit: 1k\n", ("/config.yaml:2", "memory_limit", "1k")),
    ("ai:\n  default_model: ${NOT_SET_ANYWHERE}\n", ("/config.yaml:2", "NOT_SET_ANYWHERE")),
    ("duckdb:\n  attached_databases:\n    - alias: x\n      type: oracle\n      connection_string: /x\n", ("/config.yaml:4", "oracle", "postgres")),
    ("\x01\x02\xff" * 100, ("/config.yaml",)),
], ids=["range", "syntax", "duration", "size", "unset", "type", "binary"])
def test_wrong_configuration(engine, network, text, words):
    code, said = start_and_end(engine, network, config=text)
    assert code == CONFIGURATION
    for word in words:
        assert word in said, said


def test_wrong_environment(engine, network):
    code, said = start_and_end(engine, network, environment={"PORT": "http"})
    assert code == CONFIGURATION
    assert "PORT" in said and "http" in said


def test_config_file_that_was_named_is_missing(engine, network):
    code, said = start_and_end(engine, network, environment={"PONDPILOT_CONFIG": "/nowhere.yaml"})
    assert code == CONFIGURATION
    assert "/nowhere.yaml" in said


def test_socket_not_mounted(engine, network):
    code, said = start_and_end(engine, network, config=base_config(engine, network, backend="docker"), socket=False)
    assert code == ENVIRONMENT
    assert SOCKET in said and "- /var/run/docker.sock:/var/run/docker.sock" in said


def test_socket_refused_to_this_user(engine, network):
    """Started as a user without the socket's group."""
    code, said = start_and_end(engine, network, config=base_config(engine, network), options=("--user", "12345:12345"))
    assert code == ENVIRONMENT
    assert SOCKET in said and "permission" in said.lower()


def test_socket_that_nobody_listens_on(engine, network):
    folder = engine.new_folder("socket")
    maker = engine.start("maker", engine.test_image, "python3", "-c",
                         "import socket; s = socket.socket(socket.AF_UNIX); s.bind('/s/dead.sock')",
                         options=("--entrypoint", "", "-v", f"{folder}:/s"))
    assert docker("wait", maker, seconds=30) == "0"
    code, said = start_and_end(engine, network, config=base_config(engine, network), socket=False,
                               options=("-v", f"{folder}/dead.sock:{SOCKET}"))
    assert code == ENVIRONMENT
    assert SOCKET in said


def test_image_that_is_not_there(engine, network):
    config = base_config(engine, network, image="pondpilot.invalid/no-such-image:latest")
    code, said = start_and_end(engine, network, config=config)
    assert code == ENVIRONMENT
    assert "pondpilot.invalid/no-such-image:latest" in said and "pull" in said


def test_network_that_is_not_there(engine, network):
    code, said = start_and_end(engine, network, config=base_config(engine, "no-such-network"))
    assert code == ENVIRONMENT
    assert "no-such-network" in said and network in said, "names the networks that there are"


def test_port_that_is_taken(engine, network, start_proxy):
    """Two proxies in one network namespace."""
    first = start_proxy(network, base_config(engine, network))
    second = engine.start("second", engine.proxy_image, options=(
        "--network", f"container:{first.container}", "-v", f"{SOCKET}:{SOCKET}", "-e", f"JWT_SECRET={first.secret}",
        "-e", f"CONTAINER_NETWORK={network}", "-e", f"CONTAINER_IMAGE={engine.worker_image}",
        "-e", "PONDPILOT_INSTANCE=second"))
    assert int(docker("wait", second, seconds=60)) == ENVIRONMENT
    said = command("docker", "logs", second)
    assert "can't be opened" in said.stdout + said.stderr
    assert "8081" in said.stdout + said.stderr and "GRPC_PORT" in said.stdout + said.stderr
    engine.remove(second)


def test_an_address_that_is_not_this_machines(engine, network):
    code, said = start_and_end(engine, network, config=base_config(engine, network), environment={"HOST": "192.0.2.1"})
    assert code == ENVIRONMENT
    assert "192.0.2.1" in said


def test_unknown_argument(engine, network):
    container = engine.start("args", engine.proxy_image, "--no-such-option")
    assert docker("wait", container, seconds=30) == str(CONFIGURATION)
    engine.remove(container)


def test_no_configuration_at_all_means_defaults(engine, network):
    """Only a secret and the socket; the network is one of this test's own, and so is the image's name."""
    proxy = Proxy(engine, ProxyOptions(network, environment={"CONTAINER_NETWORK": network, "CONTAINER_IMAGE": engine.worker_image}))
    try:
        proxy.wait_ready()
        assert proxy.user("defaults").value("SELECT 42") == 42
    finally:
        proxy.remove()


def test_a_compose_networks_short_name_is_found(engine):
    """CONTAINER_NETWORK names the network as the compose file does; the engine knows it as <project>_<name>."""
    full = engine.name("net") + "_pondpilot"
    docker("network", "create", "--label", f"pondpilot.test-run={engine.run_id}", "--label", "com.docker.compose.network=pondpilot", full)
    proxy = Proxy(engine, ProxyOptions(full, base_config(engine, "pondpilot")))
    try:
        proxy.wait_ready()
        proxy.user("compose").value("SELECT 42")
        assert list(inspect(proxy.worker_of("compose"))["NetworkSettings"]["Networks"]) == [full]
    finally:
        proxy.remove()


def test_the_image_says_when_it_is_healthy(engine, network, start_proxy):
    proxy = start_proxy(network, base_config(engine, network))
    docker("exec", proxy.container, "pondpilot-proxy", "healthcheck", seconds=20)
    eventually(lambda: inspect(proxy.container)["State"]["Health"]["Status"] == "healthy", "Docker says healthy", 40, every=0.5)
