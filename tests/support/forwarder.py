"""Connections that go through this test, which can be cut and refused: what a load balancer, a bad network or a daemon that
is restarted does to one client alone."""

import contextlib
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path


class Forwarder:
    """Passes each connection on, until it is cut. `listen` opens the listening socket, again after each stop; `connect`
    opens a connection to where it goes."""

    def __init__(self, listen: Callable[[], socket.socket], connect: Callable[[], socket.socket]) -> None:
        self._listen = listen
        self._connect = connect
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self.connections = 0
        self._listener: socket.socket | None = None
        self.start()

    @classmethod
    def to_port(cls, port: int) -> "Forwarder":
        """From a free port of 127.0.0.1 to another one there."""
        return cls(lambda: socket.create_server(("127.0.0.1", 0)),
                   lambda: socket.create_connection(("127.0.0.1", port), timeout=10))

    @classmethod
    def to_socket(cls, path: Path, target: str) -> "Forwarder":
        """From a Unix socket at `path`, for its group as the engine's own is, to another one."""
        def listen() -> socket.socket:
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(str(path))
            os.chmod(path, 0o660)
            listener.listen(64)
            return listener

        def connect() -> socket.socket:
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(target)
            return connection

        return cls(listen, connect)

    @property
    def port(self) -> int:
        assert self._listener is not None, "it is stopped"
        return self._listener.getsockname()[1]

    def start(self) -> None:
        self._listener = self._listen()
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def stop(self) -> None:
        """Refuses new connections and cuts those that are open."""
        listener, self._listener = self._listener, None
        if listener is not None:
            if listener.family == socket.AF_UNIX:
                os.unlink(listener.getsockname())
            # Closing alone does not wake the thread that accepts.
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self.cut()

    def cut(self) -> None:
        """Ends the connections that are open; new ones work."""
        with self._lock:
            cut, self._sockets = self._sockets, []
        for end in cut:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def __enter__(self) -> "Forwarder":
        return self

    def __exit__(self, *_) -> None:
        self.stop()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                server = self._connect()
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            with self._lock:
                self._sockets += [client, server]
                self.connections += 1
            for source, target in ((client, server), (server, client)):
                threading.Thread(target=self._pass, args=(source, target), daemon=True).start()

    @staticmethod
    def _pass(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        # The other way may still be in use: an engine answers a request whose sender has said all it will.
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)
