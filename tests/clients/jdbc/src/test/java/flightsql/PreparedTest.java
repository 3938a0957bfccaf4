package flightsql;

import static flightsql.Server.rows;
import static flightsql.Server.run;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.math.BigDecimal;
import java.sql.Connection;
import java.sql.Date;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Time;
import java.sql.Timestamp;
import java.sql.Types;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class PreparedTest {
  private Connection connection;

  @BeforeEach
  void connect() throws SQLException {
    connection = Server.connect();
  }

  @AfterEach
  void close() throws SQLException {
    connection.close();
  }

  private interface Setter {
    void set(PreparedStatement statement) throws SQLException;
  }

  /** The value that a parameter of this SQL type has, and its type, as DuckDB says them. */
  private String echo(String type, Setter setter) throws SQLException {
    try (PreparedStatement statement = connection.prepareStatement("SELECT (v)::VARCHAR, typeof(v) FROM (SELECT ?::" + type + " AS v)")) {
      setter.set(statement);
      return String.join(",", rows(statement.executeQuery()));
    }
  }

  @Test
  void parametersOfAllTypes() throws SQLException {
    assertEquals("true|BOOLEAN", echo("BOOLEAN", s -> s.setBoolean(1, true)));
    assertEquals("-128|TINYINT", echo("TINYINT", s -> s.setByte(1, Byte.MIN_VALUE)));
    assertEquals("32767|SMALLINT", echo("SMALLINT", s -> s.setShort(1, Short.MAX_VALUE)));
    assertEquals("-2147483648|INTEGER", echo("INTEGER", s -> s.setInt(1, Integer.MIN_VALUE)));
    assertEquals("9223372036854775807|BIGINT", echo("BIGINT", s -> s.setLong(1, Long.MAX_VALUE)));
    assertEquals("4294967295|UINTEGER", echo("UINTEGER", s -> s.setLong(1, 4294967295L)));
    assertEquals("1.5|FLOAT", echo("FLOAT", s -> s.setFloat(1, 1.5f)));
    assertEquals("0.1|DOUBLE", echo("DOUBLE", s -> s.setDouble(1, 0.1)));
    assertEquals("-1234567.89|DECIMAL(18,2)", echo("DECIMAL(18,2)", s -> s.setBigDecimal(1, new BigDecimal("-1234567.89"))));
    assertEquals("o'hära 🦆|VARCHAR", echo("VARCHAR", s -> s.setString(1, "o'hära 🦆")));
    assertEquals("|VARCHAR", echo("VARCHAR", s -> s.setString(1, "")));
    assertEquals("\\x00\\xFFa|BLOB", echo("BLOB", s -> s.setBytes(1, new byte[] {0, -1, 'a'})));
    assertEquals("2024-02-29|DATE", echo("DATE", s -> s.setDate(1, Date.valueOf("2024-02-29"))));
    assertEquals("23:59:58|TIME", echo("TIME", s -> s.setTime(1, Time.valueOf("23:59:58"))));
    assertEquals(
        "2024-02-29 23:59:58.123|TIMESTAMP",
        echo("TIMESTAMP", s -> s.setTimestamp(1, Timestamp.valueOf("2024-02-29 23:59:58.123"))));
    assertEquals(
        "2024-02-29 12:00:00.5+00|TIMESTAMP WITH TIME ZONE",
        echo("TIMESTAMPTZ", s -> s.setTimestamp(1, Timestamp.from(java.time.Instant.parse("2024-02-29T12:00:00.5Z")))));
    assertEquals(
        "12151fd2-7586-11e9-8f9e-2a86e4085a59|UUID",
        echo("UUID", s -> s.setString(1, "12151fd2-7586-11e9-8f9e-2a86e4085a59")));
  }

  @Test
  void nullIsNull() throws SQLException {
    for (String type : List.of("INTEGER", "VARCHAR", "DATE", "DECIMAL(9,2)", "BOOLEAN", "BLOB", "TIMESTAMP", "DOUBLE")) {
      assertTrue(echo(type, s -> s.setNull(1, Types.NULL)).startsWith("null|"), type);
      assertTrue(echo(type, s -> s.setObject(1, null)).startsWith("null|"), type);
    }
    assertTrue(echo("VARCHAR", s -> s.setString(1, "null")).startsWith("null|VARCHAR"));
    try (PreparedStatement statement = connection.prepareStatement("SELECT ? IS NULL, ?::VARCHAR IS NULL")) {
      statement.setNull(1, Types.NULL);
      statement.setString(2, "null");
      assertEquals(List.of("true|false"), rows(statement.executeQuery()));
    }
  }

  /** A parameter that nothing gives a type is a text, which DuckDB converts where a column asks for more. */
  @Test
  void parametersWithoutAType() throws SQLException {
    try (PreparedStatement statement = connection.prepareStatement("SELECT ?")) {
      statement.setString(1, "seven");
      assertEquals(List.of("seven"), rows(statement.executeQuery()));
    }
    try (PreparedStatement statement =
        connection.prepareStatement("SELECT count(*) FROM shop.orders WHERE customer_id = ? AND ordered_on >= ?")) {
      statement.setInt(1, 7);
      statement.setDate(2, Date.valueOf("2000-01-01"));
      assertEquals(
          rows(connection, "SELECT count(*) FROM shop.orders WHERE customer_id = 7"), rows(statement.executeQuery()));
    }
  }

  @Test
  void metadataBeforeTheRun() throws SQLException {
    try (PreparedStatement statement =
        connection.prepareStatement("SELECT id, name AS who, ?::DECIMAL(9,2) AS price FROM shop.customers WHERE id = ?")) {
      ResultSetMetaData metadata = statement.getMetaData();
      assertEquals(List.of("id", "who", "price"), Server.labels(metadata));
      assertEquals(Types.BIGINT, metadata.getColumnType(1));
      assertEquals(Types.VARCHAR, metadata.getColumnType(2));
      assertEquals(Types.DECIMAL, metadata.getColumnType(3));
      assertEquals(9, metadata.getPrecision(3));
      assertEquals(2, metadata.getScale(3));
      assertEquals(2, statement.getParameterMetaData().getParameterCount());
      assertEquals(Types.DECIMAL, statement.getParameterMetaData().getParameterType(1));
      assertEquals(Types.BIGINT, statement.getParameterMetaData().getParameterType(2));
    }
    try (PreparedStatement statement = connection.prepareStatement("CREATE OR REPLACE TEMP TABLE nothing (a INT)")) {
      ResultSetMetaData metadata = statement.getMetaData();
      assertTrue(metadata == null || metadata.getColumnCount() == 0);
      assertEquals(0, statement.executeUpdate());
    }
  }

  @Test
  void aStatementRunsAgainWithOtherValues() throws SQLException {
    try (PreparedStatement statement = connection.prepareStatement("SELECT ?::INT * 2")) {
      for (int i = 0; i < 50; ++i) {
        statement.setInt(1, i);
        try (ResultSet result = statement.executeQuery()) {
          assertTrue(result.next());
          assertEquals(i * 2, result.getInt(1));
        }
      }
    }
  }

  @Test
  void changesAreCounted() throws SQLException {
    run(connection, "CREATE OR REPLACE TEMP TABLE counted (a INT, b VARCHAR)", "INSERT INTO counted SELECT range, 'x' FROM range(10)");
    try (PreparedStatement statement = connection.prepareStatement("UPDATE counted SET b = ? WHERE a < ?")) {
      statement.setString(1, "y");
      statement.setInt(2, 4);
      assertEquals(4, statement.executeUpdate());
      statement.setInt(2, 0);
      assertEquals(0, statement.executeUpdate());
    }
    try (PreparedStatement statement = connection.prepareStatement("DELETE FROM counted WHERE b = ?")) {
      statement.setString(1, "y");
      assertEquals(4, statement.executeLargeUpdate());
    }
  }

  @Test
  void batches() throws SQLException {
    run(connection, "CREATE OR REPLACE TEMP TABLE many (i BIGINT PRIMARY KEY, t VARCHAR)");
    try (PreparedStatement statement = connection.prepareStatement("INSERT INTO many VALUES (?, ?)")) {
      for (int i = 0; i < 1000; ++i) {
        statement.setLong(1, i);
        if (i % 2 == 0) statement.setString(2, "row " + i);
        else statement.setNull(2, Types.NULL);
        statement.addBatch();
      }
      int[] counts = statement.executeBatch();
      assertEquals(1000, Arrays.stream(counts).sum(), Arrays.toString(counts));
    }
    assertEquals(List.of("1000|500|row 998"), rows(connection, "SELECT count(*), count(t), max(t) FROM many"));
    // All of them or none.
    try (PreparedStatement statement = connection.prepareStatement("INSERT INTO many VALUES (?, ?)")) {
      for (int i : new int[] {1000, 1001, 5}) {
        statement.setLong(1, i);
        statement.setString(2, "again");
        statement.addBatch();
      }
      assertThrows(SQLException.class, statement::executeBatch);
    }
    assertEquals(List.of("1000"), rows(connection, "SELECT count(*) FROM many"));
  }

  @Test
  void valuesThatDoNotFit() throws SQLException {
    assertThrows(SQLException.class, () -> echo("INTEGER", s -> s.setString(1, "no number")));
    assertThrows(SQLException.class, () -> connection.prepareStatement("SELECT * FROM no_such_table").close());
    assertEquals(List.of("42"), rows(connection, "SELECT 42"));
  }

  /** What columns of each type are to Java. */
  @Test
  void valuesOfAllTypes() throws SQLException {
    try (PreparedStatement statement =
            connection.prepareStatement(
                "SELECT true AS b, (-128)::TINYINT AS i8, 65535::USMALLINT AS u16, 18446744073709551615::UBIGINT AS u64,"
                    + " 170141183460469231731687303715884105727::HUGEINT AS huge, 1.5::FLOAT AS f, 'nan'::DOUBLE AS d,"
                    + " 12.34::DECIMAL(4,2) AS dec, 'x'::ENUM('x','y') AS e, uuid() AS u,"
                    + " '{\"a\": 1}'::JSON AS j, DATE '2024-02-29' AS day, TIME '23:59:58.123' AS t,"
                    + " TIMESTAMP '2024-02-29 23:59:58.123456' AS ts, TIMESTAMPTZ '2024-02-29 12:00:00+00' AS tz,"
                    + " 'ab'::BLOB AS raw, [1, NULL, 3] AS list, {'a': 1, 'b': 'x'} AS s, MAP {'k': 1} AS m,"
                    + " INTERVAL 3 DAY AS iv, NULL AS nothing, [1, 2]::INT[2] AS fixed");
        ResultSet result = statement.executeQuery()) {
      assertTrue(result.next());
      assertTrue(result.getBoolean("b"));
      assertEquals(-128, result.getByte("i8"));
      assertEquals(65535, result.getInt("u16"));
      assertEquals("18446744073709551615", result.getString("u64"));
      assertEquals(new BigDecimal("12.34"), result.getBigDecimal("dec"));
      assertEquals(1.5f, result.getFloat("f"));
      assertTrue(Double.isNaN(result.getDouble("d")));
      assertEquals("x", result.getString("e"));
      assertEquals(36, result.getString("u").length());
      assertEquals("{\"a\": 1}", result.getString("j"));
      assertEquals(java.time.LocalDate.of(2024, 2, 29), result.getDate("day").toLocalDate());
      assertEquals(java.time.LocalTime.of(23, 59, 58), result.getTime("t").toLocalTime().withNano(0));
      assertTrue(result.getString("ts").startsWith("2024-02-29 23:59:58.123"), result.getString("ts"));
      assertEquals(java.time.Instant.parse("2024-02-29T12:00:00Z"), result.getTimestamp("tz").toInstant());
      assertArrayEquals(new byte[] {'a', 'b'}, result.getBytes("raw"));
      assertEquals("[1, null, 3]", Arrays.toString((Object[]) result.getArray("list").getArray()));
      assertTrue(String.valueOf(result.getObject("s")).contains("\"b\":\"x\""), String.valueOf(result.getObject("s")));
      assertTrue(String.valueOf(result.getObject("m")).contains("k"));
      assertTrue(String.valueOf(result.getObject("iv")).length() > 0);
      assertNull(result.getObject("nothing"));
      assertTrue(result.wasNull());
      assertEquals("[1, 2]", Arrays.toString((Object[]) result.getArray("fixed").getArray()));
      assertEquals("170141183460469231731687303715884105727", result.getBigDecimal("huge").toPlainString());
    }
  }
}
