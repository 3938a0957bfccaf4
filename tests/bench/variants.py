"""The ways to the same rows that the benchmark compares: straight to a worker, through the proxy, through nginx.

All servers are containers on one network and the client reaches each by its address there: a published port would put
Docker's own copying process in the way."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.support.control import TOKEN_HEADER, BareWorker
from tests.support.engine import Engine, command, inspect
from tests.support.flight import FlightUser
from tests.support.proxy import Proxy, ProxyOptions, base_config
from tests.support.tokens import token
from tests.support.waiting import eventually

WORKER_MEMORY_MB = 2048
WORKER_CPUS = 2

# As a person would write it who knows that one line about gRPC.
NGINX_AS_SHIPPED = """
worker_processes 1;
events { worker_connections 256; }
http {
  access_log off;
  server {
    listen 8081; http2 on;
    client_max_body_size 0;
    location / { grpc_pass grpc://WORKER; }
  }
}
"""

# With what made it faster on this load: large buffers and frames, no idle limit in a long stream.
NGINX_TUNED = """
worker_processes 1;
events { worker_connections 256; }
http {
  access_log off;
  tcp_nodelay on;
  server {
    listen 8081 backlog=256; http2 on;
    client_max_body_size 0;
    http2_chunk_size 64k;
    output_buffers 4 1m;
    postpone_output 0;
    location / {
      grpc_pass grpc://worker;
      grpc_buffer_size 1m;
      grpc_read_timeout 600s;
      grpc_send_timeout 600s;
    }
  }
  upstream worker { server WORKER; keepalive 32; }
}
"""


@dataclass
class Variant:
    name: str
    connect: Callable[[], FlightUser]


class Setup:
    """Everything that the benchmark talks to. `close` removes it."""

    def __init__(self) -> None:
        self.engine = Engine()
        self.network = self.engine.network("bench", lasting=True)
        config = base_config(self.engine, self.network, memory_limit=f"{WORKER_MEMORY_MB}m", cpu_limit=WORKER_CPUS)
        self.proxy = Proxy(self.engine, ProxyOptions(self.network, config, memory="1g")).wait_ready()
        self.proxy_address = f"{self._address(self.proxy.container)}:8081"
        self.worker = BareWorker(self.engine, self.network, WORKER_MEMORY_MB, WORKER_CPUS)
        self.direct = Variant("direct", lambda: self.worker.user(timeout=300))
        self.through = Variant("proxy", lambda: self.proxy_user("bench"))
        self.nginx = [self._nginx("nginx, tuned", NGINX_TUNED), self._nginx("nginx, as shipped", NGINX_AS_SHIPPED)]

    def _address(self, container: str) -> str:
        return inspect(container)["NetworkSettings"]["Networks"][self.network]["IPAddress"]

    def proxy_user(self, sub: str) -> FlightUser:
        return FlightUser(f"grpc://{self.proxy_address}", token(sub), timeout=300)

    def _nginx(self, name: str, config: str) -> Variant:
        folder = self.engine.new_folder("nginx")
        (folder / "nginx.conf").write_text(config.replace("WORKER", self.worker.address))
        container = self.engine.start("nginx", self.engine.test_image, "nginx", "-g", "daemon off;", "-c", "/conf/nginx.conf",
                                      network=self.network, options=("--entrypoint", "", "-v", f"{folder}:/conf:ro"))
        address = f"{self._address(container)}:8081"
        headers = [(TOKEN_HEADER.encode(), self.worker.token.encode())]

        def connect() -> FlightUser:
            return FlightUser(f"grpc://{address}", None, headers=headers, timeout=300)

        def answers() -> bool:
            try:
                with connect() as user:
                    return user.value("SELECT 42") == 42
            except Exception as error:  # noqa: BLE001 - not yet up; the last reason is shown when it never is
                raise AssertionError(f"{error}\n{command('docker', 'logs', container, check=False).stderr}") from None

        eventually(answers, f"{name} answers", 20)
        return Variant(name, connect)

    def close(self) -> None:
        self.proxy.remove()
        self.engine.close()
