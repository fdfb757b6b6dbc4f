"""psycopg2: the simple protocol with client-side parameters, named cursors, async cancel."""

import datetime
import decimal
import io
import threading
import uuid

import psycopg2
import psycopg2.extras
from psycopg2 import errors

from tap import case, each_statement, equal, main, raises, server, show, show_rows

SERVER = server()


def connect():
    return psycopg2.connect(
        host=SERVER.host,
        port=SERVER.port,
        user=SERVER.user,
        password=SERVER.password,
        dbname=SERVER.database,
    )


def rows(connection, sql, values=None):
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall()


@case("connect")
def connects():
    """Connects and knows the server's version."""
    connection = connect()
    assert connection.server_version >= 150000, connection.server_version
    equal(rows(connection, "select 1"), [(1,)])
    connection.close()


@case("types")
def types():
    """Reads types; parameters are literals of the client."""
    values = (
        1, "it's ä \\ %", decimal.Decimal("1.50"), datetime.date(2024, 2, 29), True, None, 2.5,
        datetime.datetime(2024, 2, 29, 1, 2, 3),
    )
    sql = "select %s, %s, %s, %s, %s, %s, %s::float8, %s"
    equal(rows(connect(), sql, values), [values])


@case("arrays")
def arrays():
    """Lists become arrays."""
    equal(rows(connect(), "select n_name from nation where n_nationkey = any(%s) order by 1", ([6, 7],)),
          [("FRANCE",), ("GERMANY",)])


@case("cursors")
def named_cursor():
    """Fetches through a named cursor in parts."""
    connection = connect()
    with connection.cursor(name="parts") as cursor:
        cursor.itersize = 10
        cursor.execute("select n_nationkey from nation order by 1")
        equal(cursor.fetchmany(3), [(0,), (1,), (2,)])
        equal(len(cursor.fetchall()), 22)
    connection.commit()


@case("transactions")
def error_codes():
    """Reports SQLSTATE and needs a rollback after an error."""
    connection = connect()
    error = raises(errors.UndefinedTable, lambda: rows(connection, "select * from missing"))
    equal(error.pgcode, "42P01")
    raises(errors.InFailedSqlTransaction, lambda: rows(connection, "select 1"))
    connection.rollback()
    raises(errors.SyntaxError, lambda: rows(connection, "selec 1"))
    connection.rollback()
    equal(rows(connection, "select 1"), [(1,)])


@case("transactions")
def autocommit():
    """Switches between autocommit and transactions."""
    connection = connect()
    connection.autocommit = True
    equal(rows(connection, "select 1"), [(1,)])
    connection.autocommit = False
    connection.set_session(readonly=True)
    equal(rows(connection, "select 2"), [(2,)])
    connection.commit()


@case("simple")
def several_statements():
    """Runs several statements in one message and returns the last rows."""
    equal(rows(connect(), "select 1; select 2, 3"), [(2, 3)])


@case("cancel")
def cancels():
    """Cancels a running statement."""
    connection = connect()
    timer = threading.Timer(0.3, connection.cancel)
    timer.start()
    sql = "select sum(sqrt(a.l_orderkey * b.l_partkey::float8)) from lineitem a, lineitem b"
    raises(errors.QueryCanceled, lambda: rows(connection, sql))
    timer.join()
    connection.rollback()
    equal(rows(connection, "select 1"), [(1,)])


@case("simple")
def dictionaries():
    """Rows by name."""
    with connect().cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
        cursor.execute("select r_regionkey, r_name from region order by 1 limit 1")
        equal(dict(cursor.fetchone()), {"r_regionkey": 0, "r_name": "AFRICA"})


