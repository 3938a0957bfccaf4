"""DuckDB's Quack protocol as bytes, for what its own clients would not send."""

import http.client
import socket
import struct
import uuid
from dataclasses import dataclass

from tests.support.proxy import Proxy

CONNECT, CONNECTED, PREPARE, PREPARED, FETCH, FETCHED, APPEND, SUCCESS = 1, 2, 3, 4, 7, 8, 9, 10
DISCONNECT, CANCEL, SENT, HEARTBEAT, ERROR = 11, 12, 14, 16, 100
END = b"\xff\xff"


def number(value: int) -> bytes:
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def signed(value: int) -> bytes:
    out = b""
    while not -64 <= value < 64:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value & 0x7F])


def field(name: int, value: bytes = b"") -> bytes:
    return struct.pack("<H", name) + value


def text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return number(len(raw)) + raw


def result_id(name: int, value: uuid.UUID) -> bytes:
    upper = value.int >> 64
    return field(name, signed(upper - (1 << 64) if upper >> 63 else upper) + number(value.int & (1 << 64) - 1))


@dataclass
class Vector:
    """A column of a chunk: its type's object and its own, as fields without their ends."""
    type: bytes
    values: bytes


def chunk(rows: int, *columns: Vector) -> bytes:
    return (field(100, number(rows)) + field(101, number(len(columns))) + b"".join(one.type + END for one in columns) +
            field(102, number(len(columns))) + b"".join(one.values + END for one in columns) + END)


@dataclass
class Answer:
    type: int
    whole: bytes

    @property
    def error(self) -> str:
        assert self.type == ERROR, f"no error: {self.type}, {self.whole[:200]!r}"
        return self.whole.decode(errors="replace")


def connect_message(token: str, version: int) -> bytes:
    body = (field(1, text(token)) + field(2, text("v0")) + field(3, text("linux")) + field(4, number(version)) +
            field(5, number(version)) + (field(6, text("raw")) + field(7, number(60)) if version == 3 else b"") + END)
    return field(1, bytes([CONNECT])) + END + body


def framed(connection: str | bytes, kind: int, body: bytes = b"") -> bytes:
    """A message of a connection, whose name of 32 bytes begins at the seventh."""
    return field(1, bytes([kind])) + field(2, text(connection)) + END + body + END


class RawQuack:
    """A connection of the protocol; every message goes over a connection of TCP of its own."""

    def __init__(self, proxy: Proxy, token: str, version: int = 3) -> None:
        self.proxy, self.version = proxy, version
        answer = self.exchange(connect_message(token, version))
        assert answer.type == CONNECTED, answer.whole
        self.id = answer.whole[6:38]

    def message(self, kind: int, body: bytes = b"") -> bytes:
        return framed(self.id, kind, body)

    def exchange(self, message: bytes, seconds: float = 60) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.proxy.port(8080), timeout=seconds)
        try:
            connection.request("POST", "/quack", message)
            answer = connection.getresponse()
            whole = answer.read()
        finally:
            connection.close()
        assert answer.status == 200, (answer.status, whole)
        return Answer(whole[2], whole)

    def send(self, kind: int, body: bytes = b"") -> Answer:
        return self.exchange(self.message(kind, body))

    def prepare_message(self, sql: str, result: uuid.UUID | None = None) -> bytes:
        return self.message(PREPARE, field(1, text(sql)) + (result_id(2, result or uuid.UUID(int=1)) if self.version == 3 else b""))

    def run(self, sql: str, result: uuid.UUID | None = None) -> Answer:
        return self.exchange(self.prepare_message(sql, result))

    def must(self, sql: str) -> Answer:
        answer = self.run(sql)
        assert answer.type == PREPARED, answer.whole
        return answer

    def fetch(self, result: uuid.UUID, batch: int) -> Answer:
        return self.send(FETCH, result_id(1, result) + field(2, number(batch)))

    def cancel(self, result: uuid.UUID) -> Answer:
        return self.send(CANCEL, result_id(1, result))

    def append(self, table: str, rows: bytes) -> Answer:
        return self.send(APPEND, field(1, text("main")) + field(2, text(table)) + field(3, b"\x01" + field(300, rows) + END))

    def start(self, sql: str, result: uuid.UUID | None = None) -> socket.socket:
        """Sends the statement and does not wait: the client may be made to vanish by closing this."""
        message = self.prepare_message(sql, result)
        connection = socket.create_connection(("127.0.0.1", self.proxy.port(8080)), timeout=30)
        connection.sendall(f"POST /quack HTTP/1.1\r\nHost: x\r\nContent-Length: {len(message)}\r\n\r\n".encode() + message)
        return connection
