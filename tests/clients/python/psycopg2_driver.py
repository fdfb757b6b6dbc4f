"""psycopg2: the simple protocol with client-side parameters, named cursors, async cancel."""

import datetime
import decimal
import threading

import psycopg2
import psycopg2.extras
from psycopg2 import errors

from tap import case, equal, main, raises, server, todo

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


@case
def connects():
    """Connects and knows the server's version."""
    connection = connect()
    assert connection.server_version >= 150000, connection.server_version
    equal(rows(connection, "select 1"), [(1,)])
    connection.close()


@case
def types():
    """Reads types; parameters are literals of the client."""
    values = (
        1, "it's ä \\ %", decimal.Decimal("1.50"), datetime.date(2024, 2, 29), True, None, 2.5,
        datetime.datetime(2024, 2, 29, 1, 2, 3),
    )
    sql = "select %s, %s, %s, %s, %s, %s, %s::float8, %s"
    equal(rows(connect(), sql, values), [values])


@case
def arrays():
    """Lists become arrays."""
    equal(rows(connect(), "select n_name from nation where n_nationkey = any(%s) order by 1", ([6, 7],)),
          [("FRANCE",), ("GERMANY",)])


@case
@todo("SQL cursors (DECLARE) are not supported")
def named_cursor():
    """Fetches through a named cursor in parts."""
    connection = connect()
    with connection.cursor(name="parts") as cursor:
        cursor.itersize = 10
        cursor.execute("select n_nationkey from nation order by 1")
        equal(cursor.fetchmany(3), [(0,), (1,), (2,)])
        equal(len(cursor.fetchall()), 22)
    connection.commit()


@case
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


@case
def autocommit():
    """Switches between autocommit and transactions."""
    connection = connect()
    connection.autocommit = True
    equal(rows(connection, "select 1"), [(1,)])
    connection.autocommit = False
    connection.set_session(readonly=True)
    equal(rows(connection, "select 2"), [(2,)])
    connection.commit()


@case
def several_statements():
    """Runs several statements in one message and returns the last rows."""
    equal(rows(connect(), "select 1; select 2, 3"), [(2, 3)])


@case
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


@case
def dictionaries():
    """Rows by name."""
    with connect().cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
        cursor.execute("select r_regionkey, r_name from region order by 1 limit 1")
        equal(dict(cursor.fetchone()), {"r_regionkey": 0, "r_name": "AFRICA"})


main()
