"""psqlODBC through pyodbc: catalog functions, cursors declared and not, parameters, transactions."""

import datetime
import decimal
import glob
import re
import subprocess
import threading
import uuid

import pyodbc

from tap import case, each_statement, main, raises, server, show, show_rows

SERVER = server()
(DRIVER, *_) = glob.glob("/usr/lib/*/odbc/psqlodbcw.so")
pyodbc.pooling = False


def connect(autocommit=True, **options):
    settings = {
        "Driver": DRIVER, "Servername": SERVER.host, "Port": SERVER.port, "Database": SERVER.database,
        "UID": SERVER.user, "PWD": SERVER.password, "SSLmode": "disable", **options,
    }
    text = ";".join(f"{name}={value}" for name, value in settings.items())
    return pyodbc.connect(text, autocommit=autocommit)


def show_result(cursor):
    kinds = [(c[0], f"{c[1].__name__} {c[3]} {c[4]} {c[5]} {c[6]}") for c in cursor.description]
    show_rows(kinds, [tuple(row) for row in cursor.fetchall()])


@case("connect")
def connects():
    """Connects, tells name, version and limits of the server"""
    connection = connect()
    show(connection.getinfo(pyodbc.SQL_DBMS_NAME), connection.getinfo(pyodbc.SQL_IDENTIFIER_QUOTE_CHAR),
         connection.getinfo(pyodbc.SQL_MAX_COLUMN_NAME_LEN), connection.getinfo(pyodbc.SQL_TXN_CAPABLE))
    connection.close()


@case("connect")
def isql():
    """isql runs a statement"""
    text = f"Driver={DRIVER};Servername={SERVER.host};Port={SERVER.port};Database={SERVER.database};UID={SERVER.user};SSLmode=disable"
    done = subprocess.run(["isql", "-k", text, "-b", "-d,"], input="select r_regionkey, r_name from region order by 1\n",
                          capture_output=True, text=True, timeout=60)
    show(done.stdout, done.returncode)


@case("metadata")
def tables():
    """SQLTables"""
    cursor = connect().cursor()
    for arguments in ({}, {"tableType": "TABLE"}, {"table": "n%"}, {"schema": "public"}):
        rows = [tuple(row) for row in cursor.tables(**arguments).fetchall()]
        show(*[row for row in rows if row[1] == "public"])
    schemas = {row[1] for row in cursor.tables(schema="%", catalog="", table="").fetchall()}
    assert "public" in schemas, schemas


@case("metadata")
def columns():
    """SQLColumns"""
    cursor = connect().cursor()
    cursor.execute("create table odbc_columns (id int not null, name varchar(20), price numeric(8,2), at timestamp, ok bool, d date, f float8)")
    for table in ("orders", "odbc_columns"):
        found = cursor.columns(table=table)
        # The number of the table in pg_class is each server's own.
        own = [column[0] for column in found.description].index("table oid")
        show([column[:2] for column in found.description])
        show(*[tuple(row)[:own] + tuple(row)[own + 1:] for row in found.fetchall()])
    cursor.execute("drop table odbc_columns")


@case("metadata")
def keys():
    """SQLPrimaryKeys, SQLForeignKeys, SQLStatistics, SQLSpecialColumns"""
    cursor = connect().cursor()
    cursor.execute("create table odbc_keys (a int, b text, primary key (b, a))")
    for table in ("odbc_keys", "orders"):
        show_result(cursor.primaryKeys(table))
        show_result(cursor.foreignKeys(table))
        show_result(cursor.rowIdColumns(table))
    show_result(cursor.statistics("orders"))
    cursor.execute("drop table odbc_keys")


@case("metadata")
def type_info():
    """SQLGetTypeInfo and SQLProcedures"""
    cursor = connect().cursor()
    show_result(cursor.getTypeInfo())
    show([c[0] for c in cursor.procedures(procedure="abs").description])


