import java.math.BigDecimal;
import java.sql.Connection;
import java.sql.Date;
import java.sql.DatabaseMetaData;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Statement;
import java.sql.Types;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Properties;

/**
 * Checks a tarn server with the Arrow Flight SQL JDBC driver.
 *
 * <pre>
 * java --add-opens=java.base/java.nio=ALL-UNNAMED -cp flight-sql-jdbc-driver-18.3.0.jar \
 *     FlightSqlSmoke.java HOST PORT [USER PASSWORD]
 * </pre>
 *
 * Without USER the server has to trust the address. Prints a line for each check and ends with 1 if
 * one fails.
 */
public final class FlightSqlSmoke {
    private interface Check {
        void run(Connection connection) throws Exception;
    }

    private static String url;
    private static final Properties PROPERTIES = new Properties();
    private static int number = 0;
    private static boolean failed = false;

    private FlightSqlSmoke() {}

    private static Connection connect() throws SQLException {
        return DriverManager.getConnection(url, PROPERTIES);
    }

    private static void check(String name, Check check) {
        number++;
        try {
            try (Connection connection = connect()) {
                check.run(connection);
            }
            System.out.println("ok " + number + " - " + name);
        } catch (Throwable error) {
            failed = true;
            System.out.println("not ok " + number + " - " + name);
            for (String line : String.valueOf(error).split("\n")) {
                System.out.println("#   " + line);
            }
            for (StackTraceElement frame : error.getStackTrace()) {
                if (frame.getClassName().startsWith("FlightSqlSmoke")) {
                    System.out.println("#   at line " + frame.getLineNumber());
                }
            }
        }
    }

    private static void equal(Object got, Object expected) {
        if (!Objects.equals(got, expected)) {
            throw new AssertionError("got " + got + ", expected " + expected);
        }
    }

    private static void fails(String text, Check check, Connection connection) throws Exception {
        try {
            check.run(connection);
        } catch (SQLException error) {
            for (Throwable cause = error; cause != null; cause = cause.getCause()) {
                if (String.valueOf(cause.getMessage()).contains(text)) {
                    return;
                }
            }
            throw new AssertionError(text + " is not in " + error, error);
        }
        throw new AssertionError("it did not fail");
    }

    private static List<List<Object>> rows(ResultSet result) throws SQLException {
        List<List<Object>> rows = new ArrayList<>();
        int columns = result.getMetaData().getColumnCount();
        while (result.next()) {
            List<Object> row = new ArrayList<>();
            for (int column = 1; column <= columns; column++) {
                row.add(result.getObject(column));
            }
            rows.add(row);
        }
        return rows;
    }

    private static List<List<Object>> query(Connection connection, String sql) throws SQLException {
        try (Statement statement = connection.createStatement();
                ResultSet result = statement.executeQuery(sql)) {
            return rows(result);
        }
    }

    /** Reads a column and closes the result: the driver reports what stays open as a leak. */
    private static List<String> column(ResultSet result, String name) throws SQLException {
        List<String> values = new ArrayList<>();
        try (result) {
            while (result.next()) {
                values.add(result.getString(name));
            }
        }
        return values;
    }

    public static void main(String[] arguments) {
        if (arguments.length != 2 && arguments.length != 4) {
            System.err.println("usage: FlightSqlSmoke HOST PORT [USER PASSWORD]");
            System.exit(2);
        }
        url = "jdbc:arrow-flight-sql://" + arguments[0] + ":" + arguments[1] + "/";
        PROPERTIES.put("useEncryption", "false");
        if (arguments.length == 4) {
            PROPERTIES.put("user", arguments[2]);
            PROPERTIES.put("password", arguments[3]);
        }
        System.out.println("# client: Flight SQL JDBC " + version());
        queries();
        preparedStatements();
        metadata();
        errors();
        System.out.println("1.." + number);
        System.exit(failed ? 1 : 0);
    }

    /** The version in the jar's name, which the driver itself does not tell before it connects. */
    private static String version() {
        String path = System.getProperty("java.class.path");
        return path.replaceAll(".*flight-sql-jdbc-driver-([0-9.]+)\\.jar.*", "$1");
    }

