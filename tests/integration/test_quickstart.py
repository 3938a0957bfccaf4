"""The published quick start, as printed: its three files in an empty folder, then every command and snippet of it.

Only where another process has the ports 8080 or 8081 (a running `./dev up`, say) an override file gives the host other
ports, and the test says so."""

import hashlib
import json
import re
import shutil
import socket
import subprocess
import sys
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.databases import start_postgres
from tests.support.engine import ROOT, Engine, command, docker, inspect, workers_on
from tests.support.provider import PIECES
from tests.support.waiting import eventually

FILES = Path(__file__).parent / "quickstart"
JWT_SECRET = "your-secret-key-at-least-32-characters-long"

# As the page prints it, but for the token.
PYTHON = '''
from pyarrow import flight

# Connect with authentication
client = flight.connect("grpc://localhost:8081")
options = flight.FlightCallOptions(headers=[
    (b"authorization", b"Bearer <your-jwt-token>")
])

# Execute query
info = client.get_flight_info(
    flight.FlightDescriptor.for_command(b"SELECT * FROM mydb.public.users"),
    options
)
reader = client.do_get(info.endpoints[0].ticket, options)
table = reader.read_all()
'''

ORDERS = """
SELECT
    customer_name,
    COUNT(*) as order_count,
    SUM(amount) as total_revenue
FROM mydb.public.orders
GROUP BY customer_name
ORDER BY total_revenue DESC
LIMIT 10;
"""

DATA = """
CREATE TABLE users (id int PRIMARY KEY, name text);
INSERT INTO users VALUES (1, 'Ada'), (2, 'Bruno'), (3, 'Chiara');
CREATE TABLE orders (id int PRIMARY KEY, customer_name text, amount numeric(10, 2));
INSERT INTO orders SELECT i, 'customer ' || lpad((i % 12)::text, 2, '0'), i FROM generate_series(1, 120) i;
"""


