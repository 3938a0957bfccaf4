"""A peer that speaks to the proxy as DuckDB's airport extension does: the same calls in the same order, the same headers,
and a token only where the extension sends one. Written from a description of the extension's wire protocol, not from the
server: what it takes for granted about a reply is what the extension does."""

import hashlib
import uuid
from dataclasses import dataclass, field

import pyarrow as pa
import pytest
from pyarrow import flight

msgpack = pytest.importorskip("msgpack", reason="msgpack could not be installed from PyPI")
zstandard = pytest.importorskip("zstandard", reason="zstandard could not be installed from PyPI")

ROW_ID = 2**64 - 1
REUSE = b"arrow-flight-reuse-connection://?"


def pack_bin(value) -> bytes:
    """msgpack with every text as bin, keys of maps included."""
    if isinstance(value, str):
        return msgpack.packb(value.encode(), use_bin_type=True)
    if isinstance(value, dict):
        packer = msgpack.Packer()
        return packer.pack_map_header(len(value)) + b"".join(pack_bin(k) + pack_bin(v) for k, v in value.items())
    if isinstance(value, list):
        packer = msgpack.Packer()
        return packer.pack_array_header(len(value)) + b"".join(pack_bin(item) for item in value)
    return msgpack.packb(value, use_bin_type=True)


def pack_str(value) -> bytes:
    """As the extension's C++ packs: bytes are str, whatever is in them."""
    return msgpack.packb(value, use_bin_type=False)


def unpack(data: bytes):
    return msgpack.unpackb(data, raw=False, strict_map_key=True)


def inflate(data: bytes):
    """[uncompressed length, zstd] → what it holds."""
    length, packed = unpack(data)
    plain = zstandard.ZstdDecompressor().decompress(packed, max_output_size=length)
    assert len(plain) == length
    return unpack(plain)


@dataclass
class Table:
    info: flight.FlightInfo
    metadata: dict

    @property
    def schema(self) -> pa.Schema:
        return self.info.schema

    @property
    def has_row_ids(self) -> bool:
        return any((one.metadata or {}).get(b"is_rowid") for one in self.schema)

    @property
    def columns(self) -> list[str]:
        return [one.name for one in self.schema if not (one.metadata or {}).get(b"is_rowid")]