    private static void queries() {
        check("connect: connects", connection -> equal(query(connection, "select 1::integer"), List.of(List.of(1))));
        check("types: reads types", connection -> {
            String sql = "select true, 7::smallint, 8::integer, 9::bigint, 0.5::double precision,"
                    + " 12.34::numeric(10,2), 'text', '2024-02-29'::date, null::integer";
            try (Statement statement = connection.createStatement();
                    ResultSet result = statement.executeQuery(sql)) {
                result.next();
                equal(result.getBoolean(1), true);
                equal(result.getShort(2), (short) 7);
                equal(result.getInt(3), 8);
                equal(result.getLong(4), 9L);
                equal(result.getDouble(5), 0.5);
                equal(result.getBigDecimal(6), new BigDecimal("12.34"));
                equal(result.getString(7), "text");
                equal(result.getDate(8).toLocalDate(), java.time.LocalDate.of(2024, 2, 29));
                equal(result.getObject(9), null);
                equal(result.wasNull(), true);
                ResultSetMetaData metadata = result.getMetaData();
                equal(metadata.getColumnType(6), Types.DECIMAL);
                equal(metadata.getPrecision(6), 10);
                equal(metadata.getScale(6), 2);
            }
        });
        check("cursors: reads many rows", connection -> {
            try (Statement statement = connection.createStatement();
                    ResultSet result = statement.executeQuery(
                            "select * from generate_series(1, 200000) as t(i)")) {
                long sum = 0;
                while (result.next()) {
                    sum += result.getLong(1);
                }
                equal(sum, 200000L * 200001 / 2);
            }
        });
        check("simple: runs statements one after the other", connection -> {
            for (int i = 0; i < 50; i++) {
                equal(query(connection, "select " + i + "::integer"), List.of(List.of(i)));
            }
        });
        check("connect: keeps settings", connection -> {
            try (Statement statement = connection.createStatement()) {
                statement.executeUpdate("set application_name to 'smoke'");
                equal(query(connection, "show application_name"), List.of(List.of("smoke")));
            }
        });
    }

    private static void preparedStatements() {
        check("prepared: binds parameters", connection -> {
            String sql = "select i::integer from generate_series(1, 9) as t(i)"
                    + " where i > ?::integer and i <= ?::integer order by i";
            try (PreparedStatement statement = connection.prepareStatement(sql)) {
                equal(statement.getParameterMetaData().getParameterCount(), 2);
                for (int from = 1; from < 4; from++) {
                    statement.setInt(1, from);
                    statement.setInt(2, from + 2);
                    try (ResultSet result = statement.executeQuery()) {
                        equal(rows(result), List.of(List.of(from + 1), List.of(from + 2)));
                    }
                }
            }
        });
        check("prepared: binds text and dates", connection -> {
            String sql = "select ?::text || '?', ?::date + 1 = date '2024-03-01'";
            try (PreparedStatement statement = connection.prepareStatement(sql)) {
                statement.setString(1, "a'b");
                statement.setDate(2, Date.valueOf("2024-02-29"));
                try (ResultSet result = statement.executeQuery()) {
                    equal(rows(result), List.of(List.of("a'b?", true)));
                }
            }
        });
    }

    private static void metadata() {
        check("metadata: lists schemas and tables", connection -> {
            DatabaseMetaData metadata = connection.getMetaData();
            equal(column(metadata.getCatalogs(), "TABLE_CAT"), List.of("tarn"));
            List<String> schemas = column(metadata.getSchemas(), "TABLE_SCHEM");
            equal(schemas.containsAll(List.of("public", "pg_catalog")), true);
            equal(column(metadata.getTableTypes(), "TABLE_TYPE"),
                    List.of("SYSTEM TABLE", "TABLE", "VIEW"));
            List<String> tables =
                    column(metadata.getTables(null, "pg_catalog", "pg_cl%", null), "TABLE_NAME");
            equal(tables.contains("pg_class"), true);
            equal(tables.stream().allMatch(name -> name.startsWith("pg_cl")), true);
            List<String> views = column(
                    metadata.getTables(null, "pg_catalog", "%", new String[] {"VIEW"}), "TABLE_NAME");
            equal(views.contains("pg_class"), false);
        });
        check("metadata: lists columns", connection -> {
            DatabaseMetaData metadata = connection.getMetaData();
            ResultSet result = metadata.getColumns(null, "pg_catalog", "pg_class", "rel%");
            equal(column(result, "COLUMN_NAME").get(0), "relname");
        });
        check("metadata: answers about keys", connection -> {
            DatabaseMetaData metadata = connection.getMetaData();
            String schema = "pg_catalog";
            List<String> none = List.of();
            equal(column(metadata.getPrimaryKeys(null, schema, "pg_class"), "PK_NAME"), none);
            equal(column(metadata.getImportedKeys(null, schema, "pg_class"), "FK_NAME"), none);
            equal(column(metadata.getExportedKeys(null, schema, "pg_class"), "FK_NAME"), none);
        });
        check("metadata: describes the server", connection -> {
            DatabaseMetaData metadata = connection.getMetaData();
            equal(metadata.getDatabaseProductName(), "tarn");
            equal(metadata.getIdentifierQuoteString(), "\"");
            equal(metadata.isReadOnly(), false);
            equal(metadata.supportsFullOuterJoins(), true);
            equal(metadata.getNumericFunctions().contains("sqrt"), true);
            equal(metadata.getSearchStringEscape(), "\\");
        });
    }

    private static void errors() {
        check("simple: reports errors and goes on", connection -> {
            fails("42P01", c -> query(c, "select * from no_such_table"), connection);
            fails("42601", c -> query(c, "selec 1"), connection);
            fails("22012", c -> query(c, "select 1 / (1 - 1)"), connection);
            equal(query(connection, "select 'alive'"), List.of(List.of("alive")));
        });
    }
}
