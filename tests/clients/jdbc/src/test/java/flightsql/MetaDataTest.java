package flightsql;

import static flightsql.Server.columns;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Types;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** What database tools ask before they show a tree of tables. */
class MetaDataTest {
  private static Connection connection;
  private static DatabaseMetaData metadata;

  @BeforeAll
  static void connect() throws SQLException {
    connection = Server.connect();
    Server.run(
        connection,
        "CREATE SCHEMA IF NOT EXISTS \"meta data\"",
        "CREATE OR REPLACE TABLE \"meta data\".parent (a INTEGER, b VARCHAR, PRIMARY KEY (a, b))",
        "CREATE OR REPLACE TABLE \"meta data\".child (id BIGINT NOT NULL, a INTEGER, b VARCHAR, price DECIMAL(9, 2),"
            + " day DATE, moment TIMESTAMP, far TIMESTAMPTZ, ok BOOLEAN, raw BLOB, tags VARCHAR[], u UUID,"
            + " FOREIGN KEY (a, b) REFERENCES \"meta data\".parent (a, b))",
        "CREATE OR REPLACE VIEW \"meta data\".seen AS SELECT id, price FROM \"meta data\".child");
    metadata = connection.getMetaData();
  }

  @AfterAll
  static void close() throws SQLException {
    Server.run(connection, "DROP SCHEMA \"meta data\" CASCADE");
    connection.close();
  }

  /** Every question without arguments has an answer, and none ends in a NullPointerException of the driver. */
  @Test
  void everyPropertyHasAnAnswer() throws Exception {
    List<String> failed = new ArrayList<>();
    for (Method method : DatabaseMetaData.class.getMethods()) {
      if (method.getParameterCount() != 0) continue;
      try {
        Object answer = method.invoke(metadata);
        if (answer instanceof ResultSet rows) rows.close();
      } catch (InvocationTargetException thrown) {
        failed.add(method.getName() + ": " + thrown.getCause());
      }
    }
    assertEquals(List.of(), failed);
  }

  @Test
  void propertiesTellTheTruth() throws SQLException {
    assertEquals("PondPilot Proxy", metadata.getDatabaseProductName());
    assertEquals("\"", metadata.getIdentifierQuoteString());
    assertEquals("\\", metadata.getSearchStringEscape());
    assertFalse(metadata.isReadOnly());
    assertTrue(metadata.supportsTransactions());
    assertFalse(metadata.supportsSavepoints());
    assertTrue(metadata.supportsBatchUpdates());
    assertTrue(metadata.supportsFullOuterJoins());
    assertTrue(metadata.supportsUnionAll());
    assertTrue(metadata.supportsSubqueriesInQuantifieds());
    assertFalse(metadata.supportsPositionedUpdate());
    assertFalse(metadata.supportsStoredProcedures());
    assertTrue(metadata.supportsResultSetType(ResultSet.TYPE_FORWARD_ONLY));
    assertFalse(metadata.supportsResultSetType(ResultSet.TYPE_SCROLL_INSENSITIVE));
    assertEquals(Connection.TRANSACTION_REPEATABLE_READ, metadata.getDefaultTransactionIsolation());
    assertTrue(metadata.supportsTransactionIsolationLevel(Connection.TRANSACTION_REPEATABLE_READ));
    assertFalse(metadata.supportsTransactionIsolationLevel(Connection.TRANSACTION_SERIALIZABLE));
    assertTrue(List.of(metadata.getSQLKeywords().split(",\\s*")).contains("QUALIFY"));
    assertFalse(metadata.supportsConvert());
  }

  @Test
  void catalogsAndSchemas() throws SQLException {
    List<String> catalogs = columns(metadata.getCatalogs(), "TABLE_CAT");
    assertTrue(catalogs.containsAll(List.of("memory", "shop")), catalogs.toString());
    assertFalse(catalogs.contains("system"), catalogs.toString());
    assertEquals(
        List.of("meta data|memory"),
        columns(metadata.getSchemas("memory", "meta%"), "TABLE_SCHEM", "TABLE_CATALOG"));
    assertTrue(columns(metadata.getSchemas(), "TABLE_SCHEM").contains("meta data"));
    assertEquals(List.of("TABLE", "VIEW"), columns(metadata.getTableTypes(), "TABLE_TYPE"));
  }

