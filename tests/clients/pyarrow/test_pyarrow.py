"""pyarrow: plain SQL as the command of a descriptor."""

import base64

import pytest
from pyarrow import flight

from tests.support.proxy import Proxy


# docs: begin
def customers(location: str, token: str):
    client = flight.connect(location)
    options = flight.FlightCallOptions(headers=[(b"authorization", f"Bearer {token}".encode())])
    info = client.get_flight_info(flight.FlightDescriptor.for_command(b"SELECT * FROM shop.customers"), options)
    return client.do_get(info.endpoints[0].ticket, options).read_all()
# docs: end


def test_with_the_bearer_header(server: Proxy, sub: str):
    table = customers(server.location, server.token(sub))
    assert table.num_rows == 40 and table.column_names[:3] == ["id", "name", "email"]


def test_an_empty_result_has_its_columns(server: Proxy, sub: str):
    with server.user(sub) as user:
        table = user.query("SELECT 1 AS a, 'x' AS b WHERE false")
        assert table.num_rows == 0 and table.column_names == ["a", "b"]


def test_get_schema(server: Proxy, sub: str):
    user = server.user(sub)
    descriptor = flight.FlightDescriptor.for_command(b"SELECT 1 AS a, 'x' AS b")
    assert user.client.get_schema(descriptor, user.options).schema.names == ["a", "b"]


def test_handshake_with_basic_takes_the_token_as_password(server: Proxy, sub: str):
    client = flight.connect(server.location)
    name, value = client.authenticate_basic_token(b"anybody", server.token(sub).encode())
    assert name == b"authorization" and value.startswith(b"Bearer ")
    options = flight.FlightCallOptions(headers=[(name, value)])
    info = client.get_flight_info(flight.FlightDescriptor.for_command(b"SELECT 42 AS a"), options)
    assert client.do_get(info.endpoints[0].ticket, options).read_all().to_pylist() == [{"a": 42}]


def test_handshake_with_a_wrong_password_is_refused(server: Proxy):
    client = flight.connect(server.location)
    with pytest.raises(flight.FlightUnauthenticatedError):
        client.authenticate_basic_token(b"anybody", b"not-a-token")


def test_basic_in_the_header_of_a_call(server: Proxy, sub: str):
    password = base64.b64encode(b"anybody:" + server.token(sub).encode())
    client = flight.connect(server.location)
    options = flight.FlightCallOptions(headers=[(b"authorization", b"Basic " + password)])
    try:
        info = client.get_flight_info(flight.FlightDescriptor.for_command(b"SELECT 42 AS a"), options)
    except flight.FlightUnauthenticatedError as error:
        # Either answer will do; a silent other one won't.
        assert "bearer" in str(error).lower() or "handshake" in str(error).lower()
    else:
        assert client.do_get(info.endpoints[0].ticket, options).read_all().to_pylist() == [{"a": 42}]
