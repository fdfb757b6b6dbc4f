"""psycopg 3: the extended protocol, text and binary, server-side cursors, pipelines."""

import datetime
import decimal
import threading
import uuid

import psycopg
from psycopg import pq
from psycopg.rows import dict_row
from psycopg.types.json import Json, Jsonb

from tap import case, each_statement, equal, main, raises, server, show, show_rows

SERVER = server()


def connect(**options):
    return psycopg.connect(
        host=SERVER.host,
        port=SERVER.port,
        user=SERVER.user,
        password=SERVER.password,
        dbname=SERVER.database,
        **options,
    )


def columns(cursor):
    """Name, type number and the rest of what a cursor says about its columns."""
    return [
        (c.name, f"{c.type_code} {c.precision} {c.scale} {c.display_size}") for c in cursor.description
    ]


TYPED = """
select true as b, 7::int2 as i2, -70000::int4 as i4, 9000000000::int8 as i8,
       1.5::float4 as f4, -2.25::float8 as f8, 12345.6700::numeric(12,4) as n,
       'héllo'::text as t, date '2024-02-29' as d,
       timestamp '2024-02-29 12:34:56.789' as ts, null::int4 as nothing
"""
EXPECTED = (
    True, 7, -70000, 9000000000, 1.5, -2.25, decimal.Decimal("12345.6700"), "héllo",
    datetime.date(2024, 2, 29), datetime.datetime(2024, 2, 29, 12, 34, 56, 789000), None,
)


@case("connect")
def connects():
    """Connects, reports the encoding and the server's version."""
    with connect() as connection:
        equal(connection.info.encoding, "utf-8")
        assert connection.info.server_version >= 150000, connection.info.server_version
        equal(connection.execute("select 1").fetchone(), (1,))


@case("types")
def types_as_text():
    """Reads types in text format."""
    with connect() as connection:
        equal(connection.execute(TYPED).fetchone(), EXPECTED)


@case("types")
def types_as_binary():
    """Reads types in binary format."""
    with connect() as connection:
        equal(connection.cursor(binary=True).execute(TYPED).fetchone(), EXPECTED)


@case("types")
def oids():
    """Announces PostgreSQL's type oids."""
    with connect() as connection:
        cursor = connection.execute(TYPED)
        equal(
            [column.type_code for column in cursor.description],
            [16, 21, 23, 20, 700, 701, 1700, 25, 1082, 1114, 23],
        )


@case("prepared")
def parameters():
    """Binds parameters in text and in binary."""
    sql = "select %s::int4 + 1, %s::text || '!', %s::date, %s::numeric(10,2), %s::bool, %s::float8"
    values = (41, "ä", datetime.date(2020, 5, 17), decimal.Decimal("3.14"), False, 0.5)
    expected = (42, "ä!", values[2], values[3], False, 0.5)
    with connect() as connection:
        equal(connection.execute(sql, values).fetchone(), expected)
        binary = sql.replace("%s", "%b")
        equal(connection.execute(binary, values, binary=True).fetchone(), expected)


@case("prepared")
def null_parameters():
    """Binds NULL."""
    with connect() as connection:
        equal(connection.execute("select %s::int4 is null", (None,)).fetchone(), (True,))


@case("prepared")
def filters_by_parameter():
    """Filters a table by parameters without casts."""
    sql = "select n_name from nation where n_nationkey = %s and n_name <> %s"
    with connect() as connection:
        equal(connection.execute(sql, (7, "x")).fetchone(), ("GERMANY",))


@case("prepared")
def prepared():
    """Runs a server-side prepared statement many times."""
    with connect(prepare_threshold=0) as connection:
        for number in range(20):
            equal(connection.execute("select %s::int8 * 2", (number,)).fetchone(), (number * 2,))


@case("cursors")
def server_cursor():
    """Fetches through a server-side cursor in parts."""
    with connect() as connection, connection.cursor(name="parts") as cursor:
        cursor.itersize = 7
        cursor.execute("select n_nationkey from nation order by n_nationkey")
        equal([row[0] for row in cursor], list(range(25)))


@case("cursors")
def fetch_many():
    """Fetches in parts and streams row by row."""
    with connect() as connection:
        cursor = connection.execute("select n_nationkey from nation order by 1")
        equal([len(cursor.fetchmany(10)) for _ in range(4)], [10, 10, 5, 0])
        rows = connection.cursor().stream("select r_name from region order by r_name")
        equal([row[0] for row in rows], ["AFRICA", "AMERICA", "ASIA", "EUROPE", "MIDDLE EAST"])


@case("batch")
def pipeline():
    """Sends several statements before the first answer."""
    with connect() as connection, connection.pipeline():
        cursors = [connection.execute("select %s::int4", (n,)) for n in range(5)]
        equal([cursor.fetchone()[0] for cursor in cursors], list(range(5)))