  @Test
  void tablesByPatternAndType() throws SQLException {
    assertEquals(
        List.of("child|TABLE", "parent|TABLE", "seen|VIEW"),
        sorted(columns(metadata.getTables("memory", "meta data", "%", null), "TABLE_NAME", "TABLE_TYPE")));
    assertEquals(
        List.of("seen"), columns(metadata.getTables("memory", "meta data", null, new String[] {"VIEW"}), "TABLE_NAME"));
    // An underscore stands for any character, unless it is escaped.
    assertEquals(List.of("seen"), columns(metadata.getTables(null, "meta_data", "see_", null), "TABLE_NAME"));
    assertEquals(List.of(), columns(metadata.getTables(null, "meta\\_data", "%", null), "TABLE_NAME"));
    assertEquals(
        List.of("customers", "order_items", "orders", "products"),
        sorted(columns(metadata.getTables("shop", null, "%", new String[] {"TABLE"}), "TABLE_NAME")));
  }

  @Test
  void columnsWithTheirTypes() throws SQLException {
    assertEquals(
        List.of(
            "id|-5|BIGINT|1|0", "a|4|INTEGER|2|1", "b|12|VARCHAR|3|1", "price|3|DECIMAL(9,2)|4|1", "day|91|DATE|5|1",
            "moment|93|TIMESTAMP|6|1", "far|2014|TIMESTAMP WITH TIME ZONE|7|1", "ok|16|BOOLEAN|8|1", "raw|-3|BLOB|9|1",
            "tags|2003|VARCHAR[]|10|1", "u|12|UUID|11|1"),
        columns(
            metadata.getColumns("memory", "meta data", "child", "%"),
            "COLUMN_NAME", "DATA_TYPE", "TYPE_NAME", "ORDINAL_POSITION", "NULLABLE"));
    assertEquals(
        List.of("9|2"),
        columns(metadata.getColumns("memory", "meta data", "child", "pri_e"), "COLUMN_SIZE", "DECIMAL_DIGITS"));
    assertEquals(
        List.of("id|NO", "b|YES"),
        columns(metadata.getColumns("memory", "meta data", "child", "%"), "COLUMN_NAME", "IS_NULLABLE").stream()
            .filter(row -> row.startsWith("id|") || row.startsWith("b|"))
            .toList());
    assertEquals(
        List.of("seen|id", "seen|price"),
        columns(metadata.getColumns(null, "meta data", "seen", null), "TABLE_NAME", "COLUMN_NAME"));
    assertEquals(
        List.of("id", "customer_id", "ordered_on", "status"),
        columns(metadata.getColumns("shop", null, "orders", null), "COLUMN_NAME"));
  }

  @Test
  void keys() throws SQLException {
    assertEquals(
        List.of("a|1", "b|2"),
        columns(metadata.getPrimaryKeys("memory", "meta data", "parent"), "COLUMN_NAME", "KEY_SEQ"));
    List<String> both = List.of("parent|a|child|a|1|3", "parent|b|child|b|2|3");
    String[] wanted = {"PKTABLE_NAME", "PKCOLUMN_NAME", "FKTABLE_NAME", "FKCOLUMN_NAME", "KEY_SEQ", "DELETE_RULE"};
    assertEquals(both, columns(metadata.getImportedKeys("memory", "meta data", "child"), wanted));
    assertEquals(both, columns(metadata.getExportedKeys("memory", "meta data", "parent"), wanted));
    assertEquals(
        both,
        columns(
            metadata.getCrossReference("memory", "meta data", "parent", "memory", "meta data", "child"), wanted));
    assertEquals(List.of(), columns(metadata.getImportedKeys("memory", "meta data", "parent"), wanted));
  }

  /** Whatever kind of thing DuckDB has not is an empty list, with the columns that JDBC names. */
  @Test
  void listsOfWhatThereIsNot() throws SQLException {
    List<ResultSet> lists =
        List.of(
            metadata.getProcedures(null, null, "%"),
            metadata.getProcedureColumns(null, null, "%", "%"),
            metadata.getFunctions(null, null, "%"),
            metadata.getColumnPrivileges(null, null, "child", "%"),
            metadata.getTablePrivileges(null, null, "%"),
            metadata.getBestRowIdentifier(null, null, "child", 0, true),
            metadata.getVersionColumns(null, null, "child"),
            metadata.getIndexInfo("memory", "meta data", "parent", false, true),
            metadata.getUDTs(null, null, "%", null),
            metadata.getSuperTypes(null, null, "%"),
            metadata.getSuperTables(null, null, "%"),
            metadata.getAttributes(null, null, "%", "%"),
            metadata.getPseudoColumns(null, null, "child", "%"),
            metadata.getClientInfoProperties());
    for (ResultSet list : lists) {
      try (list) {
        assertFalse(list.next());
      }
    }
  }

  private static List<String> sorted(List<String> rows) {
    return rows.stream().sorted().toList();
  }
}