@case("prepared")
def parameters():
    """Parameters of many types"""
    values = [
        7, 2**40, 0.5, "ä'", decimal.Decimal("1.50"), datetime.date(2024, 2, 29), datetime.datetime(2024, 2, 29, 1, 2, 3), True, b"\x00\xff",
    ]
    kinds = ["int4", "int8", "float8", "text", "numeric(8,2)", "date", "timestamp", "bool", "bytea"]
    for prepare in (0, 1):
        cursor = connect(UseServerSidePrepare=prepare).cursor()
        cursor.execute("select " + ", ".join(f"?::{kind} as c{i}" for i, kind in enumerate(kinds)), *values)
        show_result(cursor)
        show_result(cursor.execute("select n_name from nation where n_nationkey = ? and n_name <> ?", 7, "x"))
        for n in range(4):
            show(cursor.execute("select ?::int4 * 2", n).fetchval())


def reads(declare):
    def run():
        cursor = connect(UseDeclareFetch=declare, Fetch=100).cursor()
        cursor.execute("select l_orderkey, l_linenumber, l_comment from lineitem order by 1, 2 limit 1000")
        show(cursor.fetchmany(3))
        rows = cursor.fetchall()
        show(len(rows), rows[-1])
        show_result(cursor.execute("select * from nation where n_nationkey < 3 order by 1"))
        show(cursor.execute("select * from nation where false").fetchall())

    run.__doc__ = f"UseDeclareFetch={declare}"
    case("cursors")(run)


reads(0)
reads(1)


@case("transactions")
def transactions():
    """Commit, rollback, an error in a transaction"""
    connection = connect(autocommit=False)
    cursor = connection.cursor()
    cursor.execute("create table odbc_saved (a int)")
    connection.commit()
    cursor.execute("insert into odbc_saved values (1)")
    connection.rollback()
    cursor.execute("insert into odbc_saved values (2)")
    show(raises(pyodbc.Error, lambda: cursor.execute("select * from missing")).args[0])
    show_result(cursor.execute("select * from odbc_saved"))
    connection.commit()
    cursor.execute("drop table odbc_saved")
    connection.commit()


@case("transactions")
def rollback_on_error():
    """Protocol=7.4-0, -1, -2: what an error rolls back"""
    for level in (0, 1, 2):
        connection = connect(autocommit=False, Protocol=f"7.4-{level}")
        cursor = connection.cursor()
        cursor.execute("select 1")
        show(raises(pyodbc.Error, lambda: cursor.execute("select * from missing")).args[0])
        try:
            show(cursor.execute("select 2").fetchall())
        except pyodbc.Error as error:
            show(error.args[0])
        connection.rollback()


@case("batch")
def execute_many():
    """executemany, with and without fast_executemany"""
    cursor = connect().cursor()
    cursor.execute("create table odbc_many (a int, b varchar(20))")
    cursor.executemany("insert into odbc_many values (?, ?)", [(n, str(n)) for n in range(10)])
    cursor.fast_executemany = True
    cursor.executemany("insert into odbc_many values (?, ?)", [(n, None) for n in range(10, 15)])
    show_result(cursor.execute("select count(*), sum(a), count(b) from odbc_many"))
    cursor.execute("drop table odbc_many")


@case("json")
def uuids():
    """uuid both ways"""
    show(connect().cursor().execute("select ?::uuid", str(uuid.UUID(int=7))).fetchval())


@case("cancel")
def cancels():
    """SQLCancel from another thread"""
    cursor = connect().cursor()
    timer = threading.Timer(0.4, cursor.cancel)
    timer.start()
    sql = "select sum(sqrt(a.l_orderkey * b.l_partkey::float8)) from lineitem a, lineitem b"
    show(raises(pyodbc.Error, lambda: cursor.execute(sql)).args[0])
    timer.join()


def run_statement(sql):
    for declare in (0, 1):
        show_result(connect(UseDeclareFetch=declare).cursor().execute(sql))


each_statement(run_statement)

version = connect().getinfo(pyodbc.SQL_DRIVER_VER)
main("psqlODBC " + re.sub(r"^0*(\d+)\.(\d+)\..*", r"\1.\2", version))
