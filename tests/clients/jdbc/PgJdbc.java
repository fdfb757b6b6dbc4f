import java.io.StringReader;
import java.io.StringWriter;
import java.math.BigDecimal;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Array;
import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.Date;
import java.sql.DriverManager;
import java.sql.ParameterMetaData;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Savepoint;
import java.sql.Statement;
import java.sql.Timestamp;
import java.sql.Types;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Properties;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import org.postgresql.PGConnection;
import org.postgresql.PGStatement;

/**
 * pgjdbc: metadata, fetch size, batches, cancel, the switch to server-prepared statements, COPY.
 *
 * <pre>
 * java -cp postgresql-42.7.8.jar PgJdbc.java host port user password database STATEMENTS
 * </pre>
 *
 * The rules of its output are in ../python/tap.py.
 */
public final class PgJdbc {
    private interface Check {
        void run(Connection connection) throws Exception;
    }

    private record Case(String name, String options, Check check) {}

    private static final List<Case> CASES = new ArrayList<>();
    private static final String SLOW =
            "select sum(sqrt(a.l_orderkey * b.l_partkey::float8)) from lineitem a, lineitem b";
    private static String base;
    private static String database;
    private static final Properties PROPERTIES = new Properties();

    private PgJdbc() {}

    private static void check(String name, Check check) {
        CASES.add(new Case(name, "", check));
    }

    private static void check(String name, String options, Check check) {
        CASES.add(new Case(name, options, check));
    }

    private static void show(Object... values) {
        for (Object value : values) {
            for (String line : String.valueOf(value).split("\n", -1)) {
                System.out.println("# = " + line.stripTrailing());
            }
        }
    }

    private static String text(Object value) throws SQLException {
        if (value instanceof byte[] bytes) {
            return Arrays.toString(bytes);
        }
        if (value instanceof Array array) {
            return array.getBaseTypeName() + Arrays.deepToString((Object[]) array.getArray());
        }
        return value == null ? "null" : value.getClass().getSimpleName() + " " + value;
    }

    private static void columns(ResultSetMetaData metadata) throws SQLException {
        StringBuilder line = new StringBuilder("columns");
        for (int i = 1; i <= metadata.getColumnCount(); i++) {
            line.append(' ').append(metadata.getColumnLabel(i)).append(':').append(metadata.getColumnTypeName(i))
                    .append(':').append(metadata.getColumnType(i)).append(':').append(metadata.getPrecision(i))
                    .append(':').append(metadata.getScale(i)).append(':').append(metadata.getColumnDisplaySize(i));
        }
        show(line);
    }

    private static void rows(ResultSet result) throws SQLException {
        columns(result.getMetaData());
        int columns = result.getMetaData().getColumnCount();
        while (result.next()) {
            StringBuilder line = new StringBuilder("row");
            for (int i = 1; i <= columns; i++) {
                // tarn's remark on a table says where it lies, PostgreSQL has none.
                boolean remark = result.getMetaData().getColumnLabel(i).equals("REMARKS");
                line.append(i == 1 ? " " : ", ").append(remark ? "-" : text(result.getObject(i)));
            }
            show(line);
        }
    }

    private static void query(Connection connection, String sql) throws SQLException {
        try (Statement statement = connection.createStatement(); ResultSet result = statement.executeQuery(sql)) {
            rows(result);
        }
    }