@case("cursors")
def scrolls():
    """A named cursor scrolls, and one WITH HOLD outlives its transaction"""
    connection = connect()
    with connection.cursor(name="s", scrollable=True) as cursor:
        cursor.execute("select n_nationkey from nation order by 1")
        show(cursor.fetchmany(2))
        cursor.scroll(5)
        show(cursor.fetchone())
        cursor.scroll(-2)
        show(cursor.fetchone())
    with connection.cursor(name="h", withhold=True) as cursor:
        cursor.execute("select r_name from region order by 1")
        connection.commit()
        show(cursor.fetchall())
    connection.close()


@case("copy out")
def copy_to():
    """copy_expert writes text and csv"""
    for sql in ("copy region to stdout", "copy (select * from nation order by 1 limit 3) to stdout with csv header"):
        buffer = io.StringIO()
        with connect().cursor() as cursor:
            cursor.copy_expert(sql, buffer)
        show(buffer.getvalue())


@case("copy in")
def copy_from():
    """copy_from and copy_expert read text and csv"""
    connection = connect()
    with connection.cursor() as cursor:
        cursor.execute("create table copied2 (a int, b text)")
        cursor.copy_from(io.StringIO("1\tx\n2\t\\N\n"), "copied2")
        cursor.copy_expert("copied2".join(["copy ", " from stdin csv"]), io.StringIO('3,"a,b"\n'))
        cursor.execute("select * from copied2 order by a")
        show(cursor.fetchall())
        cursor.execute("drop table copied2")
    connection.commit()


@case("batch")
def values_lists():
    """execute_values and execute_batch"""
    connection = connect()
    with connection.cursor() as cursor:
        cursor.execute("create table listed (a int, b text)")
        psycopg2.extras.execute_values(cursor, "insert into listed values %s", [(n, f"v{n}") for n in range(7)])
        psycopg2.extras.execute_batch(cursor, "insert into listed values (%s, %s)", [(n, None) for n in range(7, 10)])
        cursor.execute("select count(*), sum(a), count(b) from listed")
        show(cursor.fetchall())
        cursor.execute("drop table listed")
    connection.commit()


@case("transactions")
def savepoints():
    """SAVEPOINT, ROLLBACK TO and RELEASE"""
    connection = connect()
    with connection.cursor() as cursor:
        cursor.execute("create table saved2 (a int)")
        cursor.execute("insert into saved2 values (1); savepoint one; insert into saved2 values (2)")
        raises(errors.UndefinedTable, lambda: cursor.execute("select * from missing"))
        cursor.execute("rollback to savepoint one")
        cursor.execute("release savepoint one")
        cursor.execute("select * from saved2")
        show(cursor.fetchall(), connection.info.transaction_status)
    connection.rollback()


@case("transactions")
def isolation():
    """set_session: isolation level, read only, deferrable"""
    connection = connect()
    connection.set_session(isolation_level="SERIALIZABLE", readonly=True, deferrable=True)
    show(rows(connection, "show transaction_isolation"), rows(connection, "show transaction_read_only"))
    error = raises(psycopg2.Error, lambda: rows(connection, "create table refused (a int)"))
    show(error.pgcode)


@case("json")
def json_values():
    """json, jsonb and uuid both ways"""
    psycopg2.extras.register_uuid()
    value = {"a": [1, None, "ä"]}
    sql = "select %s::json, %s::jsonb, %s::uuid"
    show(rows(connect(), sql, (psycopg2.extras.Json(value), psycopg2.extras.Json(value), uuid.UUID(int=7))))


@case("arrays")
def array_values():
    """Lists of every kind as literals"""
    values = ([1, 2], ["a", None, "q'"], [decimal.Decimal("1.5")], [datetime.date(2024, 2, 29)], [[1, 2], [3, 4]])
    show(rows(connect(), "select %s, %s, %s, %s, %s", values))


def run_statement(sql):
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        columns = [(c.name, f"{c.type_code} {c.internal_size} {c.precision} {c.scale}") for c in cursor.description]
        show_rows(columns, cursor.fetchall())


each_statement(run_statement)

main(f"psycopg2 {psycopg2.__version__.split()[0]}")
