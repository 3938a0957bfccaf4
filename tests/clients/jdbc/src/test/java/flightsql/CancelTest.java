package flightsql;

import static flightsql.Server.rows;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeout;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.SQLException;
import java.sql.SQLTimeoutException;
import java.sql.Statement;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;

/** Statements that are stopped before they have a row. */
class CancelTest {
  private static final String LONG =
      "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE (a.range * b.range) % 7 = 3";

  private final ScheduledExecutorService later = Executors.newSingleThreadScheduledExecutor();
  private Connection connection;

  interface Act {
    void run() throws SQLException;
  }

  @BeforeEach
  void connect() throws SQLException {
    connection = Server.connect();
  }

  @AfterEach
  void close() throws SQLException {
    later.shutdownNow();
    connection.close();
  }

  /** `act` runs after a second; the statement must end within five more, and its connection be free. */
  private void assertEndedBy(Act act, Executable statement) throws Exception {
    ScheduledFuture<?> acted = later.schedule(() -> {
      act.run();
      return null;
    }, 1, TimeUnit.SECONDS);
    assertTimeout(Duration.ofSeconds(6), () -> assertThrows(SQLException.class, statement));
    acted.get(5, TimeUnit.SECONDS);
  }

  @Test
  void aTimeoutEndsAnAggregate() throws SQLException {
    try (Statement statement = connection.createStatement()) {
      statement.setQueryTimeout(2);
      SQLException error = assertTimeout(Duration.ofSeconds(8),
          () -> assertThrows(SQLException.class, () -> rows(statement.executeQuery(LONG))));
      assertTrue(error instanceof SQLTimeoutException || error.toString().contains("imeout"), error.toString());
    }
    assertEquals(List.of("42"), rows(connection, "SELECT 42"));
  }

  @Test
  void cancelEndsAnAggregate() throws Exception {
    try (Statement statement = connection.createStatement()) {
      assertEndedBy(statement::cancel, () -> rows(statement.executeQuery(LONG)));
    }
    assertEquals(List.of("42"), rows(connection, "SELECT 42"));
  }

  @Test
  void cancelEndsAPreparedAggregate() throws Exception {
    try (PreparedStatement statement = connection.prepareStatement(LONG)) {
      assertEndedBy(statement::cancel, () -> rows(statement.executeQuery()));
    }
    assertEquals(List.of("42"), rows(connection, "SELECT 42"));
  }
}
