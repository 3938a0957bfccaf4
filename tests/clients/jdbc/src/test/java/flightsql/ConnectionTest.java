package flightsql;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.net.URLEncoder;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.List;
import java.util.Properties;
import org.junit.jupiter.api.Test;

/** Who is let in, and what belongs to a connection. */
class ConnectionTest {
  @Test
  void quickStart() throws SQLException {
    // docs: begin
    Properties properties = new Properties();
    properties.setProperty("useEncryption", "false"); // behind a TLS terminator: true
    properties.setProperty("token", Server.TOKEN); // the JWT
    String url = "jdbc:arrow-flight-sql://" + Server.HOST + ":" + Server.PORT;
    try (Connection connection = DriverManager.getConnection(url, properties);
        PreparedStatement statement =
            connection.prepareStatement("SELECT id, status FROM shop.orders WHERE customer_id = ? ORDER BY id LIMIT 3")) {
      statement.setInt(1, 7);
      try (ResultSet rows = statement.executeQuery()) {
        while (rows.next()) System.out.println(rows.getInt("id") + " " + rows.getString("status"));
      }
    }
    // docs: end
  }

  @Test
  void tokenInTheUrl() throws SQLException {
    String token = URLEncoder.encode(Server.TOKEN, StandardCharsets.UTF_8);
    try (Connection connection = DriverManager.getConnection(Server.URL + "&token=" + token)) {
      assertEquals(List.of("42"), Server.rows(connection, "SELECT 42"));
      assertTrue(connection.isValid(5));
    }
  }

  /** What tools that only know a name and a password can do. */
  @Test
  void tokenAsPassword() throws SQLException {
    try (Connection connection = DriverManager.getConnection(Server.URL, "anybody", Server.TOKEN)) {
      assertEquals(List.of("42"), Server.rows(connection, "SELECT 42"));
    }
  }

  @Test
  void wrongTokensAreRefused() {
    Properties properties = new Properties();
    properties.setProperty("token", "nonsense");
    assertRefused(assertThrows(SQLException.class, () -> useOnce(DriverManager.getConnection(Server.URL, properties))));
    assertRefused(
        assertThrows(SQLException.class, () -> useOnce(DriverManager.getConnection(Server.URL, "anybody", "nonsense"))));
    assertRefused(assertThrows(SQLException.class, () -> useOnce(DriverManager.getConnection(Server.URL))));
  }

  private static void useOnce(Connection opened) throws SQLException {
    try (Connection connection = opened) {
      Server.rows(connection, "SELECT 1");
    }
  }

  private static void assertRefused(SQLException refusal) {
    StringBuilder said = new StringBuilder();
    for (Throwable cause = refusal; cause != null; cause = cause.getCause()) said.append(cause).append('\n');
    assertTrue(said.toString().matches("(?is).*(unauthenticated|token).*"), said.toString());
  }

  @Test
  void catalogOfTheUrl() throws SQLException {
    Connection connection = Server.connect("&catalog=shop");
    assertEquals(List.of("shop|40"), Server.rows(connection, "SELECT current_catalog(), count(*) FROM customers"));
    try {
      connection.close();
    } catch (SQLException twice) {
      // With a catalog this driver closes its session, and then once more on the connection that it has closed.
      assertTrue(String.valueOf(twice.getMessage()).contains("Channel shutdown"), twice.toString());
    }
    assertThrows(SQLException.class, () -> Server.connect("&catalog=not_there"));
  }

  /** Settings, temporary tables and transactions belong to a connection and end with it. */
  @Test
  void sessionsAreApart() throws SQLException {
    try (Connection one = Server.connect();
        Connection other = Server.connect()) {
      Server.run(one, "CREATE TEMP TABLE jdbc_scratch AS SELECT 5 AS a", "SET TimeZone = 'Asia/Tokyo'");
      assertEquals(List.of("5|Asia/Tokyo"), Server.rows(one, "SELECT a, current_setting('TimeZone') FROM jdbc_scratch"));
      assertEquals(List.of("UTC"), Server.rows(other, "SELECT current_setting('TimeZone')"));
      assertThrows(SQLException.class, () -> Server.rows(other, "SELECT a FROM jdbc_scratch"));
    }
    try (Connection later = Server.connect()) {
      assertThrows(SQLException.class, () -> Server.rows(later, "SELECT a FROM jdbc_scratch"));
    }
  }

  @Test
  void aClosedConnectionIsClosed() throws SQLException {
    Connection connection = Server.connect();
    connection.close();
    assertTrue(connection.isClosed());
    assertFalse(connection.isValid(1));
    assertThrows(SQLException.class, connection::createStatement);
  }
}
