"""A user at the other end of Flight, as the quick start's Python snippet is one."""

from collections.abc import Iterator

import pyarrow as pa
from pyarrow import flight


def _field(number: int, value: bytes) -> bytes:
    """Bytes in a protobuf message."""
    length, size = b"", len(value)
    while True:
        length += bytes([size & 0x7F | (0x80 if size > 0x7F else 0)])
        size >>= 7
        if size == 0:
            return bytes([number << 3 | 2]) + length + value


def statement_query(sql: bytes) -> bytes:
    """Flight SQL's CommandStatementQuery, which pyarrow does not make."""
    return _field(1, b"type.googleapis.com/arrow.flight.protocol.sql.CommandStatementQuery") + _field(2, _field(1, sql))


class FlightUser:
    def __init__(self, location: str, token: str | None, timeout: float = 60, headers: list[tuple[bytes, bytes]] = (),
                 flight_sql: bool = False, **client) -> None:
        self.flight_sql = flight_sql
        self.client = flight.connect(location, **client)
        self.headers = [*headers]
        if token is not None:
            self.headers.append((b"authorization", b"Bearer " + token.encode()))
        self.options = flight.FlightCallOptions(timeout=timeout, headers=self.headers)

    def info(self, sql: str | bytes) -> flight.FlightInfo:
        text = sql.encode() if isinstance(sql, str) else sql
        if self.flight_sql:
            text = statement_query(text)
        return self.client.get_flight_info(flight.FlightDescriptor.for_command(text), self.options)

    def stream(self, sql: str | bytes) -> flight.FlightStreamReader:
        return self.client.do_get(self.info(sql).endpoints[0].ticket, self.options)

    def query(self, sql: str | bytes) -> pa.Table:
        return self.stream(sql).read_all()

    def rows(self, sql: str | bytes) -> list[tuple]:
        return [tuple(row.values()) for row in self.query(sql).to_pylist()]

    def value(self, sql: str | bytes):
        rows = self.rows(sql)
        assert len(rows) == 1 and len(rows[0]) == 1, rows
        return rows[0][0]

    def refusal(self, sql: str | bytes) -> Exception:
        """The error that the statement ends with; that it works is a failure."""
        try:
            table = self.query(sql)
        except (flight.FlightError, pa.ArrowException) as error:
            return error
        raise AssertionError(f"accepted: {sql!r:.200}, {table.num_rows} rows")

    def batches(self, sql: str) -> Iterator[pa.RecordBatch]:
        reader = self.stream(sql)
        for chunk in reader:
            yield chunk.data

    def close(self) -> None:
        self.client.close()

    def __enter__(self) -> "FlightUser":
        return self

    def __exit__(self, *_) -> None:
        self.close()
