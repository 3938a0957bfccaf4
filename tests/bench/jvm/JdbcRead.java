import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.Statement;
import java.util.Properties;

/**
 * How long the Flight SQL JDBC driver takes to read a result, every value of it as its own type: what a BI tool does.
 *
 * <p>java -cp DRIVER.jar JdbcRead.java ROUNDS SQL (HOST:PORT HEADER VALUE)… — the ways take turns, a round unmeasured
 * first; prints a line of seconds for each way. The result's columns have to be BIGINT, DOUBLE, VARCHAR, DATE in turn.
 */
public class JdbcRead {
  public static void main(String[] words) throws Exception {
    int rounds = Integer.parseInt(words[0]);
    int ways = (words.length - 2) / 3;
    StringBuilder[] seconds = new StringBuilder[ways];
    for (int round = 0; round <= rounds; ++round) {
      for (int way = 0; way < ways; ++way) {
        double took = read(words[2 + 3 * way], words[3 + 3 * way], words[4 + 3 * way], words[1]);
        if (round == 0) seconds[way] = new StringBuilder();
        else seconds[way].append(took).append(' ');
      }
    }
    for (StringBuilder each : seconds) System.out.println(each.toString().trim());
  }

  private static double read(String address, String header, String value, String sql) throws Exception {
    Properties properties = new Properties();
    properties.setProperty("useEncryption", "false");
    properties.setProperty(header, value);
    try (Connection connection = DriverManager.getConnection("jdbc:arrow-flight-sql://" + address, properties);
        Statement statement = connection.createStatement()) {
      long start = System.nanoTime();
      long rows = 0;
      double sum = 0;
      try (ResultSet result = statement.executeQuery(sql)) {
        while (result.next()) {
          sum += result.getLong(1) + result.getDouble(2) + result.getString(3).length() + result.getDate(4).getTime();
          ++rows;
        }
      }
      if (rows == 0 || sum == 0) throw new IllegalStateException("no rows");
      return (System.nanoTime() - start) / 1e9;
    }
  }
}
