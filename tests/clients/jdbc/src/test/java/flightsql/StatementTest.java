package flightsql;

import static flightsql.Server.rows;
import static flightsql.Server.run;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class StatementTest {
  private Connection connection;

  @BeforeEach
  void connect() throws SQLException {
    connection = Server.connect();
  }

  @AfterEach
  void close() throws SQLException {
    connection.close();
  }

  @Test
  void queriesAndChangesAreToldApart() throws SQLException {
    try (Statement statement = connection.createStatement()) {
      assertFalse(statement.execute("CREATE OR REPLACE TABLE jdbc_counts (a INTEGER)"));
      assertEquals(0, statement.getUpdateCount());
      assertFalse(statement.execute("INSERT INTO jdbc_counts VALUES (1), (2), (3)"));
      assertEquals(3, statement.getUpdateCount());
      assertEquals(2, statement.executeUpdate("UPDATE jdbc_counts SET a = a + 10 WHERE a > 1"));
      assertEquals(1, statement.executeLargeUpdate("DELETE FROM jdbc_counts WHERE a = 1"));
      assertTrue(statement.execute("SELECT a FROM jdbc_counts ORDER BY a"));
      assertEquals(List.of("12", "13"), rows(statement.getResultSet()));
      assertFalse(statement.getMoreResults());
      assertEquals(0, statement.executeUpdate("DROP TABLE jdbc_counts"));
    }
  }

  @Test
  void rowsOfAChange() throws SQLException {
    run(connection, "CREATE OR REPLACE TEMP TABLE returned (a INTEGER, b INTEGER DEFAULT 7)");
    assertEquals(List.of("1|7", "2|7"), rows(connection, "INSERT INTO returned (a) VALUES (1), (2) RETURNING a, b"));
    assertEquals(List.of("2"), rows(connection, "SELECT count(*) FROM returned"));
  }

  /** As a change. The driver runs a text twice whose rows are asked for though the server has announced none. */
  @Test
  void severalStatementsInOneText() throws SQLException {
    try (Statement statement = connection.createStatement()) {
      assertFalse(statement.execute("CREATE TEMP TABLE several (a INT); INSERT INTO several VALUES (1), (2)"));
      assertEquals(2, statement.getUpdateCount());
    }
    assertEquals(List.of("3"), rows(connection, "SELECT sum(a) FROM several"));
  }

  @Test
  void otherStatementsWithRows() throws SQLException {
    assertTrue(rows(connection, "EXPLAIN SELECT 42").toString().contains("42"));
    assertTrue(rows(connection, "SHOW DATABASES").contains("shop"));
    assertFalse(rows(connection, "DESCRIBE shop.orders").isEmpty());
    assertFalse(rows(connection, "PRAGMA table_info('shop.orders')").isEmpty());
    assertFalse(rows(connection, "PIVOT shop.orders ON status USING count(*)").isEmpty());
    assertEquals(List.of("1|2", "3|4"), rows(connection, "VALUES (1, 2), (3, 4)"));
    assertEquals(List.of("5"), rows(connection, "-- with a comment\nFROM (SELECT 5 AS a);"));
  }

  @Test
  void anEmptyResultHasItsColumns() throws SQLException {
    String none = "SELECT 1::BIGINT AS a, 'x' AS b WHERE false";
    try (PreparedStatement statement = connection.prepareStatement(none);
        ResultSet result = statement.executeQuery()) {
      assertEquals(List.of("a", "b"), Server.labels(result.getMetaData()));
      assertFalse(result.next());
    }
    // Of an unprepared statement this driver names the columns once more behind them, until there is a row.
    try (Statement statement = connection.createStatement();
        ResultSet result = statement.executeQuery(none)) {
      assertEquals(List.of("a", "b"), Server.labels(result.getMetaData()).subList(0, 2));
      assertFalse(result.next());
    }
  }

  @Test
  void manyRowsInOrder() throws SQLException {
    try (Statement statement = connection.createStatement();
        ResultSet result = statement.executeQuery("SELECT range AS i, 'row ' || range AS t FROM range(500000)")) {
      long expected = 0;
      while (result.next()) {
        assertEquals(expected, result.getLong(1));
        if (expected % 100000 == 0) assertEquals("row " + expected, result.getString("t"));
        ++expected;
      }
      assertEquals(500000, expected);
    }
  }

  @Test
  void maxRows() throws SQLException {
    try (Statement statement = connection.createStatement()) {
      statement.setMaxRows(3);
      assertEquals(3, rows(statement.executeQuery("SELECT * FROM range(100000)")).size());
    }
  }

  /** Tools show the first rows and close: the statement ends there, and the connection goes on. */
  @Test
  void aResultThatIsClosedEarly() throws SQLException {
    for (int i = 0; i < 5; ++i) {
      try (Statement statement = connection.createStatement();
          ResultSet result = statement.executeQuery("SELECT * FROM range(100000000)")) {
        assertTrue(result.next());
      }
    }
    assertEquals(List.of("42"), rows(connection, "SELECT 42"));
  }

  @Test
  void severalOpenResults() throws SQLException {
    try (Statement one = connection.createStatement();
        Statement two = connection.createStatement();
        ResultSet first = one.executeQuery("SELECT * FROM range(3)");
        ResultSet second = two.executeQuery("SELECT * FROM range(3)")) {
      for (int i = 0; i < 3; ++i) {
        assertTrue(first.next() && second.next());
        assertEquals(first.getInt(1), second.getInt(1));
      }
    }
  }

  @Test
  void errorsSayWhatIsWrong() throws SQLException {
    assertSays("no_such_table", "SELECT * FROM no_such_table");
    assertSays("syntax error", "SELEC 1");
    assertSays("LINE 1", "SELECT no_such_column FROM shop.orders");
    assertSays("Could not convert string", "SELECT 'no number'::INTEGER");
    assertSays("Could not convert string", "SELECT t::INTEGER FROM (SELECT CASE WHEN range = 90000 THEN 'no number' ELSE '1' END AS t FROM range(100000))");
    run(connection, "CREATE OR REPLACE TEMP TABLE keyed (a INTEGER PRIMARY KEY)", "INSERT INTO keyed VALUES (1)");
    assertSays("(?i).*duplicate key.*", "INSERT INTO keyed VALUES (1)");
    assertSays("(?i).*(disabled|not allowed|may not).*", "SELECT * FROM read_csv('/etc/passwd')");
    assertEquals(List.of("42"), rows(connection, "SELECT 42"));
  }

  private void assertSays(String expected, String text) {
    SQLException error = assertThrows(SQLException.class, () -> {
      try (Statement statement = connection.createStatement()) {
        if (statement.execute(text)) rows(statement.getResultSet());
      }
    });
    StringBuilder said = new StringBuilder();
    for (Throwable cause = error; cause != null; cause = cause.getCause()) said.append(cause.getMessage()).append('\n');
    boolean matches = said.toString().contains(expected) || said.toString().matches("(?s)" + expected);
    assertTrue(matches, said.toString());
  }

  @Test
  void cancelWhileRowsAreRead() throws SQLException {
    try (Statement statement = connection.createStatement();
        ResultSet result = statement.executeQuery("SELECT * FROM range(10000000000)")) {
      assertTrue(result.next());
      statement.cancel();
      assertThrows(SQLException.class, () -> {
        while (result.next()) assertFalse(result.isClosed());
      });
    }
    assertEquals(List.of("42"), rows(connection, "SELECT 42"));
  }

  /** The driver's own commit() and rollback() do nothing; the statements do. */
  @Test
  void transactions() throws SQLException {
    run(connection, "CREATE OR REPLACE TABLE jdbc_ledger (a INTEGER)");
    try (Connection other = Server.connect()) {
      run(connection, "BEGIN", "INSERT INTO jdbc_ledger VALUES (1)");
      assertEquals(List.of("1"), rows(connection, "SELECT count(*) FROM jdbc_ledger"));
      assertEquals(List.of("0"), rows(other, "SELECT count(*) FROM jdbc_ledger"));
      run(connection, "ROLLBACK");
      assertEquals(List.of("0"), rows(connection, "SELECT count(*) FROM jdbc_ledger"));
      run(connection, "BEGIN", "INSERT INTO jdbc_ledger VALUES (2)", "COMMIT");
      assertEquals(List.of("2"), rows(other, "SELECT a FROM jdbc_ledger"));
      run(connection, "BEGIN", "INSERT INTO jdbc_ledger VALUES (3)");
    }
    connection.close();
    connection = Server.connect();
    assertEquals(List.of("2"), rows(connection, "SELECT a FROM jdbc_ledger"));
    run(connection, "DROP TABLE jdbc_ledger");
  }
}
