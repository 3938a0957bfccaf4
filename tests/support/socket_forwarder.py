"""A Unix socket that passes everything on to another one, and that can be taken away: how an engine looks whose daemon is
gone for a while, to one of its clients alone."""

import contextlib
import os
import socket
import threading
from pathlib import Path


class SocketForwarder:
    def __init__(self, path: Path, target: str) -> None:
        self.path = path
        self._target = target
        self._listener: socket.socket | None = None
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()

    def start(self) -> "SocketForwarder":
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self.path))
        # As the engine's own socket: its group may use it.
        os.chmod(self.path, 0o660)
        listener.listen(64)
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        return self

    def stop(self) -> None:
        """Nothing is listened on any more, and all connections are cut."""
        listener, self._listener = self._listener, None
        if listener is None:
            return
        self.path.unlink()
        # Closing alone does not wake the thread that accepts.
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            engine = socket.socket(socket.AF_UNIX)
            try:
                engine.connect(self._target)
            except OSError:
                client.close()
                continue
            with self._lock:
                self._open |= {client, engine}
            for source, sink in ((client, engine), (engine, client)):
                threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        # The other direction still uses both; the last one out closes them.
        with self._lock:
            last = sink not in self._open
            self._open.discard(source)
        if last:
            source.close()
            sink.close()