    private static void run(Connection connection, String... statements) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            for (String sql : statements) {
                statement.execute(sql);
            }
        }
    }

    private static String state(Check check, Connection connection) throws Exception {
        try {
            check.run(connection);
        } catch (SQLException error) {
            return error.getSQLState();
        }
        return "it did not fail";
    }

    public static void main(String[] arguments) throws Exception {
        if (arguments.length != 6) {
            System.err.println("usage: PgJdbc host port user password database STATEMENTS");
            System.exit(2);
        }
        database = arguments[4];
        base = "jdbc:postgresql://" + arguments[0] + ":" + arguments[1] + "/" + database + "?sslmode=disable";
        PROPERTIES.put("user", arguments[2]);
        PROPERTIES.put("password", arguments[3]);
        connections();
        statements();
        prepared();
        cursors();
        copies();
        transactions();
        cancels();
        metadata();
        batches();
        for (String line : Files.readAllLines(Path.of(arguments[5]))) {
            statementLine(line.stripTrailing());
        }
        System.out.println("# client: " + client());
        System.out.println("1.." + CASES.size());
        int failed = 0;
        for (int i = 0; i < CASES.size(); i++) {
            failed += runCase(i + 1, CASES.get(i)) ? 0 : 1;
        }
        System.exit(failed == 0 ? 0 : 1);
    }

    private static boolean runCase(int number, Case one) {
        try (Connection connection = DriverManager.getConnection(base + one.options, PROPERTIES)) {
            one.check.run(connection);
            System.out.println("ok " + number + " - " + one.name);
            return true;
        } catch (Throwable error) {
            System.out.println("not ok " + number + " - " + one.name);
            for (String line : String.valueOf(error).split("\n")) {
                System.out.println("# | " + line);
            }
            for (StackTraceElement frame : error.getStackTrace()) {
                if (frame.getClassName().startsWith("PgJdbc")) {
                    System.out.println("# | at line " + frame.getLineNumber());
                }
            }
            return false;
        }
    }

    /** Debian 12 ships a driver that older tools bring along; it has a row of its own. */
    private static String client() {
        String version = org.postgresql.util.DriverInfo.DRIVER_VERSION;
        return (version.startsWith("42.5") ? "pgjdbc of Debian " : "pgjdbc ") + version;
    }

    private static String capability = "";

    /** Each statement three ways: simple, extended with text, and server-prepared with binary results. */
    private static void statementLine(String line) {
        if (line.startsWith("[")) {
            capability = line.substring(1, line.length() - 1);
        } else if (!line.isEmpty() && !line.startsWith("#")) {
            check(capability + ": " + line, connection -> {
                query(connection, line);
                try (PreparedStatement statement = connection.prepareStatement(line.replace("?", "??"))) {
                    statement.unwrap(PGStatement.class).setPrepareThreshold(-1);
                    try (ResultSet result = statement.executeQuery()) {
                        rows(result);
                    }
                }
            });
        }
    }

    private static void connections() {
        check("connect: connects with options in the URL",
                "&ApplicationName=jdbc&options=-c%20statement_timeout=30000&currentSchema=public,pg_catalog", connection -> {
            query(connection, "show application_name");
            query(connection, "show statement_timeout");
            query(connection, "show search_path");
            show(connection.isValid(5), connection.getSchema(), connection.getCatalog());
            connection.setSchema("pg_catalog");
            show(connection.getSchema());
        });
        check("connect: simple protocol only", "&preferQueryMode=simple", connection -> {
            query(connection, "select 1 as a, 'x' as b");
            try (PreparedStatement statement = connection.prepareStatement("select ?::int4 + 1, ?")) {
                statement.setInt(1, 5);
                statement.setString(2, "it's");
                rows(statement.executeQuery());
            }
        });
        check("connect: settings and client info", connection -> {
            connection.setClientInfo("ApplicationName", "renamed");
            query(connection, "show application_name");
            show(connection.getClientInfo("ApplicationName"), connection.getTransactionIsolation());
            show(connection.unwrap(PGConnection.class).getParameterStatus("client_encoding"));
        });
    }

    private static void statements() {
        check("simple: update counts and several results", connection -> {
            try (Statement statement = connection.createStatement()) {
                show(statement.executeUpdate("create table jdbc_counts (a int, b text)"));
                show(statement.executeUpdate("insert into jdbc_counts values (1, 'x'), (2, 'y')"));
                show(statement.executeUpdate("update jdbc_counts set b = 'z' where a = 2"));
                boolean isResult = statement.execute("select 1 as a; select 2 as b; delete from jdbc_counts");
                for (int i = 0; i < 4; i++) {
                    show(isResult + " " + statement.getUpdateCount());
                    if (isResult) {
                        rows(statement.getResultSet());
                    }
                    isResult = statement.getMoreResults();
                }
                statement.execute("drop table jdbc_counts");
            }
        });
        check("simple: errors", connection -> {
            for (String sql : List.of("select * from missing", "selec 1", "select missing from nation", "select 1/0")) {
                show(sql, state(c -> query(c, sql), connection));
            }
            query(connection, "select 'alive' as a");
        });
        check("simple: max rows and large results", connection -> {
            try (Statement statement = connection.createStatement()) {
                statement.setMaxRows(7);
                int n = 0;
                try (ResultSet result = statement.executeQuery("select * from nation")) {
                    while (result.next()) {
                        n++;
                    }
                }
                show(n);
            }
        });
    }

    private static void prepared() {
        check("prepared: the switch to server-prepared statements after five runs", connection -> {
            String sql = "select n_nationkey, n_name, ?::numeric(10,2) as c from nation where n_nationkey = ?";
            try (PreparedStatement statement = connection.prepareStatement(sql)) {
                for (int i = 0; i < 9; i++) {
                    statement.setBigDecimal(1, new BigDecimal("1.5").add(BigDecimal.valueOf(i)));
                    statement.setLong(2, i);
                    try (ResultSet result = statement.executeQuery()) {
                        rows(result);
                    }
                    show(statement.unwrap(PGStatement.class).isUseServerPrepare());
                }
            }
        });
        check("prepared: parameters of every type", connection -> {
            String sql = "select ?::int2 a, ?::int4 b, ?::int8 c, ?::float4 d, ?::float8 e, ?::numeric f, ?::text g,"
                    + " ?::bool h, ?::date i, ?::timestamp j, ?::timestamptz k, ?::bytea l, ?::uuid m, ?::text n, ?::time o";
            for (int threshold : new int[] {0, -1}) {
                try (PreparedStatement statement = connection.prepareStatement(sql)) {
                    statement.unwrap(PGStatement.class).setPrepareThreshold(threshold);
                    statement.setShort(1, (short) -7);
                    statement.setInt(2, 70000);
                    statement.setLong(3, 1L << 40);
                    statement.setFloat(4, 0.5f);
                    statement.setDouble(5, -1e300);
                    statement.setBigDecimal(6, new BigDecimal("-12345678901234567890.123456789"));
                    statement.setString(7, "ä€ '");
                    statement.setBoolean(8, true);
                    statement.setObject(9, LocalDate.of(2024, 2, 29));
                    statement.setObject(10, LocalDateTime.of(2024, 2, 29, 1, 2, 3, 456789000));
                    statement.setObject(11, OffsetDateTime.of(2024, 2, 29, 1, 2, 3, 0, ZoneOffset.ofHours(2)));
                    statement.setBytes(12, new byte[] {0, -1});
                    statement.setObject(13, new UUID(0, 7));
                    statement.setNull(14, Types.VARCHAR);
                    statement.setObject(15, java.time.LocalTime.of(1, 2, 3));
                    try (ResultSet result = statement.executeQuery()) {
                        rows(result);
                    }
                }
            }
        });
        check("prepared: parameters without casts", connection -> {
            String sql = "select o_orderkey, o_totalprice from orders where o_orderdate between ? and ?"
                    + " and o_totalprice > ? and o_comment like ? and o_custkey in (?, ?) order by 1 limit 5";
            try (PreparedStatement statement = connection.prepareStatement(sql)) {
                for (int i = 0; i < 6; i++) {
                    statement.setDate(1, Date.valueOf("1995-01-01"));
                    statement.setDate(2, Date.valueOf("1996-12-31"));
                    statement.setBigDecimal(3, new BigDecimal("1000.5"));
                    statement.setString(4, "%a%");
                    statement.setInt(5, 10 + i);
                    statement.setLong(6, 100);
                    try (ResultSet result = statement.executeQuery()) {
                        rows(result);
                    }
                }
            }
        });
        check("prepared: parameter metadata", connection -> {
            String sql = "select o_orderkey from orders where o_orderkey = ? and o_orderdate > ? and o_comment like ? and o_totalprice < ?";
            try (PreparedStatement statement = connection.prepareStatement(sql)) {
                ParameterMetaData metadata = statement.getParameterMetaData();
                for (int i = 1; i <= metadata.getParameterCount(); i++) {
                    show(metadata.getParameterTypeName(i) + " " + metadata.getParameterType(i) + " " + metadata.getParameterClassName(i));
                }
                columns(statement.getMetaData());
            }
        });
        check("prepared: timestamps and intervals both ways", connection -> {
            String sql = "select ?, ?::timestamptz, ?::timestamp + interval '1 day', ?::date";
            try (PreparedStatement statement = connection.prepareStatement(sql)) {
                for (int i = 0; i < 6; i++) {
                    statement.setTimestamp(1, Timestamp.valueOf("2024-02-29 01:02:03.5"));
                    statement.setTimestamp(2, Timestamp.valueOf("2024-02-29 01:02:03.5"));
                    statement.setTimestamp(3, Timestamp.valueOf("2024-02-29 01:02:03.5"));
                    statement.setDate(4, Date.valueOf("2024-02-29"));
                    try (ResultSet result = statement.executeQuery()) {
                        rows(result);
                    }
                }
            }
        });
        check("arrays: array parameters and results", connection -> {
            for (int threshold : new int[] {0, -1}) {
                String sql = "select ?::int4[], ?::text[], n_name from nation where n_nationkey = any(?) order by n_name";
                try (PreparedStatement statement = connection.prepareStatement(sql)) {
                    statement.unwrap(PGStatement.class).setPrepareThreshold(threshold);
                    statement.setArray(1, connection.createArrayOf("int4", new Integer[] {1, null, 3}));
                    statement.setArray(2, connection.createArrayOf("text", new String[] {"a", null, "q\"'"}));
                    statement.setArray(3, connection.createArrayOf("int8", new Long[] {1L, 5L}));
                    try (ResultSet result = statement.executeQuery()) {
                        rows(result);
                    }
                }
            }
        });
    }

    private static void cursors() {
        check("cursors: fetch size", connection -> {
            connection.setAutoCommit(false);
            for (String sql : List.of("select l_orderkey, l_linenumber, l_comment from lineitem order by 1, 2 limit 1000", "select * from nation where false")) {
                try (PreparedStatement statement = connection.prepareStatement(sql)) {
                    statement.setFetchSize(99);
                    long n = 0;
                    long sum = 0;
                    try (ResultSet result = statement.executeQuery()) {
                        while (result.next()) {
                            n++;
                            sum += result.getLong(1) + result.getString(3).length();
                        }
                    }
                    show(n + " " + sum);
                }
            }
            connection.commit();
        });
        check("cursors: two open results, closed early", connection -> {
            connection.setAutoCommit(false);
            try (Statement one = connection.createStatement(); Statement other = connection.createStatement()) {
                one.setFetchSize(5);
                other.setFetchSize(3);
                ResultSet a = one.executeQuery("select n_nationkey from nation order by 1");
                ResultSet b = other.executeQuery("select r_name from region order by 1");
                for (int i = 0; i < 4; i++) {
                    a.next();
                    b.next();
                    show(a.getLong(1) + " " + b.getString(1));
                }
                a.close();
                b.next();
                show(b.getString(1), b.next());
            }
            connection.rollback();
        });
        check("cursors: scrollable results", connection -> {
            try (Statement statement = connection.createStatement(ResultSet.TYPE_SCROLL_INSENSITIVE, ResultSet.CONCUR_READ_ONLY);
                    ResultSet result = statement.executeQuery("select n_nationkey from nation order by 1")) {
                result.last();
                show(result.getRow());
                result.absolute(3);
                show(result.getLong(1));
                result.previous();
                show(result.getLong(1));
            }
        });
        check("cursors: DECLARE WITH HOLD and FETCH", connection -> {
            connection.setAutoCommit(false);
            run(connection, "declare held scroll cursor with hold for select n_nationkey, n_name from nation order by 1");
            connection.commit();
            query(connection, "fetch 3 from held");
            query(connection, "fetch last from held");
            query(connection, "fetch backward 2 from held");
            run(connection, "close held");
            connection.commit();
        });
    }

    private static void copies() {
        check("copy out: CopyManager writes text, csv and binary", connection -> {
            var manager = connection.unwrap(PGConnection.class).getCopyAPI();
            StringWriter writer = new StringWriter();
            show(manager.copyOut("copy region to stdout", writer));
            show(manager.copyOut("copy (select * from nation order by 1 limit 3) to stdout with (format csv, header)", writer));
            show(writer);
            var bytes = new java.io.ByteArrayOutputStream();
            show(manager.copyOut("copy (select r_regionkey, r_name from region order by 1) to stdout (format binary)", bytes));
            show(Arrays.toString(bytes.toByteArray()));
        });
        check("copy in: CopyManager reads text and csv", connection -> {
            var manager = connection.unwrap(PGConnection.class).getCopyAPI();
            run(connection, "create table jdbc_copied (a int, b text)");
            show(manager.copyIn("copy jdbc_copied from stdin", new StringReader("1\tx\n2\t\\N\n")));
            show(manager.copyIn("copy jdbc_copied from stdin csv header", new StringReader("a,b\n3,\"a,b\"\n")));
            query(connection, "select * from jdbc_copied order by a");
            show(state(c -> manager.copyIn("copy jdbc_copied (a) from stdin", new StringReader("x\n")), connection));
            run(connection, "drop table jdbc_copied");
        });
    }

    private static void transactions() {
        check("transactions: commit, rollback, savepoints", connection -> {
            run(connection, "create table jdbc_saved (a int)");
            connection.setAutoCommit(false);
            run(connection, "insert into jdbc_saved values (1)");
            Savepoint one = connection.setSavepoint();
            Savepoint named = connection.setSavepoint("named");
            run(connection, "insert into jdbc_saved values (2)");
            show(state(c -> query(c, "select * from missing"), connection));
            show(state(c -> query(c, "select 1"), connection));
            connection.rollback(named);
            connection.releaseSavepoint(one);
            connection.commit();
            run(connection, "insert into jdbc_saved values (3)");
            connection.rollback();
            connection.setAutoCommit(true);
            query(connection, "select * from jdbc_saved");
            run(connection, "drop table jdbc_saved");
        });
        check("transactions: autosave goes on after an error", "&autosave=always", connection -> {
            connection.setAutoCommit(false);
            query(connection, "select 1 as a");
            show(state(c -> query(c, "select * from missing"), connection));
            query(connection, "select 2 as a");
            connection.commit();
        });
        check("transactions: isolation levels and read only", connection -> {
            connection.setTransactionIsolation(Connection.TRANSACTION_SERIALIZABLE);
            query(connection, "show transaction_isolation");
            connection.setReadOnly(true);
            connection.setAutoCommit(false);
            show(state(c -> run(c, "create table refused (a int)"), connection));
            connection.rollback();
        });
    }

    private static void cancels() {
        check("cancel: Statement.cancel", connection -> {
            try (Statement statement = connection.createStatement()) {
                var cancel = CompletableFuture.runAsync(() -> {
                    try {
                        Thread.sleep(400);
                        statement.cancel();
                    } catch (Exception error) {
                        throw new IllegalStateException(error);
                    }
                });
                show(state(c -> statement.executeQuery(SLOW), connection));
                cancel.get();
            }
            query(connection, "select 'alive' as a");
        });
        check("cancel: query timeout", connection -> {
            try (Statement statement = connection.createStatement()) {
                statement.setQueryTimeout(1);
                show(state(c -> statement.executeQuery(SLOW), connection));
            }
            query(connection, "select 'alive' as a");
        });
    }

    private static void metadata() {
        check("metadata: getTables, getSchemas, getCatalogs, getTableTypes", connection -> {
            DatabaseMetaData metadata = connection.getMetaData();
            rows(metadata.getTables(null, "public", "%", new String[] {"TABLE", "VIEW"}));
            rows(metadata.getTables(database, null, "%ation", null));
            rows(metadata.getSchemas(null, "pub%"));
            rows(metadata.getSchemas(null, "pg\\_cat%"));
            columns(metadata.getSchemas().getMetaData());
            rows(metadata.getTableTypes());
            try (ResultSet result = metadata.getCatalogs()) {
                boolean found = false;
                while (result.next()) {
                    found |= result.getString(1).equals(database);
                }
                show(found);
            }
        });
        check("metadata: getColumns", connection -> {
            run(connection, "create table jdbc_columns (id int not null, name varchar(20) not null, price numeric(8,2), at timestamptz, tags text[], ok bool, f float4, c char(3))");
            DatabaseMetaData metadata = connection.getMetaData();
            rows(metadata.getColumns(null, "public", "orders", "%"));
            rows(metadata.getColumns(null, "public", "jdbc_columns", null));
            rows(metadata.getColumns(null, null, "lineitem", "l_ship%"));
            run(connection, "drop table jdbc_columns");
        });
        check("metadata: keys and indexes", connection -> {
            DatabaseMetaData metadata = connection.getMetaData();
            for (String table : List.of("orders", "nation")) {
                rows(metadata.getPrimaryKeys(null, "public", table));
                rows(metadata.getImportedKeys(null, "public", table));
                rows(metadata.getExportedKeys(null, "public", table));
                rows(metadata.getIndexInfo(null, "public", table, false, true));
                rows(metadata.getBestRowIdentifier(null, "public", table, 0, true));
                rows(metadata.getVersionColumns(null, "public", table));
            }
            rows(metadata.getCrossReference(null, "public", "nation", null, "public", "region"));
        });
        check("metadata: primary keys of a declared key", connection -> {
            run(connection, "create table jdbc_keys (a int, b text, c int, primary key (b, a))");
            DatabaseMetaData metadata = connection.getMetaData();
            rows(metadata.getPrimaryKeys(null, "public", "jdbc_keys"));
            rows(metadata.getBestRowIdentifier(null, "public", "jdbc_keys", 0, true));
            run(connection, "drop table jdbc_keys");
        });
        check("metadata: getTypeInfo", connection -> {
            try (ResultSet result = connection.getMetaData().getTypeInfo()) {
                columns(result.getMetaData());
                List<String> basic = List.of("bool", "bytea", "int8", "int2", "int4", "text", "float4", "float8", "varchar", "date", "time", "timestamp", "timestamptz", "numeric", "uuid", "json", "jsonb", "bpchar", "interval");
                while (result.next()) {
                    if (basic.contains(result.getString(1))) {
                        show(result.getString(1) + " " + result.getInt(2) + " " + result.getString(3) + " " + result.getInt("SEARCHABLE"));
                    }
                }
            }
        });
        check("metadata: privileges, procedures, functions, user types", connection -> {
            DatabaseMetaData metadata = connection.getMetaData();
            rows(metadata.getTablePrivileges(null, "public", "nation"));
            columns(metadata.getColumnPrivileges(null, "public", "nation", "n_name").getMetaData());
            columns(metadata.getProcedures(null, null, "%").getMetaData());
            columns(metadata.getFunctions(null, "pg_catalog", "abs").getMetaData());
            columns(metadata.getFunctionColumns(null, "pg_catalog", "sqrt", "%").getMetaData());
            rows(metadata.getUDTs(null, "public", "%", null));
            rows(metadata.getClientInfoProperties());
        });
        check("metadata: what the server says of itself", connection -> {
            DatabaseMetaData metadata = connection.getMetaData();
            show(metadata.getDatabaseProductName(), metadata.getDatabaseMajorVersion() >= 15, metadata.getIdentifierQuoteString(),
                    metadata.getMaxColumnNameLength(), metadata.getMaxIndexLength() >= 0, metadata.getDefaultTransactionIsolation(),
                    metadata.storesLowerCaseIdentifiers(), metadata.supportsSavepoints(), metadata.getUserName().length() > 0,
                    metadata.getSQLKeywords().length() > 100, metadata.getMaxConnections() > 0);
        });
        check("metadata: result columns know their tables", connection -> {
            String sql = "select n_nationkey as key, n_name, r_name, 1 as one, count(*) over () from nation join region on n_regionkey = r_regionkey limit 1";
            try (PreparedStatement statement = connection.prepareStatement(sql); ResultSet result = statement.executeQuery()) {
                ResultSetMetaData metadata = result.getMetaData();
                for (int i = 1; i <= metadata.getColumnCount(); i++) {
                    var known = metadata.unwrap(org.postgresql.PGResultSetMetaData.class);
                    show(metadata.getColumnName(i) + " " + known.getBaseColumnName(i) + " " + known.getBaseTableName(i) + " "
                            + known.getBaseSchemaName(i) + " " + metadata.isNullable(i) + " " + metadata.isAutoIncrement(i));
                }
            }
        });
    }

    private static void batches() {
        check("batch: inserts, updates and an error in the middle", connection -> {
            run(connection, "create table jdbc_batch (a int, b text)");
            try (PreparedStatement statement = connection.prepareStatement("insert into jdbc_batch values (?, ?)")) {
                for (int i = 0; i < 20; i++) {
                    statement.setInt(1, i);
                    statement.setString(2, "v" + i);
                    statement.addBatch();
                }
                show(Arrays.toString(statement.executeBatch()));
            }
            try (Statement statement = connection.createStatement()) {
                statement.addBatch("update jdbc_batch set b = 'x' where a < 3");
                statement.addBatch("delete from jdbc_batch where a > 17");
                show(Arrays.toString(statement.executeBatch()));
                statement.addBatch("insert into jdbc_batch values (100, 'a')");
                statement.addBatch("insert into missing values (1)");
                show(state(c -> statement.executeBatch(), connection));
            }
            query(connection, "select count(*), sum(a), min(b) from jdbc_batch where a < 100");
            run(connection, "drop table jdbc_batch");
        });
        check("batch: reWriteBatchedInserts", "&reWriteBatchedInserts=true", connection -> {
            run(connection, "create table jdbc_rewritten (a int, b text)");
            try (PreparedStatement statement = connection.prepareStatement("insert into jdbc_rewritten values (?, ?)")) {
                for (int i = 0; i < 37; i++) {
                    statement.setInt(1, i);
                    statement.setString(2, null);
                    statement.addBatch();
                }
                show(statement.executeBatch().length);
            }
            query(connection, "select count(*), sum(a), count(b) from jdbc_rewritten");
            run(connection, "drop table jdbc_rewritten");
        });
    }
}
