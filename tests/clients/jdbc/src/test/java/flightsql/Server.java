package flightsql;

import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;

/** The proxy that the environment names, and shorthands of the tests. */
final class Server {
  static final String HOST = System.getenv("PONDPILOT_HOST");
  static final String PORT = System.getenv("PONDPILOT_PORT");
  static final String TOKEN = System.getenv("PONDPILOT_TOKEN");
  static final String URL = "jdbc:arrow-flight-sql://" + HOST + ":" + PORT + "/?useEncryption=false";

  private Server() {}

  static Connection connect() throws SQLException {
    return connect("");
  }

  /** With more of the URL, as in "&catalog=shop". */
  static Connection connect(String more) throws SQLException {
    Properties properties = new Properties();
    properties.setProperty("token", TOKEN);
    return DriverManager.getConnection(URL + more, properties);
  }

  static void run(Connection connection, String... texts) throws SQLException {
    try (Statement statement = connection.createStatement()) {
      for (String text : texts) statement.execute(text);
    }
  }

  /** Each row as its columns' texts, joined by "|". */
  static List<String> rows(ResultSet result) throws SQLException {
    List<String> rows = new ArrayList<>();
    try (result) {
      int columns = result.getMetaData().getColumnCount();
      while (result.next()) {
        List<String> row = new ArrayList<>();
        for (int i = 1; i <= columns; ++i) row.add(String.valueOf(result.getString(i)));
        rows.add(String.join("|", row));
      }
    }
    return rows;
  }

  static List<String> rows(Connection connection, String text) throws SQLException {
    try (Statement statement = connection.createStatement()) {
      return rows(statement.executeQuery(text));
    }
  }

  /** Some columns of each row, by name. */
  static List<String> columns(ResultSet result, String... names) throws SQLException {
    List<String> rows = new ArrayList<>();
    try (result) {
      while (result.next()) {
        List<String> row = new ArrayList<>();
        for (String name : names) row.add(String.valueOf(result.getObject(name)));
        rows.add(String.join("|", row));
      }
    }
    return rows;
  }

  static List<String> labels(ResultSetMetaData metadata) throws SQLException {
    List<String> labels = new ArrayList<>();
    for (int i = 1; i <= metadata.getColumnCount(); ++i) labels.add(metadata.getColumnLabel(i));
    return labels;
  }
}