class QuickStart:
    def __init__(self, engine: Engine, kind: str) -> None:
        self.engine = engine
        self.folder = engine.new_folder(kind)
        self.project = self.folder.name
        self.network = f"{self.project}_pondpilot"
        shutil.copy(FILES / "docker-compose.yml", self.folder)
        shutil.copy(FILES / "config.yaml", self.folder)
        shutil.copy(FILES / "env.example", self.folder / ".env")
        self.ports = {8080: 8080, 8081: 8081}

    def free_the_ports(self) -> None:
        for port in (8080, 8081):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    self.ports = {8080: free_port(), 8081: free_port()}
        if self.ports[8080] != 8080:
            warnings.warn(f"ports 8080 or 8081 are taken: the quick start runs on {self.ports} instead", stacklevel=2)
            (self.folder / "docker-compose.override.yml").write_text(
                "services:\n  proxy:\n    ports: !override\n"
                + "".join(f'      - "{host}:{inside}"\n' for inside, host in self.ports.items()))

    def up(self) -> None:
        self.free_the_ports()
        self.shell("docker compose up -d", 120)
        eventually(lambda: self.shell("curl -s http://localhost:8080/health", check=False) == '{"status":"healthy"}',
                   "the proxy is healthy", 60, every=0.2)

    def shell(self, line: str, seconds: float = 60, check: bool = True) -> str:
        """A line of the page, typed in the folder."""
        for inside, host in self.ports.items():
            line = line.replace(f"localhost:{inside}", f"localhost:{host}")
        done = subprocess.run(["bash", "-c", line], cwd=self.folder, capture_output=True, text=True, timeout=seconds)
        if check:
            assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}\n{self.logs()}"
        return done.stdout

    def python(self, snippet: str, token: str, then: str) -> str:
        program = snippet.replace("<your-jwt-token>", token)
        for inside, host in self.ports.items():
            program = program.replace(f"localhost:{inside}", f"localhost:{host}")
        done = subprocess.run([sys.executable, "-c", program + then], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{done.stderr[-2000:]}\n{self.logs()}"
        return done.stdout

    def token(self) -> str:
        return json.loads(self.shell("curl -s -X POST http://localhost:8080/auth/demo-token"))["token"]

    def logs(self) -> str:
        return command("docker", "compose", "logs", "--no-color", "proxy", cwd=self.folder, check=False).stdout

    def close(self) -> None:
        command("docker", "compose", "down", "--volumes", "--timeout", "20", cwd=self.folder, check=False, seconds=120)
        left = workers_on(self.network, running_only=False)
        for container in docker("ps", "-aq", "--filter", f"network={self.network}").split():
            self.engine.remove(container)
        command("docker", "network", "rm", self.network, check=False)
        assert not left, "`docker compose down` left workers behind"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def unchanged(engine: Engine) -> Iterator[QuickStart]:
    """The three files without a single change."""
    quick = QuickStart(engine, "quickstart")
    quick.up()
    yield quick
    quick.close()


PUBLISHED = {
    "docker-compose.yml": "a9de2488e4c120dd6d3d60155d7a61b8b03493a62edcd3a9ef07e6f9379a7352",
    "config.yaml": "8f8461426850fc322b6ab6a0ee750bc197c39fbe46d91ea7bdeaf2b8bbdc38a6",
    "env.example": "7a15282ceb0dfda65c26b3483a3311a2e86dbfea68ed1173e05dc299fca22425",
}


def test_the_files_are_the_published_ones():
    for name, digest in PUBLISHED.items():
        assert hashlib.sha256((FILES / name).read_bytes()).hexdigest() == digest, f"{name} was changed"


def test_health(unchanged: QuickStart):
    assert unchanged.shell("curl http://localhost:8080/health") == '{"status":"healthy"}'


def test_detailed_health_says_which_variable_is_missing(unchanged: QuickStart):
    detailed = json.loads(unchanged.shell("curl http://localhost:8080/health/detailed"))
    assert set(detailed["containers"]) == {"active", "warm", "queued", "total_spawned", "total_stopped"}
    assert isinstance(detailed["uptime_seconds"], int)
    text = json.dumps(detailed)
    assert "mydb" in text and "DATABASE_URL" in text and "DATABASE_URL=${DATABASE_URL}" in text


def test_demo_token(unchanged: QuickStart):
    answer = json.loads(unchanged.shell("curl -X POST http://localhost:8080/auth/demo-token"))
    assert set(answer) == {"token", "expires_at"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", answer["expires_at"])
    left = datetime.fromisoformat(answer["expires_at"]) - datetime.now(UTC)
    assert 0 < left.total_seconds() <= 3600


def test_decoding_a_demo_token_with_the_printed_line(unchanged: QuickStart):
    for _ in range(3):
        line = """echo "<token>" | cut -d'.' -f2 | base64 -d 2>/dev/null | jq"""
        claims = json.loads(unchanged.shell(line.replace("<token>", unchanged.token())))
        assert claims["sub"] and claims["exp"]


def test_http_with_a_token(unchanged: QuickStart):
    """The page shows it on /ai/chat, which wants a POST: the answer says so, or what else is wrong, never 401."""
    line = 'curl -s -w "\\n%{http_code}" -H "Authorization: Bearer <token>" http://localhost:8080/ai/chat'
    body, code = unchanged.shell(line.replace("<token>", unchanged.token())).rsplit("\n", 1)
    assert code != "401" and code.startswith("4"), (code, body)
    assert len(json.loads(body)["detail"]) > 10


def test_log_line_of_grpc(unchanged: QuickStart):
    said = unchanged.shell("docker compose logs proxy | grep -i grpc")
    assert "8081" in said


def test_the_socket_line(unchanged: QuickStart):
    assert "docker.sock" in unchanged.shell("ls -la /var/run/docker.sock")


def test_the_proxy_dropped_to_an_ordinary_user(unchanged: QuickStart):
    container = unchanged.shell("docker compose ps -q proxy").strip()
    assert "Uid:\t1000\t1000\t1000\t1000" in docker("exec", container, "cat", "/proc/1/status")


def test_a_query_that_names_mydb_says_what_to_add(unchanged: QuickStart):
    done = subprocess.run(
        [sys.executable, "-c", unchanged_snippet(unchanged)], capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert "DATABASE_URL" in done.stderr and "- DATABASE_URL=${DATABASE_URL}" in done.stderr, done.stderr[-1500:]


def unchanged_snippet(quick: QuickStart) -> str:
    return PYTHON.replace("<your-jwt-token>", quick.token()).replace("localhost:8081", f"localhost:{quick.ports[8081]}")


def test_other_queries_work_without_mydb(unchanged: QuickStart):
    snippet = PYTHON.replace("SELECT * FROM mydb.public.users", "SELECT 42 AS answer")
    assert unchanged.python(snippet, unchanged.token(), "\nprint(table.to_pylist())") == "[{'answer': 42}]\n"


def test_the_log_warns_of_the_missing_variable(unchanged: QuickStart):
    assert "DATABASE_URL" in unchanged.shell("docker compose logs proxy | grep mydb")


def test_no_key_in_the_logs(unchanged: QuickStart):
    said = unchanged.logs()
    assert JWT_SECRET not in said and "sk-ant-" not in said


def test_workers_are_on_composes_network(unchanged: QuickStart):
    unchanged.python(PYTHON.replace("SELECT * FROM mydb.public.users", "SELECT 1 AS a"), unchanged.token(), "")
    workers = workers_on(unchanged.network)
    assert workers
    assert inspect(workers[0])["HostConfig"]["Memory"] == 512 << 20


@pytest.fixture(scope="module")
def with_database(engine: Engine, unchanged: QuickStart) -> Iterator[QuickStart]:
    """With the one line that the product's message asks for, and a real PostgreSQL where .env says it is."""
    unchanged.shell("docker compose stop proxy", 60)
    quick = QuickStart(engine, "quickstart-db")
    compose = quick.folder / "docker-compose.yml"
    printed = "      - JWT_SECRET=${JWT_SECRET}\n"
    assert printed in compose.read_text()
    compose.write_text(compose.read_text().replace(
        printed, printed + "      - DATABASE_URL=${DATABASE_URL}\n"
        # The page's key belongs to nobody: a scripted provider takes Anthropic's place.
        "      - CLAUDE_BASE_URL=http://anthropic:8000\n"))
    quick.up()
    engine.start("anthropic", engine.test_image, "python3", "/support/provider.py", network=quick.network,
                 aliases=("anthropic",), options=("--init", "--entrypoint", "", "-v", f"{ROOT}/tests/support:/support:ro"))
    # .env as printed says postgresql://user:pass@host:5432/database.
    database = start_postgres(engine, quick.network, host="host", user="user", password="pass")
    database.run(DATA)
    yield quick
    database.remove()
    quick.close()
    unchanged.shell("docker compose start proxy", 60)


def test_python_snippet(with_database: QuickStart):
    said = with_database.python(PYTHON, with_database.token(), "\nprint(table.to_pylist())")
    assert said == "[{'id': 1, 'name': 'Ada'}, {'id': 2, 'name': 'Bruno'}, {'id': 3, 'name': 'Chiara'}]\n"


def test_sql_example_users(with_database: QuickStart):
    """The page's other example, through Flight: `remote.` is airport's own prefix."""
    snippet = PYTHON.replace("SELECT * FROM mydb.public.users", "SELECT * FROM mydb.public.users LIMIT 10;")
    assert with_database.python(snippet, with_database.token(), "\nprint(table.num_rows)") == "3\n"


def test_sql_example_orders(with_database: QuickStart):
    snippet = PYTHON.replace('b"SELECT * FROM mydb.public.users"', f'b"""{ORDERS}"""')
    said = with_database.python(snippet, with_database.token(),
                                "\nprint(table.num_rows, table.column_names, [str(v) for v in table.to_pylist()[0].values()])")
    # Customer 00 has the orders 12, 24 … 120.
    assert said == "10 ['customer_name', 'order_count', 'total_revenue'] ['customer 00', '10', '660.00']\n"


# As the page prints them, but for -s.
CHAT = """curl -s -X POST http://localhost:8080/ai/chat \\
-H "Authorization: Bearer <token>" \\
-H "Content-Type: application/json" \\
-d '{
"messages": [{"role": "user", "content": "Write a SQL query to find top customers"}],
"model": "claude-sonnet-4-20250514"
}'"""

EMBED = """curl -s -X POST http://localhost:8080/ai/embed \\
-H "Authorization: Bearer <token>" \\
-H "Content-Type: application/json" \\
-d '{
"input": "customer revenue analysis",
"model": "text-embedding-3-small"
}'"""


def test_chat_line_streams(with_database: QuickStart):
    said = ""
    token = with_database.token()

    def answered() -> bool:
        # The scripted provider may be a moment behind its container.
        nonlocal said
        said = with_database.shell(CHAT.replace("<token>", token))
        return "event:" in said

    eventually(answered, "a stream of events", 20, every=0.3)
    texts = [json.loads(line.removeprefix("data:")).get("text", "") for line in said.splitlines() if line.startswith("data:")]
    assert "".join(texts) == "".join(PIECES), said
    assert "event: done" in said and '"output_tokens":9' in said.replace(" ", ""), said


def test_embed_line_says_which_key_it_needs(with_database: QuickStart):
    """The page's .env has no OpenAI key, and Anthropic has no embeddings."""
    answer = json.loads(with_database.shell(EMBED.replace("<token>", with_database.token())))
    assert answer["status"] == 503 and "OPENAI_API_KEY" in answer["detail"], answer


def test_detailed_health_with_the_database(with_database: QuickStart):
    with_database.python(PYTHON, with_database.token(), "")

    def looks_well() -> bool:
        text = with_database.shell("curl -s http://localhost:8080/health/detailed")
        assert "user:pass" not in text
        return "DATABASE_URL" not in text and "mydb" in text

    eventually(looks_well, "mydb is well", 30, every=0.3)


def test_a_missing_config_file_is_named(engine: Engine):
    """Docker makes a folder where ./config.yaml is missing."""
    quick = QuickStart(engine, "quickstart-folder")
    (quick.folder / "config.yaml").unlink()
    quick.ports = {8080: free_port(), 8081: free_port()}
    (quick.folder / "docker-compose.override.yml").write_text(
        "services:\n  proxy:\n    ports: !override\n"
        + "".join(f'      - "{host}:{inside}"\n' for inside, host in quick.ports.items()))
    quick.shell("docker compose up -d", 120)
    eventually(lambda: "folder" in quick.logs() and "/config.yaml" in quick.logs(), "the log names the folder", 30, every=0.3)
    quick.close()
