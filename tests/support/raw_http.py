"""HTTP as bytes, for requests that no client library would send."""

import socket

from tests.support.proxy import Proxy


class RawConnection:
    def __init__(self, proxy: Proxy, seconds: float = 30) -> None:
        self.socket = socket.create_connection(("127.0.0.1", proxy.port(8080)), timeout=seconds)
        self._read = b""

    def __enter__(self) -> "RawConnection":
        return self

    def __exit__(self, *_) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def answer(self, head: bool = False) -> tuple[int, dict[str, str], bytes]:
        """(status, headers, body) of the next answer; its length is the one that Content-Length names."""
        while b"\r\n\r\n" not in self._read:
            self._more()
        top, self._read = self._read.split(b"\r\n\r\n", 1)
        first, *lines = top.decode().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        length = 0 if head else int(headers.get("content-length", 0))
        while len(self._read) < length:
            self._more()
        body, self._read = self._read[:length], self._read[length:]
        return int(first.split(" ")[1]), headers, body

    def rest(self) -> bytes:
        """Everything up to the end of the connection."""
        try:
            while data := self.socket.recv(65536):
                self._read += data
        except ConnectionResetError:
            pass
        return self._read

    def _more(self) -> None:
        data = self.socket.recv(65536)
        assert data, f"the connection has ended behind {self._read!r}"
        self._read += data


def exchange(proxy: Proxy, data: bytes) -> bytes:
    """Sends it on a connection of its own, and returns what comes until the proxy closes."""
    with RawConnection(proxy) as connection:
        connection.send(data)
        return connection.rest()
