"""A worker without a proxy: started with a known token, driven over the control contract. The messages are compiled
from the product's own control.proto when they are first needed."""

import hashlib
import importlib
import secrets
import subprocess
import sys
import tempfile
from types import ModuleType

import grpc

from tests.support.engine import ROOT, Engine, inspect
from tests.support.flight import FlightUser
from tests.support.waiting import eventually

TOKEN_HEADER = "x-pondpilot-worker-token"
CONTRACT_VERSION = 2
PORT = 9090

_messages: ModuleType | None = None


def messages() -> ModuleType:
    global _messages
    if _messages is None:
        folder = tempfile.mkdtemp()
        subprocess.run(["protoc", f"-I{ROOT}/src/contract", f"--python_out={folder}", "control.proto"], check=True, timeout=60)
        sys.path.insert(0, folder)
        _messages = importlib.import_module("control_pb2")
    return _messages


def call(address: str, method: str, request, token: str | None, seconds: float = 20):
    """One call of the control contract. Raises grpc.RpcError."""
    pb = messages()
    answer_type = getattr(pb, f"{method}Response")
    with grpc.insecure_channel(address) as channel:
        return channel.unary_unary(f"/pondpilot.control.v1.Worker/{method}", request_serializer=lambda m: m.SerializeToString(),
                                   response_deserializer=answer_type.FromString)(
            request, timeout=seconds, metadata=[] if token is None else [(TOKEN_HEADER, token)])


class BareWorker:
    """A worker of its own user, as the proxy would start it."""

    def __init__(self, engine: Engine, network: str, memory_mb: int = 512, cpus: float = 1, lease_seconds: int = 3600,
                 assign: bool = True) -> None:
        self.engine = engine
        self.token = secrets.token_hex(32)
        self.container = engine.start(
            "worker", engine.worker_image, network=network, memory=f"{memory_mb}m",
            options=("--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--read-only", "--cpus", str(cpus),
                     "--tmpfs", "/tmp", "--tmpfs", "/var/lib/pondpilot/spill:uid=1000,gid=1000,mode=0700",
                     "-e", f"PONDPILOT_WORKER_TOKEN_SHA256={hashlib.sha256(self.token.encode()).hexdigest()}",
                     "-e", "PONDPILOT_WORKER_ID=bare", "-e", f"PONDPILOT_MEMORY_BYTES={memory_mb << 20}",
                     "-e", f"PONDPILOT_CPU_CORES={cpus}"))
        ip = inspect(self.container)["NetworkSettings"]["Networks"][network]["IPAddress"]
        self.address = f"{ip}:{PORT}"
        eventually(self._listens, "the worker listens", 30)
        if assign:
            self.assign(lease_seconds)

    def _listens(self) -> bool:
        try:
            with grpc.insecure_channel(self.address) as channel:
                grpc.channel_ready_future(channel).result(timeout=1)
            return True
        except grpc.FutureTimeoutError:
            return False

    def assign(self, lease_seconds: int = 3600):
        pb = messages()
        return call(self.address, "Assign", pb.AssignRequest(contract_version=CONTRACT_VERSION, lease_ms=lease_seconds * 1000, user_id="bare"),
                    self.token, 60)

    def user(self, **how) -> FlightUser:
        return FlightUser(f"grpc://{self.address}", None, headers=[(TOKEN_HEADER.encode(), self.token.encode())], **how)

    def remove(self) -> None:
        self.engine.remove(self.container)