@case("simple")
def errors():
    """Reports SQLSTATE and position, and goes on afterwards."""
    with connect(autocommit=True) as connection:
        def run(sql):
            return lambda: connection.execute(sql)

        error = raises(psycopg.errors.UndefinedTable, run("select * from missing"))
        equal(error.sqlstate, "42P01")
        equal(error.diag.statement_position, "15")
        raises(psycopg.errors.UndefinedColumn, run("select missing from nation"))
        raises(psycopg.errors.SyntaxError, run("selec 1"))
        raises(psycopg.errors.DivisionByZero, run("select 1 / (n_nationkey - n_nationkey) from nation"))
        raises(psycopg.errors.InvalidTextRepresentation, run("select 'x'::int4"))
        equal(connection.execute("select 1").fetchone(), (1,))


@case("transactions")
def failed_transaction():
    """A failed transaction refuses statements until it is rolled back."""
    with connect() as connection:
        raises(psycopg.errors.UndefinedTable, lambda: connection.execute("select * from missing"))
        equal(connection.info.transaction_status, pq.TransactionStatus.INERROR)
        raises(psycopg.errors.InFailedSqlTransaction, lambda: connection.execute("select 1"))
        connection.rollback()
        equal(connection.execute("select 1").fetchone(), (1,))


@case("transactions")
def transactions():
    """Begins, commits and rolls back."""
    with connect() as connection:
        with connection.transaction():
            equal(connection.execute("select count(*) from region").fetchone(), (5,))
            equal(connection.info.transaction_status, pq.TransactionStatus.INTRANS)
        equal(connection.info.transaction_status, pq.TransactionStatus.IDLE)
        connection.execute("select 1")
        connection.rollback()


@case("cancel")
def cancels():
    """Cancels a running statement from another thread."""
    with connect(autocommit=True) as connection:
        timer = threading.Timer(0.3, connection.cancel)
        timer.start()
        sql = "select sum(sqrt(a.l_orderkey * b.l_partkey::float8)) from lineitem a, lineitem b"
        error = raises(psycopg.errors.QueryCanceled, lambda: connection.execute(sql))
        timer.join()
        equal(error.sqlstate, "57014")
        equal(connection.execute("select 1").fetchone(), (1,))


@case("connect")
def settings():
    """Settings belong to the connection."""
    with connect(autocommit=True) as one, connect(autocommit=True) as other:
        one.execute("set application_name = 'one'")
        equal(one.execute("show application_name").fetchone(), ("one",))
        assert other.execute("show application_name").fetchone() != ("one",)
        equal(one.info.parameter_status("application_name"), "one")


@case("simple")
def dictionaries():
    """Rows as dictionaries by column name."""
    with connect(row_factory=dict_row) as connection:
        row = connection.execute('select r_regionkey, r_name as "Name" from region order by 1').fetchone()
        equal(row, {"r_regionkey": 0, "Name": "AFRICA"})


@case("cursors")
def cursor_moves():
    """A server-side cursor with parameters that scrolls, and one WITH HOLD"""
    sql = "select n_nationkey, n_name from nation where n_nationkey >= %s order by 1"
    with connect() as connection:
        with connection.cursor(name="s", scrollable=True) as cursor:
            cursor.execute(sql, (5,))
            show_rows(columns(cursor), cursor.fetchmany(2))
            cursor.scroll(3)
            show(cursor.fetchone())
            cursor.scroll(0, mode="absolute")
            show(cursor.fetchone(), len(cursor.fetchall()))
        with connection.cursor(name="h", withhold=True) as cursor:
            cursor.execute(sql, (20,))
            connection.commit()
            show(cursor.fetchall())


@case("cursors")
def binary_cursor():
    """A server-side cursor in binary format"""
    with connect() as connection, connection.cursor(name="b", binary=True) as cursor:
        cursor.execute("select l_orderkey, l_quantity, l_shipdate, l_comment from lineitem order by 1, 2 limit 100")
        show_rows(columns(cursor), cursor.fetchall()[:5])


@case("batch")
def pipeline_errors():
    """An error in a pipeline aborts what follows up to the next synchronisation"""
    with connect(autocommit=True) as connection:
        try:
            with connection.pipeline() as pipeline:
                connection.execute("select 1")
                connection.execute("select * from missing")
                connection.execute("select 2")
                pipeline.sync()
        except psycopg.Error as error:
            show(type(error).__name__, error.sqlstate)
        show(connection.execute("select 3").fetchall())


@case("batch")
def execute_many():
    """executemany with returned rows and with inserts"""
    with connect(autocommit=True) as connection:
        cursor = connection.cursor()
        cursor.executemany("select %s::int4 + 1 as n", [(n,) for n in range(4)], returning=True)
        while True:
            show(cursor.fetchall())
            if not cursor.nextset():
                break
        connection.execute("create table many_rows (a int, b text)")
        cursor.executemany("insert into many_rows values (%s, %s)", [(n, str(n)) for n in range(10)])
        show(cursor.rowcount, connection.execute("select count(*), sum(a), max(b) from many_rows").fetchall())
        connection.execute("drop table many_rows")


def copied(sql, types=None):
    with connect() as connection, connection.cursor().copy(sql) as copy:
        if types:
            copy.set_types(types)
            return list(copy.rows())
        return b"".join(bytes(part) for part in copy)


