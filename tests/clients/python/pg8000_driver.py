"""pg8000: pure Python, text format in the extended protocol, unnamed and named statements."""

import datetime
import decimal
import importlib.metadata
import io
import uuid

import pg8000.dbapi
import pg8000.native

from tap import case, each_statement, equal, main, raises, server, show, show_rows

SERVER = server()


def native():
    return pg8000.native.Connection(
        SERVER.user, host=SERVER.host, port=SERVER.port, password=SERVER.password,
        database=SERVER.database,
    )


def dbapi():
    return pg8000.dbapi.connect(
        SERVER.user, host=SERVER.host, port=SERVER.port, password=SERVER.password,
        database=SERVER.database,
    )


@case("connect")
def connects():
    """Connects; ParameterStatus holds what the driver asks for."""
    connection = native()
    status = {str(k): str(v) for k, v in connection.parameter_statuses.items()}
    equal(status.get("client_encoding", "").upper().replace("-", ""), "UTF8")
    equal(connection.run("select 1"), [[1]])
    connection.close()


@case("types")
def types():
    """Reads types."""
    row = native().run(
        "select true, 7::int2, 8, 9::int8, 2.5::float8, 1.50::numeric(5,2), 'ä'::text, "
        "date '2024-02-29', timestamp '2024-02-29 01:02:03', null::int4"
    )[0]
    equal(row, [
        True, 7, 8, 9, 2.5, decimal.Decimal("1.50"), "ä", datetime.date(2024, 2, 29),
        datetime.datetime(2024, 2, 29, 1, 2, 3), None,
    ])


@case("prepared")
def parameters():
    """Binds named parameters; types come from the context."""
    connection = native()
    equal(connection.run("select n_name from nation where n_nationkey = :k", k=7), [["GERMANY"]])
    equal(connection.run("select cast(:d as date)", d=datetime.date(2020, 1, 2)),
          [[datetime.date(2020, 1, 2)]])


@case("prepared")
def prepared():
    """Runs a named prepared statement."""
    statement = native().prepare("select n_name from nation where n_nationkey = :k")
    equal([statement.run(k=key)[0][0] for key in (0, 24)], ["ALGERIA", "UNITED STATES"])
    statement.close()


@case("cursors")
def cursor():
    """DB-API cursors describe their columns and fetch in parts."""
    cursor = dbapi().cursor()
    cursor.execute("select n_nationkey, n_name from nation order by 1 limit 3 offset %s", (2,))
    equal([column[0] for column in cursor.description], ["n_nationkey", "n_name"])
    equal(cursor.fetchmany(2)[0][0], 2)
    equal(len(cursor.fetchall()), 1)


@case("simple")
def errors():
    """Reports SQLSTATE and goes on."""
    connection = native()
    error = raises(pg8000.native.DatabaseError, lambda: connection.run("select * from missing"))
    equal(error.args[0]["C"], "42P01")
    equal(connection.run("select 1"), [[1]])


@case("transactions")
def transactions():
    """DB-API transactions commit and roll back."""
    connection = dbapi()
    cursor = connection.cursor()
    cursor.execute("select count(*) from region")
    equal(list(cursor.fetchone()), [5])
    connection.commit()
    raises(pg8000.dbapi.DatabaseError, lambda: cursor.execute("select * from missing"))
    connection.rollback()
    cursor.execute("select 1")


@case("copy out")
def copy_out():
    """COPY TO STDOUT into a stream"""
    stream = io.BytesIO()
    native().run("copy (select * from nation order by 1 limit 3) to stdout with (format csv, header)", stream=stream)
    show(stream.getvalue().decode())


@case("copy in")
def copy_in():
    """COPY FROM STDIN from a stream"""
    connection = native()
    connection.run("create table copied4 (a int, b text)")
    connection.run("copy copied4 from stdin with (format csv)", stream=io.StringIO("1,x\n2,\n"))
    show(connection.run("select * from copied4 order by a"))
    connection.run("drop table copied4")


@case("arrays")
def array_parameters():
    """Lists as parameters"""
    connection = native()
    show(connection.run("select cast(:a as int4[]), cast(:b as text[])", a=[1, None], b=["x", 'q"']))


@case("json")
def json_parameters():
    """json and uuid as parameters"""
    connection = native()
    show(connection.run("select cast(:a as jsonb), cast(:b as uuid)", a={"k": [1]}, b=uuid.UUID(int=7)))


@case("transactions")
def savepoints():
    """SAVEPOINT by hand"""
    connection = native()
    for sql in ("create table saved4 (a int)", "begin", "insert into saved4 values (1)", "savepoint one",
                "insert into saved4 values (2)", "rollback to one", "commit"):
        connection.run(sql)
    show(connection.run("select * from saved4"))
    connection.run("drop table saved4")


@case("batch")
def execute_many():
    """executemany of DB-API"""
    connection = dbapi()
    cursor = connection.cursor()
    cursor.execute("create table many4 (a int, b text)")
    cursor.executemany("insert into many4 values (%s, %s)", [(n, str(n)) for n in range(5)])
    cursor.execute("select count(*), max(b) from many4")
    show(cursor.fetchall())
    cursor.execute("drop table many4")
    connection.commit()


def run_statement(sql):
    connection = native()
    rows = connection.run(sql)
    show_rows([(c["name"], f"{c['type_oid']} {c['type_size']} {c['type_modifier']}") for c in connection.columns], rows)
    connection.close()


each_statement(run_statement)

main(f"pg8000 {importlib.metadata.version('pg8000')}")