@dataclass
class Airport:
    """What `ATTACH 'catalog' (TYPE airport, LOCATION location)` is. With `secret`, a secret's scope matches the location:
    then the token goes with every call, otherwise it is missing on scans and writes."""

    location: str
    token: str | None
    catalog: str = ""
    secret: bool = False
    pack: object = pack_str
    session: str = field(default_factory=lambda: str(uuid.uuid4()))
    identifier: str | None = None

    def __post_init__(self) -> None:
        self.client = flight.connect(self.location)

    # -- headers

    def standard(self) -> list[tuple[bytes, bytes]]:
        headers = [(b"airport-user-agent", b"airport/20250723"), (b"authority", self.location.encode()),
                   (b"airport-client-session-id", self.session.encode())]
        return headers + ([(b"airport-catalog", self.catalog.encode())] if self.catalog else [])

    def attached(self) -> flight.FlightCallOptions:
        """Calls of the catalog: with the token of ATTACH."""
        token = [(b"authorization", b"Bearer " + self.token.encode())] if self.token else []
        return flight.FlightCallOptions(timeout=60, headers=self.standard() + token)

    def scanning(self, path: str = "", more: list[tuple[bytes, bytes]] = ()) -> flight.FlightCallOptions:
        """Scans and writes: with the token of a secret only, and the transaction's identifier."""
        headers = self.standard() + [(b"airport-trace-id", str(uuid.uuid4()).encode())]
        if self.secret and self.token:
            headers.append((b"authorization", b"Bearer " + self.token.encode()))
        if self.identifier:
            headers.append((b"airport-transaction-id", self.identifier.encode()))
        if path:
            headers.append((b"airport-flight-path", path.encode()))
        return flight.FlightCallOptions(timeout=60, headers=headers + list(more))

    # -- actions

    def act(self, action: str, request: dict, options: flight.FlightCallOptions | None = None) -> list[bytes]:
        call = flight.Action(action, self.pack(request))
        return [result.body.to_pybytes() for result in self.client.do_action(call, options or self.attached())]

    def begin(self) -> "Airport":
        (body,) = self.act("create_transaction", {"catalog_name": self.catalog})
        self.identifier = unpack(body)["identifier"]
        return self

    def version(self) -> tuple[int, bool]:
        (body,) = self.act("catalog_version", {"catalog_name": self.catalog})
        told = unpack(body)
        assert list(told) == ["catalog_version", "is_fixed"]
        return told["catalog_version"], told["is_fixed"]

    def root(self) -> dict:
        (body,) = self.act("list_schemas", {"catalog_name": self.catalog})
        return inflate(body)

    def tables(self, schema: str) -> dict[str, Table]:
        (told,) = [one for one in self.root()["schemas"] if one["name"] == schema]
        contents = told["contents"]
        assert contents["url"] is None
        assert hashlib.sha256(contents["serialized"]).hexdigest() == contents["sha256"]
        tables = {}
        for data in inflate(contents["serialized"]):
            info = flight.FlightInfo.deserialize(data)
            metadata = unpack(info.app_metadata)
            # The extension gives up when they differ.
            assert (metadata["catalog"], metadata["schema"]) == (self.catalog, schema)
            assert metadata["type"] == "table"
            tables[metadata["name"]] = Table(info, metadata)
        return tables

    # -- reading

    def endpoints(self, descriptor: flight.FlightDescriptor, parameters: dict,
                  options: flight.FlightCallOptions | None = None) -> list[flight.FlightEndpoint]:
        everything = {"json_filters": "", "column_ids": [], "table_function_parameters": "",
                      "table_function_input_schema": "", "at_unit": "", "at_value": "", **parameters}
        (body,) = self.act("endpoints", {"descriptor": descriptor.serialize(), "parameters": everything},
                           options or self.scanning("/".join(part.decode() for part in descriptor.path or [])))
        found = [flight.FlightEndpoint.deserialize(data) for data in msgpack.unpackb(body, raw=True)]
        for one in found:  # an empty list is an error for the extension
            assert [place.uri for place in one.locations] == [REUSE]
        return found

    def scan(self, table: Table, columns: list[str] | None = None, filters: str = "", row_ids: bool = False,
             progress: list[float] | None = None) -> pa.Table:
        """The columns asked for, of all endpoints."""
        names = table.columns
        wanted = names if columns is None else columns
        ids = [names.index(name) for name in wanted] + ([ROW_ID] if row_ids else [])
        options = self.scanning("/".join(part.decode() for part in table.info.descriptor.path))
        parts = []
        for endpoint in self.endpoints(table.info.descriptor, {"json_filters": filters, "column_ids": ids}):
            reader = self.client.do_get(endpoint.ticket, options)
            assert reader.schema.names == table.schema.names
            assert reader.schema.types == table.schema.types
            batches = []
            for chunk in reader:
                if chunk.app_metadata is not None:
                    at = unpack(chunk.app_metadata.to_pybytes())["progress"]
                    assert 0.0 <= at <= 1.0
                    if progress is not None:
                        progress.append(at)
                batches.append(chunk.data)
            parts.append(pa.Table.from_batches(batches, reader.schema))
        found = pa.concat_tables(parts) if parts else table.schema.empty_table()
        return found.select(wanted + (["rowid"] if row_ids else []))

    def take_flight(self, sql: str, token: str | None = None) -> pa.Table:
        """airport_take_flight(location, sql, auth_token := token)"""
        options = self.attached() if token is None else Airport(self.location, token, self.catalog).attached()
        descriptor = flight.FlightDescriptor.for_command(sql.encode())
        info = self.client.get_flight_info(descriptor, options)
        assert info.descriptor == descriptor  # checked by the extension
        parts = []
        for endpoint in self.endpoints(descriptor, {"column_ids": list(range(len(info.schema)))}, options):
            found = self.client.do_get(endpoint.ticket, options).read_all()
            assert found.schema.types == info.schema.types
            parts.append(found)
        return pa.concat_tables(parts) if parts else info.schema.empty_table()

    def statistics(self, table: Table, column: str) -> dict:
        request = {"flight_descriptor": table.info.descriptor.serialize(), "column_name": column, "type": "?"}
        (body,) = self.act("column_statistics", request, self.scanning())
        rows = pa.ipc.open_stream(body).read_all()
        assert rows.num_rows == 1
        return rows.to_pylist()[0]

    # -- writing

    def exchange(self, operation: str, table: Table, batches: list[pa.RecordBatch],
                 returning: bool = False) -> tuple[int | None, list[pa.RecordBatch]]:
        """Rows as the extension sends them: it waits for the schema, with RETURNING for an answer to each batch, and
        then for the number of rows."""
        more = [(b"airport-operation", operation.encode()), (b"return-chunks", b"1" if returning else b"0")]
        writer, reader = self.client.do_exchange(table.info.descriptor, self.scanning("x/y", more))
        back, changed = [], None
        with writer:
            writer.begin(batches[0].schema)
            assert reader.schema is not None
            for batch in batches:
                writer.write_batch(batch)
                if returning:
                    answer = reader.read_chunk().data
                    assert answer.num_rows == batch.num_rows
                    back.append(answer)
            writer.done_writing()
            while True:
                try:
                    chunk = reader.read_chunk()
                except StopIteration:
                    break
                if chunk.data is None and chunk.app_metadata is not None:
                    data = chunk.app_metadata.to_pybytes()
                    changed = unpack(data)["total_changed"]
                    assert data == msgpack.packb({"total_changed": changed})
        return changed, back
