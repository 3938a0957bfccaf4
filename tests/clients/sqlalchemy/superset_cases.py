"""Superset's dialect of Flight SQL (flightsql-dbapi), with the SQLAlchemy before 2 that it needs. Run by
test_superset_dialect.py in an environment of its own."""

import os

import flightsql.sqlalchemy  # noqa: F401 – registers the dialects
import pytest
import sqlalchemy


# docs: begin
def engine(host: str, port: str, token: str):
    return sqlalchemy.create_engine(f"datafusion+flightsql://{host}:{port}?insecure=true&token={token}")
# docs: end


@pytest.fixture
def made():
    made = engine(os.environ["PONDPILOT_HOST"], os.environ["PONDPILOT_PORT"], os.environ["PONDPILOT_TOKEN"])
    yield made
    made.dispose()


def test_a_query(made):
    with made.connect() as connection:
        found = connection.execute("SELECT country, count(*) AS n FROM shop.customers GROUP BY country ORDER BY n DESC").fetchall()
    assert sum(row.n for row in found) == 40


def test_a_statement_of_sqlalchemys(made):
    customers = sqlalchemy.table("customers", sqlalchemy.column("id"), sqlalchemy.column("name"), schema="shop")
    statement = sqlalchemy.select([customers.c.id]).where(customers.c.name == "o'hara").limit(5)
    with made.connect() as connection:
        assert connection.execute(statement).fetchall() == []


def test_schemas_and_tables(made):
    with made.connect() as connection:
        connection.execute("CREATE OR REPLACE TABLE superset_seen (id INTEGER, t VARCHAR)")
    inspector = sqlalchemy.inspect(made)
    assert "main" in inspector.get_schema_names()
    assert "superset_seen" in inspector.get_table_names("main")
    assert [column["name"] for column in inspector.get_columns("superset_seen", "main")] == ["id", "t"]


def test_the_product_by_name(made):
    with made.connect() as connection:
        assert "PondPilot Proxy" in connection.dialect.sql_info.values()


def test_errors(made):
    with pytest.raises(Exception, match="no_such_table"), made.connect() as connection:
        connection.execute("SELECT * FROM no_such_table")