@case("copy out")
def copy_text():
    """COPY of a table and of a query in text format"""
    show(copied("copy region to stdout").decode())
    show(copied("copy (select n_nationkey, null, 'a\tb\\c' from nation order by 1 limit 3) to stdout").decode())
    show(len(copied("copy lineitem to stdout")))


@case("copy out")
def copy_csv():
    """COPY as csv with options"""
    show(copied("copy (select r_regionkey, r_name, 'a,\"b' as c, null as d from region order by 1) to stdout with (format csv, header)").decode())
    show(copied("copy (select 'a' as x, null as y) to stdout (format csv, delimiter ';', null 'none', force_quote (x))").decode())


@case("copy out")
def copy_binary():
    """COPY in binary format"""
    rows = copied(
        "copy (select l_orderkey, l_quantity, l_shipdate, l_comment, l_tax > 0.05 from lineitem "
        "order by l_orderkey, l_linenumber limit 50) to stdout (format binary)",
        ["int8", "numeric", "date", "text", "bool"],
    )
    for row in rows[:5]:
        show(row)
    show(len(rows), copied("copy region to stdout (format binary)").hex())


@case("copy in")
def copy_from_client():
    """COPY FROM STDIN as text, csv and binary"""
    with connect(autocommit=True) as connection:
        connection.execute("create table copied (a int, b text, c numeric(8,2), d date, e float8)")
        cursor = connection.cursor()
        rows = [(1, "x", decimal.Decimal("1.50"), datetime.date(2024, 2, 29), 0.5), (2, None, None, None, None)]
        with cursor.copy("copied".join(["copy ", " from stdin"])) as copy:
            for row in rows:
                copy.write_row(row)
        show(cursor.rowcount)
        with cursor.copy("copy copied (a, b) from stdin (format csv, header)") as copy:
            copy.write('a,b\n3,"y ""z"""\n4,\n')
        with cursor.copy("copy copied from stdin (format binary)") as copy:
            copy.set_types(["int4", "text", "numeric", "date", "float8"])
            for row in rows:
                copy.write_row((row[0] + 10, *row[1:]))
        show_rows([], connection.execute("select * from copied order by a").fetchall())
        with_error = "copy copied (a) from stdin"
        try:
            with cursor.copy(with_error) as copy:
                copy.write("one\n")
        except psycopg.Error as error:
            show(error.sqlstate)
        show(connection.execute("select count(*) from copied").fetchone())
        connection.execute("drop table copied")


@case("arrays")
def array_parameters():
    """Lists as parameters, text and binary"""
    with connect() as connection:
        for binary in (False, True):
            cursor = connection.cursor(binary=binary)
            sql = "select n_name from nation where n_nationkey = any(%s) order by 1"
            show(cursor.execute(sql, ([1, 5],)).fetchall())
            sql = "select %s::text[], %s::int4[], %s::float8[]"
            show(cursor.execute(sql, (["a", None, 'q"'], [1, 2], [0.5])).fetchall())


@case("json")
def json_parameters():
    """json, jsonb and uuid as parameters"""
    value = {"a": [1, None, "ä"], "b": {"c": 1.5}}
    with connect() as connection:
        for binary in (False, True):
            cursor = connection.cursor(binary=binary)
            cursor.execute("select %s::json, %s::jsonb, %s::uuid", (Json(value), Jsonb(value), uuid.UUID(int=7)))
            show_rows(columns(cursor), cursor.fetchall())


@case("prepared")
def parameter_types():
    """Parameters of every type without casts, as the driver declares them"""
    utc = datetime.timezone.utc
    values = [
        True, 1, 70000, 2**40, 0.5, decimal.Decimal("1.25"), b"\x00\xff", datetime.date(2024, 2, 29),
        datetime.time(1, 2, 3), datetime.datetime(2024, 1, 2, 3, 4, 5),
        datetime.datetime(2024, 1, 2, 3, 4, 5, tzinfo=utc), datetime.timedelta(days=1, seconds=2), uuid.UUID(int=1),
    ]
    with connect() as connection:
        for binary in (False, True):
            for value in values:
                cursor = connection.cursor(binary=binary)
                cursor.execute("select %s as v", (value,))
                show_rows(columns(cursor), cursor.fetchall())


@case("transactions")
def savepoints():
    """Nested transactions are savepoints"""
    with connect() as connection:
        connection.execute("create table saved (a int)")
        connection.commit()
        with connection.transaction():
            connection.execute("insert into saved values (1)")
            try:
                with connection.transaction():
                    connection.execute("insert into saved values (2)")
                    connection.execute("select * from missing")
            except psycopg.errors.UndefinedTable:
                show("rolled back")
            connection.execute("insert into saved values (3)")
        show(connection.execute("select a from saved order by a").fetchall())
        connection.execute("drop table saved")


def run_statement(binary):
    def run(sql):
        with connect() as connection:
            cursor = connection.cursor(binary=binary).execute(sql)
            show_rows(columns(cursor), cursor.fetchall())

    return run


def both_formats(sql):
    for binary in (False, True):
        run_statement(binary)(sql)


each_statement(both_formats)

main(f"psycopg {psycopg.__version__}")
