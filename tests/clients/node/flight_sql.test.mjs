// What a Node program does with the Flight SQL clients that npm has.
import assert from "node:assert/strict";
import { test } from "node:test";

import { Client } from "@lancedb/arrow-flight-sql-client";

// docs: begin
import { FlightSQLClient } from "@firetiger-oss/flight-sql-client";

function open(host, port, token) {
  return new FlightSQLClient({ host, port, token, plaintext: true }); // plaintext: false behind a TLS terminator
}

async function customersOf(client, country) {
  const quoted = country.replaceAll("'", "''"); // this client can't bind parameters
  const table = await client.execute(`SELECT id, name FROM shop.customers WHERE country = '${quoted}' ORDER BY id`);
  return table.toArray().map((row) => row.toJSON());
}
// docs: end

const { PONDPILOT_HOST: host, PONDPILOT_PORT: port, PONDPILOT_TOKEN: token } = process.env;

async function withClient(use) {
  const client = open(host, Number(port), token);
  try {
    await use(client);
  } finally {
    await client.close();
  }
}

async function rows(client, sql) {
  const table = await client.execute(sql);
  return table.toArray().map((row) => row.toJSON());
}

test("quick start", () =>
  withClient(async (client) => {
    const [{ country }] = await rows(client, "SELECT country FROM shop.customers WHERE id = 1");
    const found = await customersOf(client, country);
    assert.ok(found.length > 0);
    assert.equal(found[0].id, 1n);
  }));

test("types", () =>
  withClient(async (client) => {
    const [row] = await rows(
      client,
      "SELECT 1::INT AS i, 9007199254740993::BIGINT AS big, 1.5::DOUBLE AS d, 'größe 🦆' AS t, NULL::INT AS n, true AS b, " +
        "'x'::ENUM('x', 'y') AS e, [1, 2]::INT[] AS l, uuid() AS u",
    );
    assert.equal(row.i, 1);
    assert.equal(row.big, 9007199254740993n);
    assert.equal(row.d, 1.5);
    assert.equal(row.t, "größe 🦆");
    assert.equal(row.n, null);
    assert.equal(row.b, true);
    assert.equal(row.e, "x");
    assert.deepEqual([...row.l], [1, 2]);
    assert.equal(row.u.length, 36);
  }));

test("many rows", () =>
  withClient(async (client) => {
    const table = await client.execute("SELECT range AS i FROM range(300000)");
    assert.equal(table.numRows, 300000);
  }));

test("an empty result has its columns", () =>
  withClient(async (client) => {
    const table = await client.execute("SELECT 1 AS a, 'x' AS b WHERE false");
    assert.equal(table.numRows, 0);
    assert.deepEqual(table.schema.fields.map((field) => field.name), ["a", "b"]);
  }));

test("changes", () =>
  withClient(async (client) => {
    await client.execute("CREATE OR REPLACE TABLE node_counts (a BIGINT)");
    const [{ Count: count }] = await rows(client, "INSERT INTO node_counts SELECT range FROM range(7)");
    assert.equal(count, 7n);
    assert.equal((await rows(client, "SELECT sum(a)::BIGINT AS s FROM node_counts"))[0].s, 21n);
    await client.execute("DROP TABLE node_counts");
  }));

test("errors say what is wrong", () =>
  withClient(async (client) => {
    await assert.rejects(client.execute("SELECT * FROM no_such_table"), /no_such_table/);
    assert.equal((await rows(client, "SELECT 42 AS a"))[0].a, 42);
  }));

test("a wrong token is refused", async () => {
  const client = open(host, Number(port), "nonsense");
  await assert.rejects(client.execute("SELECT 1"), /token|Failed to connect/i); // it hides the reason
  await client.close();
});

test("the token as password", async () => {
  const client = await Client.connect({ host: `${host}:${port}`, username: "anybody", password: token });
  const result = await client.query("SELECT range AS i FROM range(1000)");
  const found = await result.collectToObjects();
  assert.equal(found.length, 1000);
  client.sql.flight.client.close();
});
