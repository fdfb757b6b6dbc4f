"""psycopg 3: the extended protocol, text and binary, server-side cursors, pipelines."""

import datetime
import decimal
import threading

import psycopg
from psycopg import pq
from psycopg.rows import dict_row

from tap import case, equal, main, raises, server, todo

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


@case
def connects():
    """Connects, reports the encoding and the server's version."""
    with connect() as connection:
        equal(connection.info.encoding, "utf-8")
        assert connection.info.server_version >= 150000, connection.info.server_version
        equal(connection.execute("select 1").fetchone(), (1,))


@case
def types_as_text():
    """Reads types in text format."""
    with connect() as connection:
        equal(connection.execute(TYPED).fetchone(), EXPECTED)


@case
def types_as_binary():
    """Reads types in binary format."""
    with connect() as connection:
        equal(connection.cursor(binary=True).execute(TYPED).fetchone(), EXPECTED)


@case
def oids():
    """Announces PostgreSQL's type oids."""
    with connect() as connection:
        cursor = connection.execute(TYPED)
        equal(
            [column.type_code for column in cursor.description],
            [16, 21, 23, 20, 700, 701, 1700, 25, 1082, 1114, 23],
        )


@case
def parameters():
    """Binds parameters in text and in binary."""
    sql = "select %s::int4 + 1, %s::text || '!', %s::date, %s::numeric(10,2), %s::bool, %s::float8"
    values = (41, "ä", datetime.date(2020, 5, 17), decimal.Decimal("3.14"), False, 0.5)
    expected = (42, "ä!", values[2], values[3], False, 0.5)
    with connect() as connection:
        equal(connection.execute(sql, values).fetchone(), expected)
        binary = sql.replace("%s", "%b")
        equal(connection.execute(binary, values, binary=True).fetchone(), expected)


@case
def null_parameters():
    """Binds NULL."""
    with connect() as connection:
        equal(connection.execute("select %s::int4 is null", (None,)).fetchone(), (True,))


@case
def filters_by_parameter():
    """Filters a table by parameters without casts."""
    sql = "select n_name from nation where n_nationkey = %s and n_name <> %s"
    with connect() as connection:
        equal(connection.execute(sql, (7, "x")).fetchone(), ("GERMANY",))


@case
def prepared():
    """Runs a server-side prepared statement many times."""
    with connect(prepare_threshold=0) as connection:
        for number in range(20):
            equal(connection.execute("select %s::int8 * 2", (number,)).fetchone(), (number * 2,))


@case
@todo("SQL cursors (DECLARE) are not supported")
def server_cursor():
    """Fetches through a server-side cursor in parts."""
    with connect() as connection, connection.cursor(name="parts") as cursor:
        cursor.itersize = 7
        cursor.execute("select n_nationkey from nation order by n_nationkey")
        equal([row[0] for row in cursor], list(range(25)))


@case
def fetch_many():
    """Fetches in parts and streams row by row."""
    with connect() as connection:
        cursor = connection.execute("select n_nationkey from nation order by 1")
        equal([len(cursor.fetchmany(10)) for _ in range(4)], [10, 10, 5, 0])
        rows = connection.cursor().stream("select r_name from region order by r_name")
        equal([row[0] for row in rows], ["AFRICA", "AMERICA", "ASIA", "EUROPE", "MIDDLE EAST"])


@case
def pipeline():
    """Sends several statements before the first answer."""
    with connect() as connection, connection.pipeline():
        cursors = [connection.execute("select %s::int4", (n,)) for n in range(5)]
        equal([cursor.fetchone()[0] for cursor in cursors], list(range(5)))


@case
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


@case
def failed_transaction():
    """A failed transaction refuses statements until it is rolled back."""
    with connect() as connection:
        raises(psycopg.errors.UndefinedTable, lambda: connection.execute("select * from missing"))
        equal(connection.info.transaction_status, pq.TransactionStatus.INERROR)
        raises(psycopg.errors.InFailedSqlTransaction, lambda: connection.execute("select 1"))
        connection.rollback()
        equal(connection.execute("select 1").fetchone(), (1,))


@case
def transactions():
    """Begins, commits and rolls back."""
    with connect() as connection:
        with connection.transaction():
            equal(connection.execute("select count(*) from region").fetchone(), (5,))
            equal(connection.info.transaction_status, pq.TransactionStatus.INTRANS)
        equal(connection.info.transaction_status, pq.TransactionStatus.IDLE)
        connection.execute("select 1")
        connection.rollback()


@case
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


@case
def settings():
    """Settings belong to the connection."""
    with connect(autocommit=True) as one, connect(autocommit=True) as other:
        one.execute("set application_name = 'one'")
        equal(one.execute("show application_name").fetchone(), ("one",))
        assert other.execute("show application_name").fetchone() != ("one",)
        equal(one.info.parameter_status("application_name"), "one")


@case
def dictionaries():
    """Rows as dictionaries by column name."""
    with connect(row_factory=dict_row) as connection:
        row = connection.execute('select r_regionkey, r_name as "Name" from region order by 1').fetchone()
        equal(row, {"r_regionkey": 0, "Name": "AFRICA"})


main()
