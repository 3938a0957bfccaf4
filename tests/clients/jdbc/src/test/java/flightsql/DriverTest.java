package flightsql;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.sql.Driver;
import java.sql.DriverManager;
import java.sql.SQLException;
import org.junit.jupiter.api.Test;

/** Needs no server: prepare.sh runs it so that everything a run needs has been fetched. */
class DriverTest {
  @Test
  void isFoundByItsUrl() throws SQLException {
    Driver driver = DriverManager.getDriver("jdbc:arrow-flight-sql://localhost:8081");
    assertEquals("org.apache.arrow.driver.jdbc.ArrowFlightJdbcDriver", driver.getClass().getName());
  }
}
