"""SQLAlchemy 2 through the package sqlalchemy-adbc."""

import pytest

from tests.support.proxy import Proxy

sqlalchemy = pytest.importorskip("sqlalchemy", reason="SQLAlchemy could not be installed from PyPI")
pytest.importorskip("sqlalchemy_adbc", reason="sqlalchemy-adbc could not be installed from PyPI")
pytest.importorskip("adbc_driver_flightsql", reason="adbc-driver-flightsql could not be installed from PyPI")


# docs: begin
def engine(host: str, port: int, token: str):
    url = sqlalchemy.URL.create("adbc+flightsql", "anybody", token, host, port, query={"tls": "false"})
    return sqlalchemy.create_engine(url)


def customers_of(connection, country: str):
    statement = sqlalchemy.text("SELECT id, name FROM shop.customers WHERE country = :country ORDER BY id")
    return connection.execute(statement, {"country": country}).all()
# docs: end


@pytest.fixture
def connection(server: Proxy):
    made = engine("127.0.0.1", server.port(8081), server.token("sqlalchemy"))
    with made.connect() as connection:
        yield connection
    made.dispose()


def test_queries_with_parameters(connection):
    country = connection.execute(sqlalchemy.text("SELECT country FROM shop.customers WHERE id = 1")).scalar_one()
    assert len(customers_of(connection, country)) > 0


def test_tables_and_transactions(connection):
    notes = sqlalchemy.Table("alchemy_notes", sqlalchemy.MetaData(),
                             sqlalchemy.Column("id", sqlalchemy.BigInteger, primary_key=True, autoincrement=False),
                             sqlalchemy.Column("body", sqlalchemy.Text))
    notes.create(connection)
    connection.execute(notes.insert(), [{"id": 1, "body": "one"}, {"id": 2, "body": None}])
    found = connection.execute(sqlalchemy.select(notes).order_by(notes.c.id)).all()
    assert [tuple(row) for row in found] == [(1, "one"), (2, None)]
    connection.rollback()
    with pytest.raises(sqlalchemy.exc.DBAPIError, match="alchemy_notes"):
        connection.execute(sqlalchemy.select(notes)).all()
    connection.rollback()


def test_inspection(connection):
    inspector = sqlalchemy.inspect(connection)
    assert "main" in inspector.get_schema_names()
    connection.execute(sqlalchemy.text("CREATE TABLE alchemy_seen (id INTEGER NOT NULL, t VARCHAR)"))
    connection.commit()
    try:
        inspector = sqlalchemy.inspect(connection)
        # This dialect lists only tables whose type is "table" in small letters, which Flight SQL writes in large ones.
        assert inspector.has_table("alchemy_seen", schema="main")
        columns = inspector.get_columns("alchemy_seen", schema="main")
        assert [column["name"] for column in columns] == ["id", "t"]
    finally:
        connection.execute(sqlalchemy.text("DROP TABLE alchemy_seen"))
        connection.commit()
